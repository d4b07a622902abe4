#pragma once
#include <stdint.h>

/// Calls of malloc and its kin by the present thread since it began. Always 0 where they cannot be counted (other
/// systems than Linux with glibc, address sanitizer).
uint64_t allocation_count(void);
/// Whether `allocation_count` counts here.
int allocation_count_works(void);

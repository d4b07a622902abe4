#ifndef PACELINE_CSUPPORT_H
#define PACELINE_CSUPPORT_H
// The few things that Swift has no words for: the crc32c instruction, prefetch, a thread's name, the heap's free pages, and a
// signal handler for mapped files that cannot be read.
#include <stddef.h>
#include <stdint.h>

/// crc32c (Castagnoli, reflected, as in RFC 3720) of `count` bytes, continued from `seed` (0 to start).
/// Uses the SSE 4.2 or ARMv8 instruction where the processor has it, a table elsewhere.
uint32_t paceline_crc32c(uint32_t seed, const void *bytes, size_t count);

/// The table version, exported so that tests can compare the two.
uint32_t paceline_crc32c_portable(uint32_t seed, const void *bytes, size_t count);

static inline void paceline_prefetch(const void *address) { __builtin_prefetch(address, 0, 3); }

/// Names the calling thread (at most 15 bytes), for `top -H`, `perf` and debuggers.
void paceline_name_thread(const char *name);

/// Marks the calling thread: 1 = it serves clients and must wait for no disk; 0 = it may. Threads begin with 0.
void paceline_forbid_blocking(int yes);
int paceline_blocking_is_forbidden(void);

/// Gives whole free pages of the heap back to the system, where the C library can. Takes milliseconds.
void paceline_trim_heap(void);

/// Raises the number of files that the process may have open to `wanted`, or as far as it is allowed. Returns the number
/// that holds now; -1 if the system does not tell.
int64_t paceline_raise_file_limit(int64_t wanted);

// Mapped files that shrink or whose disk fails make a read of their memory end the process (SIGBUS). A guarded mapping
// gets a page of zeros in place of the one that cannot be read: zeros fail every checksum, so the reader sees damage.

enum { PACELINE_FAULT_PATH_MAX = 512 };

/// Guards a mapping from now on; the first call installs the signal handler. A place for `paceline_release_guard`, or
/// -1 if the table is full: the mapping is not guarded then.
int32_t paceline_guard_mapping(const void *start, size_t bytes, const char *path);

/// To be called before the mapping is released. -1 does nothing.
void paceline_release_guard(int32_t place);

/// Pages replaced by zeros since the start of the process.
uint64_t paceline_mapping_faults(void);

/// The paths of the first files with such pages, numbered from 0; NULL behind the last. Valid for ever.
const char *paceline_faulted_file(uint32_t number);

#endif

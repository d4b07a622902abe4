// Stands before glibc's malloc in the benchmark's executable and counts the calls. The `__libc_` entries are glibc's own
// names for the same functions; memory is freed by glibc's `free` as ever.
#define _GNU_SOURCE
#include "allocation_counter.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define OWN_MALLOC 1
#endif
#endif

#if defined(__linux__) && defined(__GLIBC__) && !defined(OWN_MALLOC)
#include <errno.h>
#include <stddef.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static __thread uint64_t count __attribute__((tls_model("initial-exec")));

void *malloc(size_t bytes) {
  count++;
  return __libc_malloc(bytes);
}
void *calloc(size_t n, size_t bytes) {
  count++;
  return __libc_calloc(n, bytes);
}
void *realloc(void *old, size_t bytes) {
  count++;
  return __libc_realloc(old, bytes);
}
void *memalign(size_t alignment, size_t bytes) {
  count++;
  return __libc_memalign(alignment, bytes);
}
void *aligned_alloc(size_t alignment, size_t bytes) {
  count++;
  return __libc_memalign(alignment, bytes);
}
int posix_memalign(void **out, size_t alignment, size_t bytes) {
  count++;
  if (alignment % sizeof(void *) != 0 || (alignment & (alignment - 1)) != 0) return EINVAL;
  void *memory = __libc_memalign(alignment, bytes);
  if (!memory) return ENOMEM;
  *out = memory;
  return 0;
}

uint64_t allocation_count(void) { return count; }
int allocation_count_works(void) { return 1; }
#else
uint64_t allocation_count(void) { return 0; }
int allocation_count_works(void) { return 0; }
#endif

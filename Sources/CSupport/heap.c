#include "csupport.h"
#if defined(__GLIBC__)
#include <malloc.h>
#endif

void paceline_trim_heap(void) {
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
}

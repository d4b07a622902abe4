#define _GNU_SOURCE
#include "csupport.h"
#include <pthread.h>

void paceline_name_thread(const char *name) {
#if defined(__APPLE__)
  pthread_setname_np(name);
#elif defined(__linux__)
  pthread_setname_np(pthread_self(), name);
#else
  (void)name;
#endif
}

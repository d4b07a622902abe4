#include "csupport.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

// Everything that the handler touches is fixed in size, written by atomics and never freed, but for a path, which
// lives as long as its mapping is guarded: a thread that faults in a mapping keeps it from being released.

enum { GUARDS_MAX = 1 << 16, FAULTS_KEPT = 16 };

struct guard {
  _Atomic uintptr_t start;
  _Atomic uintptr_t end;
  _Atomic(char *) path;
  _Atomic uint32_t faults;
};

struct fault {
  char path[PACELINE_FAULT_PATH_MAX];
  _Atomic int ready;
};

static struct guard guards[GUARDS_MAX];
static _Atomic uint32_t used;  // Places beyond were never taken.
static struct fault kept[FAULTS_KEPT];
static _Atomic uint32_t faulted_files;
static _Atomic uint64_t faulted_pages;

static pthread_mutex_t registering = PTHREAD_MUTEX_INITIALIZER;
static uint32_t next_free;
static struct sigaction previous;
static uintptr_t page_bytes;

static void say(const char *a, const char *b, const char *c) {
  const char *parts[] = {a, b, c};
  for (int i = 0; i < 3; i++) {
    ssize_t written = write(2, parts[i], strlen(parts[i]));
    (void)written;
  }
}

static void on_bus_error(int number, siginfo_t *info, void *context) {
  (void)context;
  int saved = errno;
  uintptr_t at = (uintptr_t)info->si_addr;
  uint32_t count = atomic_load_explicit(&used, memory_order_acquire);
  struct guard *found = NULL;
  if (info->si_code > 0) {  // From the memory system and not from kill(2).
    for (uint32_t i = 0; i < count && !found; i++) {
      uintptr_t start = atomic_load_explicit(&guards[i].start, memory_order_acquire);
      if (start && start <= at && at < atomic_load_explicit(&guards[i].end, memory_order_relaxed)) found = &guards[i];
    }
  }
  if (found) {
    const char *path = atomic_load_explicit(&found->path, memory_order_relaxed);
    void *page = (void *)(at & ~(page_bytes - 1));
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    if (mmap(page, page_bytes, PROT_READ, flags, -1, 0) != MAP_FAILED) {
      if (atomic_fetch_add(&found->faults, 1) == 0) {
        uint32_t place = atomic_fetch_add(&faulted_files, 1);
        if (place < FAULTS_KEPT) {
          strncpy(kept[place].path, path, PACELINE_FAULT_PATH_MAX - 1);
          atomic_store_explicit(&kept[place].ready, 1, memory_order_release);
        }
        say("paceline: ", path, ": a part of this file cannot be read; its records are answered as damaged\n");
      }
      atomic_fetch_add(&faulted_pages, 1);
      errno = saved;
      return;
    }
    say("paceline: ", path, ": a part of this file cannot be read, and there is no memory to go on: ending\n");
  } else {
    say("paceline: ", "bus error outside of mapped log files", ": ending\n");
  }
  // Back to what was there before: the same access ends the process with the right signal.
  sigaction(number, &previous, NULL);
  if (info->si_code <= 0) raise(number);
  errno = saved;
}

int32_t paceline_guard_mapping(const void *start, size_t bytes, const char *path) {
  char *copy = strdup(path);
  if (!copy) return -1;
  pthread_mutex_lock(&registering);
  if (!page_bytes) {
    page_bytes = (uintptr_t)sysconf(_SC_PAGESIZE);
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, &previous);
  }
  int32_t place = -1;
  uint32_t count = atomic_load(&used);
  for (uint32_t i = 0; i < GUARDS_MAX && place < 0; i++) {
    uint32_t candidate = (next_free + i) % GUARDS_MAX;
    if (candidate >= count || !atomic_load(&guards[candidate].start)) place = (int32_t)candidate;
  }
  if (place >= 0) {
    struct guard *guard = &guards[place];
    next_free = (uint32_t)place + 1;
    atomic_store(&guard->path, copy);
    atomic_store(&guard->faults, 0);
    atomic_store(&guard->end, (uintptr_t)start + bytes);
    atomic_store_explicit(&guard->start, (uintptr_t)start, memory_order_release);
    if ((uint32_t)place >= count) atomic_store_explicit(&used, (uint32_t)place + 1, memory_order_release);
  } else {
    free(copy);
  }
  pthread_mutex_unlock(&registering);
  return place;
}

void paceline_release_guard(int32_t place) {
  if (place < 0) return;
  pthread_mutex_lock(&registering);
  struct guard *guard = &guards[place];
  atomic_store(&guard->start, 0);
  free(atomic_exchange(&guard->path, NULL));
  if ((uint32_t)place < next_free) next_free = (uint32_t)place;
  pthread_mutex_unlock(&registering);
}

uint64_t paceline_mapping_faults(void) { return atomic_load(&faulted_pages); }

const char *paceline_faulted_file(uint32_t number) {
  if (number >= FAULTS_KEPT || !atomic_load_explicit(&kept[number].ready, memory_order_acquire)) return NULL;
  return kept[number].path;
}

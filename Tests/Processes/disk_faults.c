// For LD_PRELOAD: makes a chosen call to the disk fail, or ends the process at it. See disk_faults.py.
//
// The file that DISK_FAULTS names is mapped by this library and by the test; `struct control` is its layout. Only calls
// on paths that contain `control.path` count (all if it is empty), beginning when `armed` is set.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum operation { OPEN, WRITE, SYNC, RENAME, UNLINK, TRUNCATE, RESERVE, MAKE_DIRECTORY, OPERATIONS };
enum action { NONE, FAIL, KILL_BEFORE, KILL_INSIDE, KILL_AFTER };

struct control {
  _Atomic uint32_t armed;
  uint32_t operations;  // Bits: which operations are counted.
  uint32_t action;
  int32_t error;
  uint32_t stays;  // All later calls fail too.
  _Atomic uint32_t fired;
  _Atomic int64_t left;  // Calls until it happens; 1 = the next one.
  _Atomic uint64_t counts[OPERATIONS];
  char path[256];
  char hit[512];  // The path of the call at which it happened.
  _Atomic uint32_t sync_milliseconds;  // Every sync takes so long, armed or not.
};

static struct control *control;

__attribute__((constructor)) static void map_control(void) {
  const char *name = getenv("DISK_FAULTS");
  if (!name) return;
  int (*open_it)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
  int descriptor = open_it(name, O_RDWR | O_CLOEXEC);
  if (descriptor < 0) return;
  void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (memory != MAP_FAILED) control = memory;
  close(descriptor);
}

static void die(void) {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

// What is to happen at this call.
static enum action decide(enum operation operation, const char *path) {
  if (!control || !atomic_load(&control->armed) || !path) return NONE;
  if (control->path[0] && !strstr(path, control->path)) return NONE;
  atomic_fetch_add(&control->counts[operation], 1);
  if (!(control->operations & 1u << operation)) return NONE;
  int64_t left = atomic_fetch_sub(&control->left, 1);
  if (left != 1 && !(control->stays && left < 1)) return NONE;
  if (!atomic_exchange(&control->fired, 1)) snprintf(control->hit, sizeof control->hit, "%s", path);
  if (control->action == KILL_BEFORE) die();
  return (enum action)control->action;
}

static enum action decide_for(enum operation operation, int descriptor) {
  if (!control || !atomic_load(&control->armed)) return NONE;
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0 || path[0] != '/') return NONE;
  path[length] = 0;
  return decide(operation, path);
}

#define REAL(name, type)           \
  static __typeof__(type) real;    \
  if (!real) real = (__typeof__(type))dlsym(RTLD_NEXT, name)

// The rest of a call whose action is known: fail, or do it and perhaps end.
#define FINISH(action, failure, expression)              \
  do {                                                   \
    if ((action) == FAIL) { errno = control->error; return failure; } \
    __typeof__(expression) result = (expression);        \
    if ((action) == KILL_AFTER || (action) == KILL_INSIDE) die(); \
    return result;                                       \
  } while (0)

static ssize_t write_at(const char *name, int descriptor, const void *bytes, size_t count, off_t offset) {
  ssize_t (*real)(int, const void *, size_t, off_t) =
      (ssize_t(*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, name);
  enum action action = decide_for(WRITE, descriptor);
  if (action == KILL_INSIDE) {
    real(descriptor, bytes, count / 2, offset);
    die();
  }
  FINISH(action, -1, real(descriptor, bytes, count, offset));
}
ssize_t pwrite(int d, const void *b, size_t n, off_t o) { return write_at("pwrite", d, b, n, o); }
ssize_t pwrite64(int d, const void *b, size_t n, off_t o) { return write_at("pwrite64", d, b, n, o); }

static ssize_t write_parts(const char *name, int descriptor, const struct iovec *parts, int count, off_t offset) {
  ssize_t (*real)(int, const struct iovec *, int, off_t) =
      (ssize_t(*)(int, const struct iovec *, int, off_t))dlsym(RTLD_NEXT, name);
  enum action action = decide_for(WRITE, descriptor);
  if (action == KILL_INSIDE) {
    struct iovec half = parts[0];
    half.iov_len /= 2;
    real(descriptor, &half, 1, offset);
    die();
  }
  FINISH(action, -1, real(descriptor, parts, count, offset));
}
ssize_t pwritev(int d, const struct iovec *p, int n, off_t o) { return write_parts("pwritev", d, p, n, o); }
ssize_t pwritev64(int d, const struct iovec *p, int n, off_t o) { return write_parts("pwritev64", d, p, n, o); }

static void be_slow(void) {
  if (!control) return;
  uint32_t milliseconds = atomic_load(&control->sync_milliseconds);
  if (milliseconds) usleep(milliseconds * 1000);
}

int fsync(int descriptor) {
  be_slow();
  REAL("fsync", int (*)(int));
  enum action action = decide_for(SYNC, descriptor);
  FINISH(action, -1, real(descriptor));
}
int fdatasync(int descriptor) {
  be_slow();
  REAL("fdatasync", int (*)(int));
  enum action action = decide_for(SYNC, descriptor);
  FINISH(action, -1, real(descriptor));
}
int rename(const char *from, const char *to) {
  REAL("rename", int (*)(const char *, const char *));
  enum action action = decide(RENAME, to);
  FINISH(action, -1, real(from, to));
}
int unlink(const char *path) {
  REAL("unlink", int (*)(const char *));
  enum action action = decide(UNLINK, path);
  FINISH(action, -1, real(path));
}
int ftruncate(int descriptor, off_t bytes) {
  REAL("ftruncate", int (*)(int, off_t));
  enum action action = decide_for(TRUNCATE, descriptor);
  FINISH(action, -1, real(descriptor, bytes));
}
int ftruncate64(int descriptor, off_t bytes) {
  REAL("ftruncate64", int (*)(int, off_t));
  enum action action = decide_for(TRUNCATE, descriptor);
  FINISH(action, -1, real(descriptor, bytes));
}
int posix_fallocate(int descriptor, off_t offset, off_t bytes) {
  REAL("posix_fallocate", int (*)(int, off_t, off_t));
  enum action action = decide_for(RESERVE, descriptor);
  FINISH(action, control->error, real(descriptor, offset, bytes));
}
int posix_fallocate64(int descriptor, off_t offset, off_t bytes) {
  REAL("posix_fallocate64", int (*)(int, off_t, off_t));
  enum action action = decide_for(RESERVE, descriptor);
  FINISH(action, control->error, real(descriptor, offset, bytes));
}
int mkdir(const char *path, mode_t mode) {
  REAL("mkdir", int (*)(const char *, mode_t));
  enum action action = decide(MAKE_DIRECTORY, path);
  FINISH(action, -1, real(path, mode));
}
static int open_named(const char *name, const char *path, int flags, mode_t mode) {
  int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, name);
  enum action action = flags & O_CREAT ? decide(OPEN, path) : NONE;
  FINISH(action, -1, real(path, flags, mode));
}
#define OPEN_LIKE(name)                                   \
  int name(const char *path, int flags, ...) {            \
    va_list rest;                                         \
    va_start(rest, flags);                                \
    mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0; \
    va_end(rest);                                         \
    return open_named(#name, path, flags, mode);          \
  }
OPEN_LIKE(open)
OPEN_LIKE(open64)

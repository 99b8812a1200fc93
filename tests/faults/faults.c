// Preloaded into a process, this lets its changes of files below a folder fail: the k-th one kills
// it in its midst, or that one and those after it end in an error, such as that the disk is full.
// It can also take flock away and set the clock. Compile with `cc -shared -fPIC -ldl`.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define REAL(name, type) ((type)dlsym(RTLD_NEXT, #name))

static char folder[PATH_MAX];
static long count, killing, first, last, seconds;
static int error_of_changes, error_of_locks, begun;

// 0 for `at`: only count. All are called by tests, through ctypes.
void count_below(const char *path) { strncpy(folder, path, PATH_MAX - 1); count = 0; }
void kill_at(long at) { killing = at; }
void fail_at(long at, long times, int error) {
  first = at, last = at + times - 1, error_of_changes = error, begun = 0;
}
void no_flock(int error) { error_of_locks = error; }
void set_clock(long ahead) { seconds = ahead; }
long changes(void) { return count; }

static int below(const char *path) {
  char whole[PATH_MAX];
  if (!folder[0]) return 0;
  if (path[0] != '/') {
    if (!getcwd(whole, sizeof whole - 1)) return 0;
    strncat(whole, "/", sizeof whole - strlen(whole) - 1);
    strncat(whole, path, sizeof whole - strlen(whole) - 1);
    path = whole;
  }
  return strncmp(path, folder, strlen(folder)) == 0;
}

static int is_ours(int number) {
  char link[64], path[PATH_MAX];
  struct stat found;
  if (!folder[0] || fstat(number, &found) || !S_ISREG(found.st_mode)) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", number);
  ssize_t size = readlink(link, path, sizeof path - 1);
  if (size < 0) return 0;
  path[size] = 0;
  return below(path);
}

static void die(void) {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

enum { GOES, DIES, FAILS };

static int next_change(void) {
  long number = __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST);
  if (number == killing) return DIES;
  if (first && number >= first && number <= last) return errno = error_of_changes, FAILS;
  return GOES;
}

// A write that meets the end of the disk is cut short first, and only the next one is an error.
ssize_t write(int number, const void *bytes, size_t size) {
  ssize_t (*real)(int, const void *, size_t) = REAL(write, ssize_t(*)(int, const void *, size_t));
  if (!is_ours(number)) return real(number, bytes, size);
  int outcome = next_change();
  if (outcome == DIES) {
    real(number, bytes, size / 2);
    die();
  }
  if (outcome == FAILS) {
    if (begun++ || size < 2 || last == first) return errno = error_of_changes, -1;
    return real(number, bytes, size / 2);
  }
  return real(number, bytes, size);
}

size_t fwrite(const void *bytes, size_t size, size_t items, FILE *file) {
  size_t (*real)(const void *, size_t, size_t, FILE *) =
      REAL(fwrite, size_t(*)(const void *, size_t, size_t, FILE *));
  if (!is_ours(fileno(file))) return real(bytes, size, items, file);
  int outcome = next_change();
  if (outcome == GOES) return real(bytes, size, items, file);
  size_t done = real(bytes, 1, size * items / 2, file);
  if (outcome == DIES) {
    fflush(file);
    die();
  }
  errno = error_of_changes;
  return done / (size ? size : 1);
}

// What is buffered is written here, so that a full disk is noticed here too.
int fclose(FILE *file) {
  int (*real)(FILE *) = REAL(fclose, int (*)(FILE *));
  int fails = is_ours(fileno(file)) && first && next_change() == FAILS;
  int result = real(file);
  return fails ? (errno = error_of_changes, EOF) : result;
}

#define CHANGE(is_change, result)          \
  if (is_change) {                         \
    int outcome = next_change();           \
    if (outcome == DIES) die();            \
    if (outcome == FAILS) return (result); \
  }

int rename(const char *old, const char *new) {
  CHANGE(below(new), -1)
  int result = REAL(rename, int (*)(const char *, const char *))(old, new);
  if (below(new) && killing && next_change() == DIES) die();
  return result;
}

int unlink(const char *path) {
  CHANGE(below(path), -1)
  return REAL(unlink, int (*)(const char *))(path);
}

int mkdir(const char *path, mode_t mode) {
  CHANGE(below(path), -1)
  return REAL(mkdir, int (*)(const char *, mode_t))(path, mode);
}

// Opening for writing changes something where it makes or empties a file.
#define OPEN(name)                                                     \
  int name(const char *path, int flags, ...) {                         \
    va_list rest;                                                      \
    va_start(rest, flags);                                             \
    mode_t mode = va_arg(rest, mode_t);                                \
    va_end(rest);                                                      \
    CHANGE((flags & (O_CREAT | O_TRUNC)) && below(path), -1)           \
    return REAL(name, int (*)(const char *, int, mode_t))(path, flags, mode); \
  }
OPEN(open)
OPEN(open64)

#define FOPEN(name)                                                                \
  FILE *name(const char *path, const char *mode) {                                 \
    CHANGE(mode[0] != 'r' && below(path), NULL)                                     \
    return REAL(name, FILE *(*)(const char *, const char *))(path, mode);           \
  }
FOPEN(fopen)
FOPEN(fopen64)

int flock(int number, int operation) {
  if (error_of_locks) return errno = error_of_locks, -1;
  return REAL(flock, int (*)(int, int))(number, operation);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  int result = REAL(clock_gettime, int (*)(clockid_t, struct timespec *))(clock, now);
  if (clock == CLOCK_REALTIME) now->tv_sec += seconds;
  return result;
}

time_t time(time_t *to) {
  time_t now = REAL(time, time_t(*)(time_t *))(NULL) + seconds;
  return to ? (*to = now) : now;
}

// Preloaded into a process, this kills it at the k-th change that it makes to a file: in the midst of
// a write, before or after a rename, before a removal. Compile with `cc -shared -fPIC -ldl`.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static long at, count;

void kill_at(long k) { at = k; count = 0; }  // 0: count, and never kill
long changes(void) { return count; }

static int due(void) { return __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST) == at; }

static void die(void) {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

static int is_file(int number) {
  struct stat found;
  return fstat(number, &found) == 0 && S_ISREG(found.st_mode);
}

ssize_t write(int number, const void *bytes, size_t size) {
  ssize_t (*real)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
  if (is_file(number) && due()) {
    real(number, bytes, size / 2);
    die();
  }
  return real(number, bytes, size);
}

size_t fwrite(const void *bytes, size_t size, size_t items, FILE *file) {
  size_t (*real)(const void *, size_t, size_t, FILE *) = dlsym(RTLD_NEXT, "fwrite");
  if (is_file(fileno(file)) && due()) {
    real(bytes, 1, size * items / 2, file);
    fflush(file);
    die();
  }
  return real(bytes, size, items, file);
}

int rename(const char *old, const char *new) {
  int (*real)(const char *, const char *) = dlsym(RTLD_NEXT, "rename");
  if (due()) die();
  int result = real(old, new);
  if (due()) die();
  return result;
}

int unlink(const char *path) {
  int (*real)(const char *) = dlsym(RTLD_NEXT, "unlink");
  if (due()) die();
  return real(path);
}

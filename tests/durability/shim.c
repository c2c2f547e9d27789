/*
 * Preloaded into a proxy under test: counts the system calls that write to files, folders and
 * sockets, and kills the process before or after the one that the environment names, as `kill -9`
 * at that moment would. What only threads tell each other (pipes, event counters) is not counted.
 *
 *   SHIM_KILL_AT=N        the call to die at, counted from 1; without it nothing is killed
 *   SHIM_KILL_WHEN=...    "before" or "after" it
 *   SHIM_LOG=FILE         one line a call: its name and the file that it is about
 *   SHIM_HANG=FILE        writes and syncs of FILE do not return as long as there is a file FILE.hang
 *   SHIM_CLOCK=FILE       the wall clock is ahead by the seconds that the file holds (a long)
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static atomic_long calls;
static long kill_at;
static int kill_after;
static int log_fd = -1;
static volatile long *clock_ahead;
static const char *hang;
static char hang_while[512];

__attribute__((constructor)) static void read_environment(void) {
    const char *at = getenv("SHIM_KILL_AT");
    const char *when = getenv("SHIM_KILL_WHEN");
    const char *log = getenv("SHIM_LOG");
    const char *clock = getenv("SHIM_CLOCK");
    hang = getenv("SHIM_HANG");
    if (hang)
        snprintf(hang_while, sizeof hang_while, "%s.hang", hang);
    kill_at = at ? atol(at) : 0;
    kill_after = when && strcmp(when, "after") == 0;
    if (clock) {
        int fd = (int)syscall(SYS_openat, AT_FDCWD, clock, O_RDONLY | O_CLOEXEC, 0);
        void *page = mmap(NULL, sizeof(long), PROT_READ, MAP_SHARED, fd, 0);
        clock_ahead = page == MAP_FAILED ? NULL : page;
    }
    if (log)
        log_fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void note(const char *name, int fd, const char *path) {
    char line[512], link[64], target[256] = "";
    if (log_fd < 0)
        return;
    if (!path) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(link, target, sizeof target - 1);
        target[length > 0 ? length : 0] = 0;
        path = target;
    }
    int length = snprintf(line, sizeof line, "%s %s\n", name, path);
    syscall(SYS_write, log_fd, line, (size_t)length);
}

static void die(void) {
    syscall(SYS_kill, (pid_t)syscall(SYS_getpid), SIGKILL);
    for (;;)
        pause();
}

static int counts(int fd, const char *path) {
    struct stat about;
    if (path)
        return 1;
    if (fstat(fd, &about) != 0)
        return 0;
    return S_ISREG(about.st_mode) || S_ISDIR(about.st_mode) || S_ISSOCK(about.st_mode);
}

/* As a disk that does not answer: nothing but its answer ends the call. */
static void hang_on(int fd) {
    char link[64], target[512] = "";
    if (!hang || fd < 0)
        return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, target, sizeof target - 1);
    target[length > 0 ? length : 0] = 0;
    while (strcmp(target, hang) == 0 && access(hang_while, F_OK) == 0)
        usleep(2000);
}

/* Whether this is the call to die at; dies here if it is to be before it. */
static int enter(const char *name, int fd, const char *path) {
    if (!path)
        hang_on(fd);
    if (!counts(fd, path))
        return 0;
    long number = atomic_fetch_add(&calls, 1) + 1;
    note(name, fd, path);
    if (number != kill_at)
        return 0;
    if (!kill_after)
        die();
    return 1;
}

#define WRAP(type, name, parameters, arguments, fd, path)                       \
    type name parameters {                                                      \
        static type(*real) parameters;                                          \
        if (!real)                                                              \
            *(void **)&real = dlsym(RTLD_NEXT, #name);                          \
        int last = enter(#name, fd, path);                                      \
        type result = real arguments;                                           \
        if (last)                                                               \
            die();                                                              \
        return result;                                                          \
    }

WRAP(ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size), fd, NULL)
WRAP(ssize_t, writev, (int fd, const struct iovec *parts, int count), (fd, parts, count), fd, NULL)
WRAP(ssize_t, pwrite, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at), fd, NULL)
WRAP(ssize_t, pwrite64, (int fd, const void *data, size_t size, off64_t at), (fd, data, size, at), fd, NULL)
WRAP(ssize_t, send, (int fd, const void *data, size_t size, int flags), (fd, data, size, flags), fd, NULL)
WRAP(ssize_t, sendto,
     (int fd, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t length),
     (fd, data, size, flags, to, length), fd, NULL)
WRAP(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags), fd, NULL)
WRAP(int, fsync, (int fd), (fd), fd, NULL)
WRAP(int, fdatasync, (int fd), (fd), fd, NULL)
WRAP(int, ftruncate, (int fd, off_t size), (fd, size), fd, NULL)
WRAP(int, ftruncate64, (int fd, off64_t size), (fd, size), fd, NULL)
WRAP(int, fallocate, (int fd, int mode, off_t at, off_t size), (fd, mode, at, size), fd, NULL)
WRAP(int, posix_fallocate, (int fd, off_t at, off_t size), (fd, at, size), fd, NULL)
WRAP(int, rename, (const char *from, const char *to), (from, to), -1, to)
WRAP(int, link, (const char *from, const char *to), (from, to), -1, to)
WRAP(int, unlink, (const char *path), (path), -1, path)
WRAP(int, mkdir, (const char *path, mode_t mode), (path, mode), -1, path)
WRAP(int, chmod, (const char *path, mode_t mode), (path, mode), -1, path)
WRAP(int, fchmod, (int fd, mode_t mode), (fd, mode), fd, NULL)

/* Of the calls that open, those that may make a file. */
#define WRAP_OPEN(name)                                                         \
    int name(const char *path, int flags, ...) {                                \
        static int (*real)(const char *, int, ...);                             \
        mode_t mode = 0;                                                        \
        if (flags & O_CREAT) {                                                  \
            va_list rest;                                                       \
            va_start(rest, flags);                                              \
            mode = va_arg(rest, mode_t);                                        \
            va_end(rest);                                                       \
        }                                                                       \
        if (!real)                                                              \
            *(void **)&real = dlsym(RTLD_NEXT, #name);                          \
        int last = flags & O_CREAT ? enter(#name, -1, path) : 0;                \
        int result = real(path, flags, mode);                                   \
        if (last)                                                               \
            die();                                                              \
        return result;                                                          \
    }

WRAP_OPEN(open)
WRAP_OPEN(open64)

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    if (result == 0 && clock == CLOCK_REALTIME && clock_ahead)
        now->tv_sec += *clock_ahead;
    return result;
}

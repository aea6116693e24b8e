/* Preloaded into a process, this stands before its calls that change files below one folder.
 *
 * It records them, in one order, and makes one of them fail. What a call did is written down once it is done; an
 * fsync twice, as it begins and as it ends, for only what was done before it began is durable when it ends.
 * SQLite and Python both go through the C library, so that nothing of theirs is missed but what is written through
 * shared memory: SQLite's "-shm", which never outlives a crash.
 *
 * By environment (SEAM_ROOT, SEAM_LOG, SEAM_FAIL="call:n:errno"), or by seam_arm() from within. The call "any" is of a
 * disk that dies: the n-th of all calls fails, and all that come after it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum call { WRITE, PWRITE, FSYNC, FDATASYNC, RENAME, CREATE, FTRUNCATE, MKDIR, UNLINK, ANY, CALLS };
static const char *const names[CALLS] = {
    "write", "pwrite", "fsync", "fdatasync", "rename", "create", "ftruncate", "mkdir", "unlink", "any"};

/* What stands in the log. The names are those of tests/fault/torn/recorded.py. */
enum event { E_WRITE = 1, E_BEGIN, E_END, E_RENAME, E_CREATE, E_TRUNCATE, E_MKDIR, E_UNLINK, E_RMDIR, E_MARK };

struct head {
    uint32_t event, path, other, data;
    uint64_t inode, offset;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_MAX];
static size_t root_length;
static int log_descriptor = -1;
static long *counts; /* shared with whoever forked this process, which so learns what was called */
static int fail_call = -1, fail_errno;
static long fail_at;
static uint64_t syncs;

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off64_t);
static int (*real_fsync)(int), (*real_fdatasync)(int);
static int (*real_rename)(const char *, const char *);
static int (*real_open)(const char *, int, ...), (*real_openat)(int, const char *, int, ...);
static int (*real_ftruncate)(int, off64_t);
static int (*real_mkdir)(const char *, mode_t);
static int (*real_unlink)(const char *), (*real_rmdir)(const char *);

void seam_arm(const char *folder, const char *log, const char *call, long n, int error) {
    pthread_mutex_lock(&lock);
    root_length = strlen(folder);
    memcpy(root, folder, root_length + 1);
    memset(counts, 0, CALLS * sizeof *counts);
    if (log_descriptor >= 0) close(log_descriptor);
    log_descriptor = *log ? real_open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    fail_call = -1;
    for (int each = 0; each < CALLS; each++)
        if (!strcmp(names[each], call)) fail_call = each;
    fail_at = n;
    fail_errno = error;
    pthread_mutex_unlock(&lock);
}

long seam_count(const char *call) {
    for (int each = 0; each < CALLS; each++)
        if (!strcmp(names[each], call)) return counts[each];
    return -1;
}

__attribute__((constructor)) static void begin(void) {
    real_write = dlsym(RTLD_NEXT, "write");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_rename = dlsym(RTLD_NEXT, "rename");
    real_open = dlsym(RTLD_NEXT, "open64");
    real_openat = dlsym(RTLD_NEXT, "openat64");
    real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
    real_mkdir = dlsym(RTLD_NEXT, "mkdir");
    real_unlink = dlsym(RTLD_NEXT, "unlink");
    real_rmdir = dlsym(RTLD_NEXT, "rmdir");
    counts = mmap(NULL, CALLS * sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (counts == MAP_FAILED) abort();
    const char *folder = getenv("SEAM_ROOT"), *log = getenv("SEAM_LOG"), *fail = getenv("SEAM_FAIL");
    if (!folder) return;
    char call[16] = "";
    long n = 0;
    int error = 0;
    if (fail && sscanf(fail, "%15[a-z]:%ld:%d", call, &n, &error) != 3) abort();
    seam_arm(folder, log ? log : "", call, n, error);
}

/* Whether a path lies below the folder. */
static int inside(const char *path) {
    return root_length && !strncmp(path, root, root_length) && (path[root_length] == '/' || !path[root_length]);
}

/* The path behind a descriptor; whether it is a file or folder below the folder. */
static int watched(int descriptor, char *path, uint64_t *inode) {
    struct stat found;
    char link[64];
    if (!root_length || descriptor == log_descriptor) return 0;
    if (fstat(descriptor, &found) || !(S_ISREG(found.st_mode) || S_ISDIR(found.st_mode))) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0) return 0;
    path[length] = 0;
    *inode = found.st_ino;
    return inside(path);
}

/* With the lock held; in one write, for other processes append to the same log. */
static void record(enum event event, const char *path, const char *other, uint64_t inode, uint64_t offset,
                   const void *data, size_t length) {
    if (log_descriptor < 0) return;
    struct head head = {event, strlen(path), strlen(other), length, inode, offset};
    size_t all = sizeof head + head.path + head.other + length;
    char *line = malloc(all), *at = line;
    if (!line) abort();
    at = mempcpy(at, &head, sizeof head);
    at = mempcpy(at, path, head.path);
    at = mempcpy(at, other, head.other);
    memcpy(at, data, length);
    if (real_write(log_descriptor, line, all) != (ssize_t)all) abort();
    free(line);
}

/* With the lock held: whether this call is the one that fails. */
static int fails(enum call call) {
    counts[call]++;
    counts[ANY]++;
    if (fail_call == ANY && counts[ANY] >= fail_at) {
        errno = fail_errno;
        return 1;
    }
    if (fail_call != (int)call || counts[call] != fail_at) return 0;
    errno = fail_errno;
    return 1;
}

void seam_mark(const char *text) {
    pthread_mutex_lock(&lock);
    record(E_MARK, "", "", 0, 0, text, strlen(text));
    pthread_mutex_unlock(&lock);
}

ssize_t write(int descriptor, const void *data, size_t length) {
    char path[PATH_MAX];
    uint64_t inode;
    if (!watched(descriptor, path, &inode)) return real_write(descriptor, data, length);
    pthread_mutex_lock(&lock);
    ssize_t done = -1;
    if (!fails(WRITE)) {
        int appends = fcntl(descriptor, F_GETFL) & O_APPEND;
        off64_t at = lseek64(descriptor, 0, appends ? SEEK_END : SEEK_CUR);
        done = real_write(descriptor, data, length);
        if (done > 0) record(E_WRITE, path, "", inode, at, data, done);
    }
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

ssize_t pwrite64(int descriptor, const void *data, size_t length, off64_t at) {
    char path[PATH_MAX];
    uint64_t inode;
    if (!watched(descriptor, path, &inode)) return real_pwrite(descriptor, data, length, at);
    pthread_mutex_lock(&lock);
    ssize_t done = -1;
    if (!fails(PWRITE)) {
        done = real_pwrite(descriptor, data, length, at);
        if (done > 0) record(E_WRITE, path, "", inode, at, data, done);
    }
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

ssize_t pwrite(int descriptor, const void *data, size_t length, off_t at) {
    return pwrite64(descriptor, data, length, at);
}

static int synced(int descriptor, enum call call, int (*real)(int)) {
    char path[PATH_MAX];
    uint64_t inode;
    if (!watched(descriptor, path, &inode)) return real(descriptor);
    pthread_mutex_lock(&lock);
    int failed = fails(call);
    int error = errno;
    uint64_t number = (uint64_t)getpid() << 32 | ++syncs; /* several processes write one log */
    if (!failed) record(E_BEGIN, path, "", inode, number, "", 0);
    pthread_mutex_unlock(&lock);
    errno = error;
    if (failed) return -1;
    int done = real(descriptor);
    error = errno;
    pthread_mutex_lock(&lock);
    if (!done) record(E_END, path, "", inode, number, "", 0);
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

int fsync(int descriptor) { return synced(descriptor, FSYNC, real_fsync); }

int fdatasync(int descriptor) { return synced(descriptor, FDATASYNC, real_fdatasync); }

int rename(const char *from, const char *to) {
    if (!inside(from) && !inside(to)) return real_rename(from, to);
    pthread_mutex_lock(&lock);
    int done = fails(RENAME) ? -1 : real_rename(from, to);
    int error = errno;
    if (!done) record(E_RENAME, from, to, 0, 0, "", 0);
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

static int opened(int folder, const char *path, int flags, mode_t mode) {
    int made = 0, descriptor = -1, error;
    if (!inside(path) || !(flags & (O_CREAT | O_TRUNC))) return real_openat(folder, path, flags, mode);
    pthread_mutex_lock(&lock);
    struct stat found;
    int there = !lstat(path, &found);
    if (there && !(flags & O_TRUNC)) {
        descriptor = real_openat(folder, path, flags, mode);
    } else if (!fails(CREATE)) {
        descriptor = real_openat(folder, path, flags, mode);
        made = descriptor >= 0;
    }
    error = errno;
    if (made && !fstat(descriptor, &found)) {
        if (there)
            record(E_TRUNCATE, path, "", found.st_ino, 0, "", 0);
        else
            record(E_CREATE, path, "", found.st_ino, 0, "", 0);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return descriptor;
}

#define MODE(flags, last)                                  \
    mode_t mode = 0;                                       \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                 \
        va_list rest;                                      \
        va_start(rest, last);                              \
        mode = va_arg(rest, mode_t);                       \
        va_end(rest);                                      \
    }

int open64(const char *path, int flags, ...) {
    MODE(flags, flags)
    return opened(AT_FDCWD, path, flags, mode);
}

int open(const char *path, int flags, ...) {
    MODE(flags, flags)
    return opened(AT_FDCWD, path, flags, mode);
}

int openat64(int folder, const char *path, int flags, ...) {
    MODE(flags, flags)
    return opened(folder, path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...) {
    MODE(flags, flags)
    return opened(folder, path, flags, mode);
}

int ftruncate64(int descriptor, off64_t length) {
    char path[PATH_MAX];
    uint64_t inode;
    if (!watched(descriptor, path, &inode)) return real_ftruncate(descriptor, length);
    pthread_mutex_lock(&lock);
    int done = fails(FTRUNCATE) ? -1 : real_ftruncate(descriptor, length);
    int error = errno;
    if (!done) record(E_TRUNCATE, path, "", inode, length, "", 0);
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

int ftruncate(int descriptor, off_t length) { return ftruncate64(descriptor, length); }

int mkdir(const char *path, mode_t mode) {
    if (!inside(path)) return real_mkdir(path, mode);
    pthread_mutex_lock(&lock);
    int done = fails(MKDIR) ? -1 : real_mkdir(path, mode);
    int error = errno;
    struct stat found;
    if (!done && !stat(path, &found)) record(E_MKDIR, path, "", found.st_ino, 0, "", 0);
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

static int removed(const char *path, enum event event, int (*real)(const char *)) {
    struct stat found;
    if (!inside(path) || lstat(path, &found)) return real(path);
    pthread_mutex_lock(&lock);
    int done = fails(UNLINK) ? -1 : real(path);
    int error = errno;
    if (!done) record(event, path, "", found.st_ino, 0, "", 0);
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

int unlink(const char *path) { return removed(path, E_UNLINK, real_unlink); }

int rmdir(const char *path) { return removed(path, E_RMDIR, real_rmdir); }

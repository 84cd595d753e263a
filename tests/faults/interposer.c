/* Loaded before the C library (LD_PRELOAD): counts the calls that touch files below one folder, has one of
 * them fail or kills the process there, and writes a log of what would reach the disk. interposer.py has the
 * meaning of the settings, which come from the environment; faults_configure reads them again after a fork. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum op { OPEN, CREATE, READ, WRITE, SYNC, TRUNCATE, RENAME, UNLINK, MKDIR, MAP, CLOSE, LIST, OPS };
enum { ELIGIBLE = OPS, FIRED, COUNTERS };
enum action { COUNT, FAIL, SHORT, KILL, TORN };

static char folder[PATH_MAX];
static size_t folder_length;
static _Atomic uint64_t *counters;
static enum action action;
static int failure, forever, log_descriptor = -1;
static uint64_t at, eligible;
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;

#define LOOKED_UP(type, name, arguments) \
    static type (*next) arguments; \
    if (!next) next = (type (*) arguments)dlsym(RTLD_NEXT, name)

static const char *setting(const char *name) {
    const char *text = getenv(name);
    return text ? text : "";
}

__attribute__((visibility("default"))) void faults_configure(void) {
    folder_length = 0;
    snprintf(folder, sizeof folder, "%s", setting("WORDSPOT_FAULTS_FOLDER"));
    const char *path = setting("WORDSPOT_FAULTS_COUNTERS");
    if (!folder[0] || !path[0]) return;
    int descriptor = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
    if (descriptor < 0) return;
    void *mapped = (void *)syscall(
        SYS_mmap, NULL, COUNTERS * sizeof *counters, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    syscall(SYS_close, descriptor);
    if (mapped == MAP_FAILED) return;
    counters = mapped;
    action = atoi(setting("WORDSPOT_FAULTS_ACTION"));
    failure = atoi(setting("WORDSPOT_FAULTS_ERRNO"));
    forever = atoi(setting("WORDSPOT_FAULTS_FOREVER"));
    at = strtoull(setting("WORDSPOT_FAULTS_AT"), NULL, 10);
    eligible = strtoull(setting("WORDSPOT_FAULTS_OPS"), NULL, 10);
    path = setting("WORDSPOT_FAULTS_LOG");
    log_descriptor =
        path[0] ? syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
    folder_length = strlen(folder);
}

__attribute__((constructor)) static void load(void) { faults_configure(); }

static int is_below(const char *path) {
    return folder_length && strncmp(path, folder, folder_length) == 0 &&
           (path[folder_length] == '/' || path[folder_length] == 0);
}

/* The path of a descriptor, as it was opened or has been renamed since; empty where it has none. */
static const char *path_of(int descriptor, char *buffer) {
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", descriptor);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, name, buffer, PATH_MAX - 1);
    buffer[length < 0 ? 0 : length] = 0;
    return buffer;
}

static const char *resolved(int directory, const char *path, char *buffer) {
    if (path[0] == '/' || !folder_length) return path;
    char parent[PATH_MAX];
    if (directory == AT_FDCWD) {
        if (syscall(SYS_getcwd, parent, sizeof parent) < 0) return path;
    } else {
        path_of(directory, parent);
    }
    if (snprintf(buffer, PATH_MAX, "%s/%s", parent, path) >= PATH_MAX) return path;
    return buffer;
}

/* Returns whether this call is to go wrong. A kill does not return. */
static int strikes(enum op op) {
    atomic_fetch_add(&counters[op], 1);
    if (!(eligible >> op & 1)) return 0;
    uint64_t number = atomic_fetch_add(&counters[ELIGIBLE], 1) + 1;
    if (action == COUNT || !(number == at || (forever && number > at))) return 0;
    atomic_fetch_add(&counters[FIRED], 1);
    if (action == KILL || (action == TORN && op != WRITE)) {
        kill(getpid(), SIGKILL);
        pause();
    }
    return 1;
}

static int fails(enum op op) {
    if (!strikes(op)) return 0;
    errno = failure;
    return 1;
}

/* How many of so many bytes are to be read or written; -1 fails. */
static ssize_t share(enum op op, size_t count) {
    if (!strikes(op)) return count;
    if (action == FAIL) {
        errno = failure;
        return -1;
    }
    return count > 1 ? count / 2 : count;
}

static void end_torn(void) {
    if (action == TORN) {
        kill(getpid(), SIGKILL);
        pause();
    }
}

/* Entries: kind, lengths of both paths, offset, bytes of data; then these. */
static void note(char kind, const char *path, const char *other, uint64_t offset, const void *data, size_t size) {
    if (log_descriptor < 0) return;
    struct { uint64_t kind, path, other, offset, size; } head = {
        kind, strlen(path), strlen(other), offset, data ? size : 0};
    struct iovec parts[] = {
        {&head, sizeof head}, {(void *)path, head.path}, {(void *)other, head.other}, {(void *)data, head.size}};
    int kept = errno;
    pthread_mutex_lock(&log_lock);
    syscall(SYS_writev, log_descriptor, parts, 4);
    pthread_mutex_unlock(&log_lock);
    errno = kept;
}

static int opened(int directory, const char *path, int flags, mode_t mode) {
    char buffer[PATH_MAX];
    const char *full = resolved(directory, path, buffer);
    if (!is_below(full)) return syscall(SYS_openat, directory, path, flags, mode);
    int writes = (flags & O_ACCMODE) != O_RDONLY || flags & O_CREAT;
    if (fails(writes ? CREATE : OPEN)) return -1;
    struct stat before;
    int existed = syscall(SYS_newfstatat, directory, path, &before, 0) == 0;
    int descriptor = syscall(SYS_openat, directory, path, flags, mode);
    if (descriptor >= 0 && !existed) note('C', full, "", 0, NULL, 0);
    if (descriptor >= 0 && existed && flags & O_TRUNC && writes) note('T', full, "", 0, NULL, 0);
    return descriptor;
}

#define OPENED(directory, path) \
    mode_t mode = 0; \
    if (flags & (O_CREAT | __O_TMPFILE)) { \
        va_list more; \
        va_start(more, flags); \
        mode = va_arg(more, mode_t); \
        va_end(more); \
    } \
    return opened(directory, path, flags, mode)

int open(const char *path, int flags, ...) { OPENED(AT_FDCWD, path); }
int open64(const char *path, int flags, ...) { OPENED(AT_FDCWD, path); }
int openat(int directory, const char *path, int flags, ...) { OPENED(directory, path); }
int openat64(int directory, const char *path, int flags, ...) { OPENED(directory, path); }

ssize_t read(int descriptor, void *data, size_t count) {
    char path[PATH_MAX];
    if (folder_length && is_below(path_of(descriptor, path)) && (ssize_t)(count = share(READ, count)) < 0) return -1;
    return syscall(SYS_read, descriptor, data, count);
}

ssize_t pread64(int descriptor, void *data, size_t count, off64_t offset) {
    char path[PATH_MAX];
    if (folder_length && is_below(path_of(descriptor, path)) && (ssize_t)(count = share(READ, count)) < 0) return -1;
    return syscall(SYS_pread64, descriptor, data, count, offset);
}
ssize_t pread(int descriptor, void *data, size_t count, off_t offset) {
    return pread64(descriptor, data, count, offset);
}

ssize_t write(int descriptor, const void *data, size_t count) {
    char path[PATH_MAX];
    if (!folder_length) return syscall(SYS_write, descriptor, data, count);
    if (!is_below(path_of(descriptor, path))) {
        if (descriptor == 1) note('N', "", "", 0, data, count);
        return syscall(SYS_write, descriptor, data, count);
    }
    if ((ssize_t)(count = share(WRITE, count)) < 0) return -1;
    int appends = syscall(SYS_fcntl, descriptor, F_GETFL) & O_APPEND;
    off_t offset = syscall(SYS_lseek, descriptor, 0, appends ? SEEK_END : SEEK_CUR);
    ssize_t written = syscall(SYS_write, descriptor, data, count);
    if (written > 0) note('W', path, "", offset, data, written);
    if (atomic_load(&counters[FIRED])) end_torn();
    return written;
}

ssize_t pwrite64(int descriptor, const void *data, size_t count, off64_t offset) {
    char path[PATH_MAX];
    if (!folder_length || !is_below(path_of(descriptor, path)))
        return syscall(SYS_pwrite64, descriptor, data, count, offset);
    if ((ssize_t)(count = share(WRITE, count)) < 0) return -1;
    ssize_t written = syscall(SYS_pwrite64, descriptor, data, count, offset);
    if (written > 0) note('W', path, "", offset, data, written);
    if (atomic_load(&counters[FIRED])) end_torn();
    return written;
}
ssize_t pwrite(int descriptor, const void *data, size_t count, off_t offset) {
    return pwrite64(descriptor, data, count, offset);
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    char path[PATH_MAX];
    if (!folder_length || !is_below(path_of(descriptor, path)) || count < 1)
        return syscall(SYS_writev, descriptor, parts, count);
    return write(descriptor, parts[0].iov_base, parts[0].iov_len); /* fewer than asked for, as is allowed */
}

static int synced(int descriptor, long number) {
    char path[PATH_MAX];
    if (folder_length && is_below(path_of(descriptor, path))) {
        if (fails(SYNC)) return -1;
        int result = syscall(number, descriptor);
        if (result == 0) note('S', path, "", 0, NULL, 0);
        return result;
    }
    return syscall(number, descriptor);
}
int fsync(int descriptor) { return synced(descriptor, SYS_fsync); }
int fdatasync(int descriptor) { return synced(descriptor, SYS_fdatasync); }

int ftruncate64(int descriptor, off64_t length) {
    char path[PATH_MAX];
    int below = folder_length && is_below(path_of(descriptor, path));
    if (below && fails(TRUNCATE)) return -1;
    int result = syscall(SYS_ftruncate, descriptor, length);
    if (below && result == 0) note('T', path, "", length, NULL, 0);
    return result;
}
int ftruncate(int descriptor, off_t length) { return ftruncate64(descriptor, length); }

int posix_fallocate64(int descriptor, off64_t offset, off64_t length) {
    char path[PATH_MAX];
    int below = folder_length && is_below(path_of(descriptor, path));
    if (below && strikes(WRITE)) return failure;
    if (syscall(SYS_fallocate, descriptor, 0, offset, length) < 0) return errno;
    if (below) note('T', path, "", offset + length, NULL, 0);
    return 0;
}
int posix_fallocate(int descriptor, off_t offset, off_t length) {
    return posix_fallocate64(descriptor, offset, length);
}

int renameat(int from, const char *old, int to, const char *new) {
    char one[PATH_MAX], two[PATH_MAX];
    const char *source = resolved(from, old, one), *target = resolved(to, new, two);
    int below = is_below(source) || is_below(target);
    if (below && fails(RENAME)) return -1;
    int result = syscall(SYS_renameat2, from, old, to, new, 0);
    if (below && result == 0) note('R', source, target, 0, NULL, 0);
    return result;
}
int rename(const char *old, const char *new) { return renameat(AT_FDCWD, old, AT_FDCWD, new); }

int unlinkat(int directory, const char *path, int flags) {
    char buffer[PATH_MAX];
    const char *full = resolved(directory, path, buffer);
    if (is_below(full) && fails(UNLINK)) return -1;
    int result = syscall(SYS_unlinkat, directory, path, flags);
    if (is_below(full) && result == 0) note('U', full, "", 0, NULL, 0);
    return result;
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int mkdirat(int directory, const char *path, mode_t mode) {
    char buffer[PATH_MAX];
    const char *full = resolved(directory, path, buffer);
    if (is_below(full) && fails(MKDIR)) return -1;
    int result = syscall(SYS_mkdirat, directory, path, mode);
    if (is_below(full) && result == 0) note('D', full, "", 0, NULL, 0);
    return result;
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

void *mmap64(void *address, size_t length, int protection, int flags, int descriptor, off64_t offset) {
    char path[PATH_MAX];
    if (folder_length && descriptor >= 0 && is_below(path_of(descriptor, path)) && fails(MAP)) return MAP_FAILED;
    return (void *)syscall(SYS_mmap, address, length, protection, flags, descriptor, offset);
}
void *mmap(void *address, size_t length, int protection, int flags, int descriptor, off_t offset) {
    return mmap64(address, length, protection, flags, descriptor, offset);
}

int close(int descriptor) {
    char path[PATH_MAX];
    int below = folder_length && is_below(path_of(descriptor, path));
    int struck = below && fails(CLOSE);
    int result = syscall(SYS_close, descriptor); /* closed, whatever it answers */
    if (!struck) return result;
    errno = failure;
    return -1;
}

DIR *fdopendir(int descriptor) {
    char path[PATH_MAX];
    LOOKED_UP(DIR *, "fdopendir", (int));
    if (folder_length && is_below(path_of(descriptor, path)) && fails(LIST)) return NULL;
    return next(descriptor);
}
DIR *opendir(const char *name) {
    char buffer[PATH_MAX];
    LOOKED_UP(DIR *, "opendir", (const char *));
    if (is_below(resolved(AT_FDCWD, name, buffer)) && fails(LIST)) return NULL;
    return next(name);
}

/* Streams of C: what they write at once, they would write at last; they go on after what was short. */
static FILE *stream(const char *path, const char *mode, FILE *(*next)(const char *, const char *)) {
    char buffer[PATH_MAX];
    const char *full = resolved(AT_FDCWD, path, buffer);
    int writes = strpbrk(mode, "wa+") != NULL;
    if (is_below(full) && fails(writes ? CREATE : OPEN)) return NULL;
    FILE *file = next(path, mode);
    if (file && is_below(full) && writes) note('C', full, "", 0, NULL, 0);
    return file;
}
FILE *fopen(const char *path, const char *mode) {
    LOOKED_UP(FILE *, "fopen", (const char *, const char *));
    return stream(path, mode, next);
}
FILE *fopen64(const char *path, const char *mode) {
    LOOKED_UP(FILE *, "fopen64", (const char *, const char *));
    return stream(path, mode, next);
}
size_t fread(void *data, size_t size, size_t count, FILE *file) {
    char path[PATH_MAX];
    LOOKED_UP(size_t, "fread", (void *, size_t, size_t, FILE *));
    if (folder_length && is_below(path_of(fileno(file), path)) && action != SHORT && strikes(READ)) {
        errno = failure;
        return 0;
    }
    return next(data, size, count, file);
}
size_t fwrite(const void *data, size_t size, size_t count, FILE *file) {
    char path[PATH_MAX];
    LOOKED_UP(size_t, "fwrite", (const void *, size_t, size_t, FILE *));
    if (!folder_length || !is_below(path_of(fileno(file), path))) return next(data, size, count, file);
    if (action != SHORT && strikes(WRITE)) {
        errno = failure;
        return action == FAIL ? 0 : next(data, size, count / 2, file);
    }
    if (log_descriptor < 0) return next(data, size, count, file);
    off_t offset = ftello(file);
    size_t written = next(data, size, count, file);
    if (fflush(file) == 0) note('W', path, "", offset, data, size * written);
    return written;
}

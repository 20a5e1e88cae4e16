/* A disk that fails, or whose every call is written down. For LD_PRELOAD; tests/builders/faulty_disk.py is its user.
 *
 * fault(folder, kinds, number, log): of the calls on files below `folder` whose kind is in `kinds` ("r" read, "w" write,
 * "s" sync), the one of that number, counted from 1, fails with EIO. With log >= 0, writes, cuts, syncs, renames and
 * removals below `folder` go to that descriptor, each as a line "op inode offset length\n" and `length` bytes.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static char below[4096], wanted[8];
static long left;
static int out = -1;
long fault_calls;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

void fault(const char *folder, const char *kinds, long number, int log) {
    strncpy(below, folder, sizeof below - 1);
    strncpy(wanted, kinds, sizeof wanted - 1);
    left = number;
    out = log;
    fault_calls = 0;
}

static int ours(int fd) {
    char link[64], path[4096];
    if (!below[0] || fd == out) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0) return 0;
    path[n] = 0;
    return !strncmp(path, below, strlen(below));
}

static int fails(int fd, char kind) {
    if (!below[0] || !strchr(wanted, kind) || !ours(fd)) return 0;
    fault_calls++;
    if (--left) return 0;
    errno = EIO;
    return 1;
}

static void say(char op, unsigned long inode, long offset, const void *data, long size) {
    char head[96];
    int saved = errno, n = snprintf(head, sizeof head, "%c %lu %ld %ld\n", op, inode, offset, size);
    REAL(write)(out, head, n);
    for (long at = 0; at < size;) at += REAL(write)(out, (const char *)data + at, size - at);
    errno = saved;
}

static void note(char op, int fd, long offset, const void *data, long size) {
    struct stat state;
    if (out >= 0 && size >= 0 && ours(fd) && !fstat(fd, &state)) say(op, state.st_ino, offset, data, size);
}

ssize_t read(int fd, void *buffer, size_t size) { return fails(fd, 'r') ? -1 : REAL(read)(fd, buffer, size); }
ssize_t pread(int fd, void *b, size_t n, off_t at) { return fails(fd, 'r') ? -1 : REAL(pread)(fd, b, n, at); }
ssize_t pread64(int fd, void *b, size_t n, off64_t at) { return fails(fd, 'r') ? -1 : REAL(pread64)(fd, b, n, at); }

ssize_t write(int fd, const void *buffer, size_t size) {
    if (fails(fd, 'w')) return -1;
    long at = out >= 0 ? lseek(fd, 0, SEEK_CUR) : 0;
    ssize_t done = REAL(write)(fd, buffer, size);
    note('W', fd, at, buffer, done);
    return done;
}

ssize_t pwrite(int fd, const void *buffer, size_t size, off_t at) {
    if (fails(fd, 'w')) return -1;
    ssize_t done = REAL(pwrite)(fd, buffer, size, at);
    note('W', fd, at, buffer, done);
    return done;
}

ssize_t pwrite64(int fd, const void *buffer, size_t size, off64_t at) {
    if (fails(fd, 'w')) return -1;
    ssize_t done = REAL(pwrite64)(fd, buffer, size, at);
    note('W', fd, at, buffer, done);
    return done;
}

#define CUT(name, type)                                                                                                \
    int name(int fd, type size) {                                                                                      \
        if (fails(fd, 'w')) return -1;                                                                                 \
        int code = REAL(name)(fd, size);                                                                               \
        if (!code) note('T', fd, size, "", 0);                                                                         \
        return code;                                                                                                   \
    }
CUT(ftruncate, off_t)
CUT(ftruncate64, off64_t)

#define SYNC(name)                                                                                                     \
    int name(int fd) {                                                                                                 \
        if (fails(fd, 's')) return -1;                                                                                 \
        int code = REAL(name)(fd);                                                                                     \
        if (!code) note('S', fd, 0, "", 0);                                                                            \
        return code;                                                                                                   \
    }
SYNC(fsync)
SYNC(fdatasync)

int rename(const char *from, const char *to) {
    struct stat state;
    int code = REAL(rename)(from, to);
    if (!code && out >= 0 && !stat(to, &state)) say('R', state.st_ino, 0, to, strlen(to));
    return code;
}

int unlink(const char *path) {
    int code = REAL(unlink)(path);
    if (!code && out >= 0) say('U', 0, 0, path, strlen(path));
    return code;
}

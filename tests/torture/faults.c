/* Below Python's `os`: the N-th system call on files of a folder fails, or the N-th large allocation.

   Loaded with LD_PRELOAD into a program that forks once for each fault; the fork arms itself with `torture_arm`.
   Counted are calls on paths below the folder, and on descriptors that such a call has opened. */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define MOST 65536
static int turn, number, failures, seldom;
static size_t least;
static char folder[4096], last[64];
static unsigned char ours[MOST];

void torture_arm(int nth, int err, const char *below, unsigned long smallest) {
    turn = nth; number = err; failures = 0; least = smallest; last[0] = 0;
    strncpy(folder, below, sizeof folder - 1);
}
/* Count the seldom calls (locks, modes, names in folders, positions, mappings) instead of the usual ones. */
void torture_seldom(int whether) { seldom = whether; }
/* Whether a call has failed, and which. */
const char *torture_failed(void) { return failures ? last : ""; }

static int strike(const char *name) {
    if (turn <= 0 || --turn > 0) return 0;
    failures++;
    strncpy(last, name, sizeof last - 1);
    errno = number;
    return 1;
}
static int below(const char *path) { return path && folder[0] && !least && !strncmp(path, folder, strlen(folder)); }
static int mine(int fd) { return !least && fd >= 0 && fd < MOST && ours[fd]; }
static int opened(int fd, const char *path) {
    if (fd >= 0 && fd < MOST) ours[fd] = folder[0] && path && !strncmp(path, folder, strlen(folder));
    return fd;
}

#define REAL(type, name, ...) static type (*real)(__VA_ARGS__); if (!real) real = dlsym(RTLD_NEXT, #name)
#define FAILS(name, hit, value) if (!seldom && (hit) && strike(#name)) return value
#define SELDOM(name, hit, value) if (seldom && (hit) && strike(#name)) return value

#define OPEN(name) int name(const char *path, int flags, ...) { \
    REAL(int, name, const char *, int, ...); va_list more; va_start(more, flags); \
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(more, mode_t) : 0; va_end(more); \
    FAILS(name, below(path), -1); return opened(real(path, flags, mode), path); }
OPEN(open) OPEN(open64)
#define OPENAT(name) int name(int at, const char *path, int flags, ...) { \
    REAL(int, name, int, const char *, int, ...); va_list more; va_start(more, flags); \
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(more, mode_t) : 0; va_end(more); \
    FAILS(name, below(path), -1); return opened(real(at, path, flags, mode), path); }
OPENAT(openat) OPENAT(openat64)

ssize_t read(int fd, void *to, size_t n) {
    REAL(ssize_t, read, int, void *, size_t); FAILS(read, mine(fd), -1); return real(fd, to, n); }
ssize_t pread64(int fd, void *to, size_t n, off64_t at) {
    REAL(ssize_t, pread64, int, void *, size_t, off64_t); FAILS(pread, mine(fd), -1); return real(fd, to, n, at); }
ssize_t write(int fd, const void *from, size_t n) {
    REAL(ssize_t, write, int, const void *, size_t); FAILS(write, mine(fd), -1); return real(fd, from, n); }
int fsync(int fd) { REAL(int, fsync, int); FAILS(fsync, mine(fd), -1); return mine(fd) ? 0 : real(fd); }
int ftruncate64(int fd, off64_t to) { REAL(int, ftruncate64, int, off64_t); FAILS(ftruncate, mine(fd), -1); return real(fd, to); }
int close(int fd) {
    REAL(int, close, int); int hit = mine(fd);
    if (fd >= 0 && fd < MOST) ours[fd] = 0;
    if (!seldom && hit && strike("close")) { int kept = errno; real(fd); errno = kept; return -1; }
    return real(fd); }
int link(const char *from, const char *to) {
    REAL(int, link, const char *, const char *); FAILS(link, below(to), -1); return real(from, to); }
int rename(const char *from, const char *to) {
    REAL(int, rename, const char *, const char *); FAILS(rename, below(to), -1); return real(from, to); }
int unlink(const char *path) { REAL(int, unlink, const char *); FAILS(unlink, below(path), -1); return real(path); }
int rmdir(const char *path) { REAL(int, rmdir, const char *); FAILS(rmdir, below(path), -1); return real(path); }
int mkdir(const char *path, mode_t mode) {
    REAL(int, mkdir, const char *, mode_t); FAILS(mkdir, below(path), -1); return real(path, mode); }
DIR *opendir(const char *path) {
    REAL(DIR *, opendir, const char *); FAILS(opendir, below(path), NULL);
    DIR *at = real(path); if (at) opened(dirfd(at), path); return at; }
int closedir(DIR *at) {
    REAL(int, closedir, DIR *); int fd = dirfd(at); if (fd >= 0 && fd < MOST) ours[fd] = 0; return real(at); }
#define STAT(name, kind) int name(const char *path, struct kind *to) { \
    REAL(int, name, const char *, struct kind *); FAILS(name, below(path), -1); return real(path, to); }
STAT(stat, stat) STAT(lstat, stat) STAT(stat64, stat64) STAT(lstat64, stat64)
#define FSTAT(name, kind) int name(int fd, struct kind *to) { \
    REAL(int, name, int, struct kind *); FAILS(name, mine(fd), -1); return real(fd, to); }
FSTAT(fstat, stat) FSTAT(fstat64, stat64)
static int within(int at, const char *path) { return path && path[0] == '/' ? below(path) : mine(at); }
struct dirent64 *readdir64(DIR *at) {
    REAL(struct dirent64 *, readdir64, DIR *); SELDOM(readdir, mine(dirfd(at)), NULL); return real(at); }
int flock(int fd, int how) { REAL(int, flock, int, int); SELDOM(flock, mine(fd), -1); return real(fd, how); }
int fchmod(int fd, mode_t mode) { REAL(int, fchmod, int, mode_t); SELDOM(fchmod, mine(fd), -1); return real(fd, mode); }
int access(const char *path, int mode) {
    REAL(int, access, const char *, int); SELDOM(access, below(path), -1); return real(path, mode); }
ssize_t readlink(const char *path, char *to, size_t n) {
    REAL(ssize_t, readlink, const char *, char *, size_t); SELDOM(readlink, below(path), -1); return real(path, to, n); }
int fstatat64(int at, const char *path, struct stat64 *to, int flags) {
    REAL(int, fstatat64, int, const char *, struct stat64 *, int); SELDOM(fstatat, within(at, path), -1);
    return real(at, path, to, flags); }
int unlinkat(int at, const char *path, int flags) {
    REAL(int, unlinkat, int, const char *, int); SELDOM(unlinkat, within(at, path), -1); return real(at, path, flags); }
off64_t lseek64(int fd, off64_t to, int how) {
    REAL(off64_t, lseek64, int, off64_t, int); SELDOM(lseek, mine(fd), -1); return real(fd, to, how); }
void *mmap64(void *at, size_t n, int protection, int flags, int fd, off64_t from) {
    REAL(void *, mmap64, void *, size_t, int, int, int, off64_t); SELDOM(mmap, mine(fd), MAP_FAILED);
    return real(at, n, protection, flags, fd, from); }

/* dlsym itself allocates: until the real functions are there, a small block is handed out. */
static char early[65536];
static size_t used;
static void *from_early(size_t n) { void *at = early + used; used += (n + 15) & ~15UL; return used <= sizeof early ? at : NULL; }
static int is_early(const void *at) { return (const char *)at >= early && (const char *)at < early + sizeof early; }
static int scarce(size_t n) { return least && n >= least; }
static void *(*real_malloc)(size_t), *(*real_calloc)(size_t, size_t), *(*real_realloc)(void *, size_t);
static void (*real_free)(void *);
static int looking;
static int ready(void) {
    if (real_free) return 1;
    if (looking) return 0;
    looking = 1;
    real_malloc = dlsym(RTLD_NEXT, "malloc"); real_calloc = dlsym(RTLD_NEXT, "calloc");
    real_realloc = dlsym(RTLD_NEXT, "realloc"); real_free = dlsym(RTLD_NEXT, "free");
    looking = 0;
    return 1;
}
void *malloc(size_t n) {
    if (!ready()) return from_early(n);
    FAILS(malloc, scarce(n), NULL); return real_malloc(n); }
void *calloc(size_t n, size_t size) {
    if (!ready()) return from_early(n * size);
    FAILS(calloc, scarce(n * size), NULL); return real_calloc(n, size); }
void *realloc(void *at, size_t n) {
    if (is_early(at)) { void *new = malloc(n); if (new) memcpy(new, at, n); return new; }
    if (!ready()) return from_early(n);
    FAILS(realloc, scarce(n), NULL); return real_realloc(at, n); }
void free(void *at) { if (at && !is_early(at) && ready()) real_free(at); }

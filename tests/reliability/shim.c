/* A disk that fails on demand: loaded before the C library (LD_PRELOAD), it counts the calls that
 * change files under one folder, and crashes, tears or fails the n-th of them. It can also write
 * down what was written and synced, for a model of power loss.
 *
 * Syncs are counted and not passed on: what a killed process has written stays in the page cache.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef __LP64__
#error "needs a 64-bit system"
#endif

enum mode { LIVE, CRASH_BEFORE, CRASH_AFTER, HALF, ENOSPC_ONCE, EIO_ONCE, SHORT, FULL, BUSY };

#define MOST_FILES 4096
#define MOST_CALLS 65536
#define CRASHED 77

static char root[4096];
static size_t root_length;
static unsigned char watched[MOST_FILES]; /* 1 a file, 2 a folder, 3 an index of a log */
static unsigned char is_private[MOST_FILES]; /* under a name that nobody else opens: ".x.new" */
static char kinds[MOST_CALLS + 1];
static long calls, locks, armed_at;
static int armed_mode, fired, recorder = -1;

/* --- what the harness calls --------------------------------------------------------------- */

void shim_watch(const char *folder) {
    root_length = strlen(folder) < sizeof root ? strlen(folder) : 0;
    memcpy(root, folder, root_length);
    memset(watched, 0, sizeof watched);
    memset(kinds, 0, sizeof kinds);
    calls = locks = fired = 0;
    armed_mode = LIVE;
}

void shim_arm(long at, int mode) {
    armed_at = at;
    armed_mode = mode;
}

long shim_calls(void) { return calls; }
long shim_locks(void) { return locks; }
int shim_fired(void) { return fired; }
const char *shim_kinds(void) { return kinds; }
void shim_record(int descriptor) { recorder = descriptor; }

/* --- writing down ------------------------------------------------------------------------- */

struct event {
    char kind;
    char unused[7];
    uint64_t inode;
    int64_t offset;
    uint32_t path_length, data_length;
};

static void note(char kind, uint64_t inode, int64_t offset, const char *path, const void *data,
                 size_t data_length) {
    struct event event = {.kind = kind, .inode = inode, .offset = offset};
    if (recorder < 0)
        return;
    event.path_length = path ? strlen(path) : 0;
    event.data_length = data_length;
    struct iovec parts[] = {{&event, sizeof event},
                            {(void *)(path ? path : ""), event.path_length},
                            {(void *)(data ? data : ""), data_length}};
    if (syscall(SYS_writev, recorder, parts, 3) < 0)
        syscall(SYS_exit_group, 78);
}

void shim_mark(long number) { note('!', 0, number, NULL, NULL, 0); }

static uint64_t inode_of(int descriptor) {
    struct stat found;
    int saved = errno;
    uint64_t inode = fstat(descriptor, &found) == 0 ? found.st_ino : 0;
    errno = saved;
    return inode;
}

/* --- deciding ----------------------------------------------------------------------------- */

static int is_inside(const char *path) {
    return root_length && path && strncmp(path, root, root_length) == 0 &&
           (path[root_length] == '/' || path[root_length] == '\0');
}

static const char *inside(const char *path) {
    return path[root_length] == '/' ? path + root_length + 1 : "";
}

static int kind_of(int descriptor) {
    return descriptor >= 0 && descriptor < MOST_FILES ? watched[descriptor] : 0;
}

static int takes_space(char kind) { return strchr("wotlm", kind) != NULL; }

/* Count one call, and return what becomes of it: LIVE, or a mode that fits its kind. */
static int next_call(char kind) {
    if (calls < MOST_CALLS)
        kinds[calls] = kind;
    calls++;
    if (armed_mode == LIVE || armed_mode == BUSY || calls < armed_at)
        return LIVE;
    if (armed_mode == FULL && !takes_space(kind))
        return LIVE;
    if (armed_mode != FULL && calls != armed_at)
        return LIVE;
    fired = 1;
    return armed_mode;
}

static void crash(void) { syscall(SYS_exit_group, CRASHED); }

/* Return the result of a call that nothing but success, failure and a crash can come of. */
#define WHOLE(kind, call, on_success)                                                              \
    do {                                                                                           \
        int what = next_call(kind);                                                                \
        if (what == CRASH_BEFORE || what == HALF)                                                  \
            crash();                                                                               \
        if (what == ENOSPC_ONCE || what == FULL || what == EIO_ONCE) {                             \
            errno = what == EIO_ONCE ? EIO : ENOSPC;                                               \
            return -1;                                                                             \
        }                                                                                          \
        long result = call;                                                                        \
        if (result >= 0) {                                                                         \
            on_success;                                                                            \
        }                                                                                          \
        if (what == CRASH_AFTER)                                                                   \
            crash();                                                                               \
        return (int)result;                                                                        \
    } while (0)

/* --- writing ------------------------------------------------------------------------------ */

static ssize_t put(int descriptor, const void *data, size_t size, off_t offset) {
    if (offset < 0)
        return syscall(SYS_write, descriptor, data, size);
    return syscall(SYS_pwrite64, descriptor, data, size, offset);
}

static ssize_t write_at(int descriptor, const void *data, size_t size, off_t offset) {
    int what = next_call('w');
    if (what == CRASH_BEFORE)
        crash();
    if (what == ENOSPC_ONCE || what == FULL || what == EIO_ONCE) {
        errno = what == EIO_ONCE ? EIO : ENOSPC;
        return -1;
    }
    off_t place = offset < 0 ? lseek(descriptor, 0, SEEK_CUR) : offset;
    ssize_t done = put(descriptor, data, what == HALF || what == SHORT ? (size + 1) / 2 : size, offset);
    if (what == HALF || what == CRASH_AFTER)
        crash();
    if (done > 0 && watched[descriptor] == 1)
        note('w', inode_of(descriptor), place, NULL, data, done);
    return done;
}

ssize_t write(int descriptor, const void *data, size_t size) {
    return kind_of(descriptor) ? write_at(descriptor, data, size, -1)
                               : syscall(SYS_write, descriptor, data, size);
}

ssize_t pwrite64(int descriptor, const void *data, size_t size, off_t offset) {
    return kind_of(descriptor) ? write_at(descriptor, data, size, offset)
                               : syscall(SYS_pwrite64, descriptor, data, size, offset);
}

ssize_t pwrite(int descriptor, const void *data, size_t size, off_t offset) {
    return pwrite64(descriptor, data, size, offset);
}

int ftruncate64(int descriptor, off_t size) {
    if (!kind_of(descriptor))
        return syscall(SYS_ftruncate, descriptor, size);
    struct stat found;
    char kind = fstat(descriptor, &found) == 0 && size > found.st_size ? 't' : 'c';
    WHOLE(kind, syscall(SYS_ftruncate, descriptor, size),
          if (watched[descriptor] == 1) note('t', inode_of(descriptor), size, NULL, NULL, 0));
}

int ftruncate(int descriptor, off_t size) { return ftruncate64(descriptor, size); }

int fsync(int descriptor) {
    if (!kind_of(descriptor))
        return syscall(SYS_fsync, descriptor);
    WHOLE('s', 0, note('s', inode_of(descriptor), watched[descriptor] == 2, NULL, NULL, 0));
}

int fdatasync(int descriptor) {
    if (!kind_of(descriptor))
        return syscall(SYS_fdatasync, descriptor);
    WHOLE('s', 0, note('s', inode_of(descriptor), watched[descriptor] == 2, NULL, NULL, 0));
}

/* --- opening ------------------------------------------------------------------------------ */

static void opened(int descriptor, const char *path, int flags, int existed) {
    struct stat found;
    if (descriptor >= MOST_FILES || fstat(descriptor, &found) < 0)
        return;
    size_t length = strlen(path);
    int is_index = length > 4 && strcmp(path + length - 4, "-shm") == 0;
    const char *name = strrchr(path, '/');
    is_private[descriptor] = name && name[1] == '.';
    watched[descriptor] = S_ISDIR(found.st_mode) ? 2 : is_index ? 3 : 1;
    if (is_index)
        return;
    note(existed ? 'O' : 'o', found.st_ino, watched[descriptor] == 2, inside(path), NULL, 0);
    if (existed && (flags & O_TRUNC))
        note('t', found.st_ino, 0, NULL, NULL, 0);
}

static int open_inside(int folder, const char *path, int flags, mode_t rights) {
    int existed = syscall(SYS_faccessat, folder, path, F_OK) == 0;
    if (!(flags & (O_CREAT | O_TRUNC))) {
        int descriptor = syscall(SYS_openat, folder, path, flags, rights);
        if (descriptor >= 0)
            opened(descriptor, path, flags, 1);
        return descriptor;
    }
    WHOLE(existed ? 'e' : 'o', syscall(SYS_openat, folder, path, flags, rights),
          opened(result, path, flags, existed));
}

static int open_any(int folder, const char *path, int flags, va_list rest) {
    mode_t rights = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    return is_inside(path) ? open_inside(folder, path, flags, rights)
                           : syscall(SYS_openat, folder, path, flags, rights);
}

#define OPEN(folder)                                                                               \
    do {                                                                                           \
        va_list rest;                                                                              \
        va_start(rest, flags);                                                                     \
        int descriptor = open_any(folder, path, flags, rest);                                      \
        va_end(rest);                                                                              \
        return descriptor;                                                                         \
    } while (0)

int open(const char *path, int flags, ...) { OPEN(AT_FDCWD); }
int open64(const char *path, int flags, ...) { OPEN(AT_FDCWD); }
int openat(int folder, const char *path, int flags, ...) { OPEN(folder); }
int openat64(int folder, const char *path, int flags, ...) { OPEN(folder); }

int close(int descriptor) {
    if (kind_of(descriptor))
        watched[descriptor] = 0;
    return syscall(SYS_close, descriptor);
}

/* --- names -------------------------------------------------------------------------------- */

static int rename_any(int from, const char *old, int to, const char *new) {
    if (!is_inside(old) || !is_inside(new))
        return syscall(SYS_renameat2, from, old, to, new, 0);
    WHOLE('r', syscall(SYS_renameat2, from, old, to, new, 0),
          note('r', 0, 0, inside(old), inside(new), strlen(inside(new))));
}

int rename(const char *old, const char *new) { return rename_any(AT_FDCWD, old, AT_FDCWD, new); }
int renameat(int from, const char *old, int to, const char *new) {
    return rename_any(from, old, to, new);
}

static int link_any(int from, const char *old, int to, const char *new, int flags) {
    if (!is_inside(old) || !is_inside(new))
        return syscall(SYS_linkat, from, old, to, new, flags);
    WHOLE('l', syscall(SYS_linkat, from, old, to, new, flags),
          note('l', 0, 0, inside(old), inside(new), strlen(inside(new))));
}

int link(const char *old, const char *new) { return link_any(AT_FDCWD, old, AT_FDCWD, new, 0); }
int linkat(int from, const char *old, int to, const char *new, int flags) {
    return link_any(from, old, to, new, flags);
}

static int unlink_any(int folder, const char *path, int flags) {
    if (!is_inside(path))
        return syscall(SYS_unlinkat, folder, path, flags);
    WHOLE('u', syscall(SYS_unlinkat, folder, path, flags), note('u', 0, 0, inside(path), NULL, 0));
}

int unlink(const char *path) { return unlink_any(AT_FDCWD, path, 0); }
int unlinkat(int folder, const char *path, int flags) { return unlink_any(folder, path, flags); }

static int mkdir_any(int folder, const char *path, mode_t rights) {
    if (!is_inside(path))
        return syscall(SYS_mkdirat, folder, path, rights);
    WHOLE('m', syscall(SYS_mkdirat, folder, path, rights), note('m', 0, 0, inside(path), NULL, 0));
}

int mkdir(const char *path, mode_t rights) { return mkdir_any(AT_FDCWD, path, rights); }
int mkdirat(int folder, const char *path, mode_t rights) { return mkdir_any(folder, path, rights); }

/* --- locks -------------------------------------------------------------------------------- */

static int fcntl_any(int descriptor, int command, void *argument) {
    struct flock *lock = argument;
    /* A shared lock on more than one byte is what SQLite goes back to from an exclusive one. */
    int may_wait = command == F_SETLK && (lock->l_type == F_WRLCK ||
                                          (lock->l_type == F_RDLCK && lock->l_len == 1));
    if (may_wait && kind_of(descriptor) && !is_private[descriptor] && ++locks == armed_at &&
        armed_mode == BUSY) {
        fired = 1;
        errno = EAGAIN; /* somebody else holds it, for a moment */
        return -1;
    }
    return syscall(SYS_fcntl, descriptor, command, argument);
}

#define FCNTL                                                                                      \
    do {                                                                                           \
        va_list rest;                                                                              \
        va_start(rest, command);                                                                   \
        void *argument = va_arg(rest, void *);                                                     \
        va_end(rest);                                                                              \
        return fcntl_any(descriptor, command, argument);                                           \
    } while (0)

int fcntl(int descriptor, int command, ...) { FCNTL; }
int fcntl64(int descriptor, int command, ...) { FCNTL; }

/* Preloaded into a process under test: fsync and fdatasync take SLOW_FSYNC_MS longer, as on a busy disk, and each call
 * adds a line with the number of its process to the file SLOW_FSYNC_LOG. While the file FAIL_FSYNC is there, each call
 * fails, as on a disk that lost what it was given. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void be_noticed(void) {
    const char *path = getenv("SLOW_FSYNC_LOG");
    char line[32];
    int length = snprintf(line, sizeof line, "%d\n", getpid());
    int log = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (log >= 0) {
        if (write(log, line, length) != length) {
            abort();
        }
        close(log);
    }
}

static void be_slow(void) {
    const char *text = getenv("SLOW_FSYNC_MS");
    long ms = text ? atol(text) : 0;
    struct timespec left = {ms / 1000, ms % 1000 * 1000000};
    be_noticed();
    while (nanosleep(&left, &left)) {
    }
}

static int must_fail(void) {
    const char *path = getenv("FAIL_FSYNC");
    if (path && access(path, F_OK) == 0) {
        errno = EIO;
        return 1;
    }
    return 0;
}

int fsync(int fd) {
    be_slow();
    if (must_fail()) {
        return -1;
    }
    return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd);
}

int fdatasync(int fd) {
    be_slow();
    if (must_fail()) {
        return -1;
    }
    return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd);
}

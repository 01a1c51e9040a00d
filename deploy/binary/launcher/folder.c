#define _GNU_SOURCE
#include "folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "say.h"

#define DEFAULT_STATE "titan-data"
#define PROGRAM "program"
#define LOCK "lock"
#define WAIT_S 30
#define DIGEST_DIGITS 12 /* as build.py names it */
#define LOWEST_KEPT_FD 10 /* never one of the standard descriptors, not even where those are closed */

/* As the settings read them: the variables, systemd's first folder, the default; empty counts as not set.
 *
 * A command that was given nothing of these, and is not where a server keeps its state, leaves none in that place.
 */
static char *wanted_state_folder(bool is_server) {
    const char *names[] = {"TITAN_DATA_DIR", "TITAN_DATABASE__DATA_DIR", "STATE_DIRECTORY"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *given = getenv(names[i]);
        size_t length = given == NULL ? 0 : i == 2 ? strcspn(given, ":") : strlen(given);
        if (length > 0)
            return strndup(given, length);
    }
    const char *home = getenv("HOME");
    char *cache = NULL;
    if (is_server || home == NULL || *home != '/' || access(DEFAULT_STATE, F_OK) == 0)
        return strdup(DEFAULT_STATE);
    return asprintf(&cache, "%s/.cache/titan-aas", home) < 0 ? NULL : cache;
}

static void make_folders(char *path) {
    for (char *slash = path + 1;; slash++) {
        if (*slash != '/' && *slash != '\0')
            continue;
        char kept = *slash;
        *slash = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
            die("cannot make the folder %s, below which this program unpacks itself: %s; TITAN_DATA_DIR names another",
                path, strerror(errno));
        *slash = kept;
        if (kept == '\0')
            return;
    }
}

/* Code is run from there: nobody else may be able to exchange it. */
static void refuse_foreign(int fd, const char *path, mode_t not_allowed) {
    struct stat status;
    if (fstat(fd, &status) != 0)
        die("cannot look at %s: %s", path, strerror(errno));
    if (status.st_uid != geteuid())
        die("%s belongs to user %u, not to you (%u): run this as that user, or name another folder by TITAN_DATA_DIR",
            path, status.st_uid, geteuid());
    if (status.st_mode & not_allowed)
        die("%s can be written by others: chmod go-w it, for this program runs from there", path);
}

char *open_program_folder(bool is_server, int *fd) {
    char *wanted = wanted_state_folder(is_server);
    if (wanted == NULL)
        die("no memory");
    make_folders(wanted);
    char *state = realpath(wanted, NULL);
    char *path = NULL;
    if (state == NULL || asprintf(&path, "%s/" PROGRAM, state) < 0)
        die("cannot find %s: %s", wanted, strerror(errno));
    if (strchr(path, ':') != NULL)
        die("%s: the path of the state folder must be free of colons, which separate paths", path);
    int state_fd = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (state_fd < 0)
        die("cannot open %s: %s", state, strerror(errno));
    if (geteuid() == 0) /* root must not run what somebody else could put there */
        refuse_foreign(state_fd, state, 0);
    if (mkdirat(state_fd, PROGRAM, 0700) != 0 && errno != EEXIST)
        die("cannot make %s: %s; TITAN_DATA_DIR names another state folder", path, strerror(errno));
    *fd = openat(state_fd, PROGRAM, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*fd < 0)
        die("cannot open %s: %s; run this as the user that it belongs to, or name another folder by TITAN_DATA_DIR", path,
            strerror(errno));
    refuse_foreign(*fd, path, S_IWGRP | S_IWOTH);
    free(state);
    free(wanted);
    return path;
}

static int open_lock(int folder) { return openat(folder, LOCK, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600); }

int lock_program_folder(int program, const char *path) {
    const struct timespec pause = {0, 20 * 1000 * 1000};
    int fd = open_lock(program);
    if (fd < 0)
        die("cannot make %s/" LOCK ": %s", path, strerror(errno));
    for (int waited_ms = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; waited_ms += 20) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            die("cannot lock %s/" LOCK ": %s", path, strerror(errno));
        if (waited_ms > WAIT_S * 1000)
            die("another start has kept %s/" LOCK " for %d s; it hangs or its disk does", path, WAIT_S);
        nanosleep(&pause, NULL);
    }
    return fd;
}

void hold(int folder, const char *path) {
    int fd = open_lock(folder);
    int kept = fd < 0 ? -1 : fcntl(fd, F_DUPFD, LOWEST_KEPT_FD);
    if (kept < 0 || flock(kept, LOCK_SH | LOCK_NB) != 0)
        die("cannot lock %s/" LOCK ": %s", path, strerror(errno));
    close(fd);
}

bool remove_tree(int parent, const char *name) {
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return (errno == ENOTDIR || errno == ELOOP) ? unlinkat(parent, name, 0) == 0 : errno == ENOENT;
    DIR *folder = fdopendir(fd);
    bool done = folder != NULL;
    for (struct dirent *entry; done && (entry = readdir(folder)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            done = remove_tree(fd, entry->d_name);
    if (folder != NULL)
        closedir(folder);
    return done && unlinkat(parent, name, AT_REMOVEDIR) == 0;
}

static bool is_in_use(int program, const char *name) {
    int folder = openat(program, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0)
        return false;
    int fd = openat(folder, LOCK, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    bool used = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0;
    if (fd >= 0)
        close(fd);
    close(folder);
    return used;
}

/* Named as the build names contents (VERSION-DIGEST), perhaps with what is put behind that: .unpacking, .damaged-PID.
 *
 * All else was put there by somebody else, whose state folder happens to hold a folder called "program".
 */
static bool is_of_this_program(const char *name) {
    const char *digest = strchr(name, '-');
    if (digest == NULL || *name < '0' || *name > '9')
        return false;
    size_t length = strspn(++digest, "0123456789abcdef");
    return length == DIGEST_DIGITS && (digest[length] == '\0' || digest[length] == '.');
}

void remove_leftovers(int program, const char *path, const char *current) {
    int copy = openat(program, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = copy < 0 ? NULL : fdopendir(copy);
    if (folder == NULL)
        die("cannot read %s: %s", path, strerror(errno));
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        const char *name = entry->d_name;
        if (!is_of_this_program(name) || strcmp(name, current) == 0)
            continue;
        if (!is_in_use(program, name) && !remove_tree(program, name))
            warn("cannot remove what is left in %s/%s: %s", path, name, strerror(errno));
    }
    closedir(folder);
}

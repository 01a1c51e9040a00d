/* The first thing that runs in the single binary: it unpacks what is appended to itself and becomes it by exec.
 *
 * Becoming, not starting: there is one process, so signals, sd_notify and a SIGKILL meet the server itself.
 *
 * Layout of the file: this program, the contents of all files as LZ4 blocks, an index of text lines, the footer.
 *   index:  "NAME\n", then a line for each folder (d), file (f) and executable (x): "KIND SIZE PACKED_SIZE OFFSET PATH\n"
 * NAME is the name of the folder below STATE/program: version and digest of the contents, so that two versions never
 * share one. What is there already is used only if each file equals its original byte for byte: a start that was
 * killed, a full disk or a loss of power cannot leave half a program that runs.
 *
 * Locks (flock): STATE/program/lock by who looks, unpacks or removes; STATE/program/NAME/lock, shared, by each process
 * that runs from there, through exec and to its end. What nobody holds and nobody needs is a leftover and is removed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "folder.h"
#include "payload.h"
#include "say.h"

#define PARTIAL ".unpacking"
#define DAMAGED ".damaged"

void warn(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("titan: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

/* ---- unpacking ---- */

static int open_folder(int parent, const char *name) {
    return openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static bool equals(int folder, const struct payload *payload, const struct entry *entry) {
    static char buffer[256 * 1024];
    struct stat status;
    int fd = openat(folder, entry->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool same = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && (uint64_t)status.st_size == entry->size &&
                (entry->kind != 'x' || (status.st_mode & S_IXUSR));
    const char *wanted = same ? contents_of(payload, entry) : NULL;
    for (uint64_t done = 0; same && done < entry->size;) {
        ssize_t count = read(fd, buffer, sizeof buffer);
        same = count > 0 && (uint64_t)count <= entry->size - done && memcmp(buffer, wanted + done, (size_t)count) == 0;
        done += same ? (uint64_t)count : 0;
    }
    close(fd);
    return same;
}

static bool is_whole(int folder, const struct payload *payload) {
    struct entry entry;
    for (const char *at = payload->index; next_entry(payload, &at, &entry);)
        if (entry.kind != 'd' && !equals(folder, payload, &entry))
            return false;
    return true;
}

static bool write_file(int folder, const struct payload *payload, const struct entry *entry) {
    int mode = entry->kind == 'x' ? 0700 : 0600;
    int fd = openat(folder, entry->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0)
        return false;
    const char *contents = contents_of(payload, entry);
    for (uint64_t done = 0; done < entry->size;) {
        ssize_t count = write(fd, contents + done, entry->size - done);
        if (count < 0) {
            close(fd);
            return false;
        }
        done += (uint64_t)count;
    }
    return close(fd) == 0;
}

/* A process may still run from the damaged one: it keeps its files, and what it opens by path is there again at once. */
static bool replace(int program, const char *partial, const char *name) {
    char aside[sizeof((struct payload *)0)->name + sizeof DAMAGED + 32];
    snprintf(aside, sizeof aside, "%s" DAMAGED "-%ld", name, (long)getpid());
    return (renameat(program, name, program, aside) == 0 || errno == ENOENT) &&
           renameat(program, partial, program, name) == 0;
}

static void unpack(int program, const char *path, const struct payload *payload) {
    char partial[sizeof payload->name + sizeof PARTIAL];
    struct entry entry;
    snprintf(partial, sizeof partial, "%s" PARTIAL, payload->name);
    int folder = -1;
    bool done = remove_tree(program, partial) && mkdirat(program, partial, 0700) == 0 &&
                (folder = open_folder(program, partial)) >= 0;
    for (const char *at = payload->index; done && next_entry(payload, &at, &entry);)
        done = entry.kind == 'd' ? mkdirat(folder, entry.path, 0700) == 0 : write_file(folder, payload, &entry);
    if (!done || !replace(program, partial, payload->name)) {
        int reason = errno;
        remove_tree(program, partial);
        die("cannot unpack this program into %s: %s", path, strerror(reason));
    }
    close(folder);
}

/* Returns the folder that this process may run from. */
static char *unpacked(const struct payload *payload, bool is_server) {
    int program = -1;
    char *path = open_program_folder(is_server, &program);
    int lock = lock_program_folder(program, path);
    char *own = NULL;
    int folder = open_folder(program, payload->name);
    if (folder < 0 || !is_whole(folder, payload)) {
        if (folder >= 0) {
            warn("%s/%s is damaged or incomplete: unpacked anew", path, payload->name);
            close(folder);
        }
        check_payload(payload);
        remove_leftovers(program, path, payload->name); /* they may be what fills the disk */
        unpack(program, path, payload);
        folder = open_folder(program, payload->name);
    }
    remove_leftovers(program, path, payload->name);
    if (folder < 0 || asprintf(&own, "%s/%s", path, payload->name) < 0)
        die("cannot open what was unpacked into %s: %s", path, strerror(errno));
    hold(folder, own);
    close(folder);
    close(program);
    close(lock);
    free(path);
    return own;
}

/* ---- becoming it ---- */

/* Python reads nothing but what is unpacked, whatever the caller's environment says; processes of ours inherit that. */
static void seal_environment(const char *folder) {
    for (char **at = environ; *at != NULL;) {
        size_t length = strcspn(*at, "=");
        char *name = strncmp(*at, "PYTHON", 6) == 0 ? strndup(*at, length) : NULL;
        if (name == NULL || unsetenv(name) != 0)
            at++;
        free(name);
    }
    char *libraries, *code;
    if (asprintf(&libraries, "%s/lib", folder) < 0 || asprintf(&code, "%s/app", folder) < 0 ||
        setenv("PYTHONHOME", folder, 1) || setenv("PYTHONPATH", code, 1) || setenv("PYTHONNOUSERSITE", "1", 1) ||
        setenv("PYTHONDONTWRITEBYTECODE", "1", 1) || setenv("LD_LIBRARY_PATH", libraries, 1))
        die("no memory");
}

static void occupy_standard_descriptors(void) {
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0)
            return; /* no /dev in a bare root: nothing that stays open afterwards is below LOWEST_KEPT_FD */
}

int main(int count, char **arguments) {
    occupy_standard_descriptors();
    struct payload payload = load_payload();
    char *folder = unpacked(&payload, count > 1 && strcmp(arguments[1], "serve") == 0);
    char *python = NULL;
    char **command = calloc((size_t)count + 5, sizeof *command);
    if (command == NULL || asprintf(&python, "%s/bin/titan", folder) < 0)
        die("no memory");
    char *first[] = {python, "-P", "-m", "titan"};
    memcpy(command, first, sizeof first);
    for (int i = 1; i < count; i++)
        command[3 + i] = arguments[i];
    seal_environment(folder);
    execv(python, command);
    die("cannot run %s: %s (is the state folder on a file system mounted noexec?)", python, strerror(errno));
}

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
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_STATE "titan-data"
#define PROGRAM "program"
#define LOCK "lock"
#define PARTIAL ".unpacking"
#define DAMAGED ".damaged"
#define WAIT_S 30
#define MAX_FILE_BYTES (256u << 20)
#define LOWEST_KEPT_FD 10 /* never one of the standard descriptors, not even where those are closed */

extern char **environ;

struct footer {
    char magic[8];
    uint64_t index_at, index_size;
    uint64_t crc32; /* of everything before the footer */
};

struct payload {
    const char *base;
    const char *index, *end; /* the lines behind the name; the end is that of what the checksum is about */
    uint64_t crc32;
    char *buffer;            /* room for the largest file */
    char name[128];
};

struct entry {
    char kind;
    uint64_t size, packed_size, offset;
    char path[PATH_MAX];
};

static void warn(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("titan: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

#define die(...) (warn(__VA_ARGS__), exit(1))
#define DAMAGED_FILE "this program's file is incomplete or damaged: fetch it again and compare its checksum"

/* ---- the file that we are ---- */

static int open_self(void) {
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (fd < 0) /* no /proc in a bare root: the path that the kernel was given */
        fd = open((const char *)getauxval(AT_EXECFN), O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        die("cannot read this program's own file: %s", strerror(errno));
    return fd;
}

/* Reads the line at *at and moves on. */
static bool next_entry(const struct payload *payload, const char **at, struct entry *entry) {
    if (*at >= payload->end)
        return false;
    const char *line_end = memchr(*at, '\n', (size_t)(payload->end - *at));
    char *rest;
    if (line_end == NULL)
        die(DAMAGED_FILE);
    entry->kind = **at;
    entry->size = strtoull(*at + 1, &rest, 10);
    entry->packed_size = strtoull(rest, &rest, 10);
    entry->offset = strtoull(rest, &rest, 10);
    const uint64_t whole = (uint64_t)(payload->end - payload->base);
    if (++rest > line_end || (size_t)(line_end - rest) >= sizeof entry->path || entry->offset > whole ||
        entry->packed_size > whole - entry->offset || entry->size > MAX_FILE_BYTES)
        die(DAMAGED_FILE);
    memcpy(entry->path, rest, (size_t)(line_end - rest));
    entry->path[line_end - rest] = '\0';
    *at = line_end + 1;
    return true;
}

static void make_buffer(struct payload *payload) {
    struct entry entry;
    uint64_t largest = 1;
    for (const char *at = payload->index; next_entry(payload, &at, &entry);)
        largest = entry.size > largest ? entry.size : largest;
    payload->buffer = malloc(largest);
    if (payload->buffer == NULL)
        die("no memory");
}

static struct payload load_payload(void) {
    struct payload payload;
    struct footer footer;
    struct stat status;
    int fd = open_self();
    if (fstat(fd, &status) != 0)
        die("cannot read this program's own file: %s", strerror(errno));
    size_t size = (size_t)status.st_size;
    payload.base = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (payload.base == MAP_FAILED)
        die("cannot map this program's own file: %s", strerror(errno));
    close(fd);
    memcpy(&footer, payload.base + size - sizeof footer, sizeof footer);
    if (memcmp(footer.magic, "TITANBIN", 8) != 0 || footer.index_at > size ||
        footer.index_size != size - sizeof footer - footer.index_at)
        die(DAMAGED_FILE);
    payload.crc32 = footer.crc32;
    payload.index = payload.base + footer.index_at;
    payload.end = payload.index + footer.index_size;
    const char *line_end = memchr(payload.index, '\n', footer.index_size);
    if (line_end == NULL || (size_t)(line_end - payload.index) >= sizeof payload.name)
        die(DAMAGED_FILE);
    memcpy(payload.name, payload.index, (size_t)(line_end - payload.index));
    payload.name[line_end - payload.index] = '\0';
    payload.index = line_end + 1;
    make_buffer(&payload);
    return payload;
}

/* The checksum of zip and gzip. Asked for before anything is written, not at each start. */
static bool is_as_built(const struct payload *payload) {
    uint32_t table[256], crc = UINT32_MAX;
    for (uint32_t i = 0; i < 256; i++) {
        table[i] = i;
        for (int bit = 0; bit < 8; bit++)
            table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xEDB88320u : 0);
    }
    for (const char *at = payload->base; at < payload->end; at++)
        crc = crc >> 8 ^ table[(crc ^ (uint8_t)*at) & 255];
    return (crc ^ UINT32_MAX) == payload->crc32;
}

/* A length of LZ4: what the token has no room for follows in bytes, the last of which is not 255. */
static bool read_length(const uint8_t **in, const uint8_t *end, size_t *length) {
    for (uint8_t more = *length == 15 ? 255 : 0; more == 255; *length += more) {
        if (*in == end)
            return false;
        more = *(*in)++;
    }
    return true;
}

/* Unpacks one LZ4 block: literals, then a match that copies what was there `distance` before, and so on. */
static bool unpack_block(const uint8_t *in, size_t in_size, uint8_t *out, size_t out_size) {
    const uint8_t *const end = in + in_size;
    uint8_t *to = out, *const to_end = out + out_size;
    while (in < end) {
        const unsigned token = *in++;
        size_t literals = token >> 4, match = token & 15;
        if (!read_length(&in, end, &literals) || literals > (size_t)(end - in) || literals > (size_t)(to_end - to))
            return false;
        memcpy(to, in, literals);
        in += literals;
        to += literals;
        if (in == end)
            break; /* the last one is literals alone */
        if (end - in < 2)
            return false;
        const size_t distance = in[0] | (size_t)in[1] << 8;
        in += 2;
        if (!read_length(&in, end, &match) || distance == 0 || distance > (size_t)(to - out))
            return false;
        match += 4;
        if (match > (size_t)(to_end - to))
            return false;
        for (const uint8_t *from = to - distance; match > 0;) {
            const size_t chunk = match < distance ? match : distance; /* they may overlap */
            memcpy(to, from, chunk);
            to += chunk;
            match -= chunk;
        }
    }
    return to == to_end;
}

/* Returns the contents of a file, good until the next call. */
static const char *contents_of(const struct payload *payload, const struct entry *entry) {
    const uint8_t *packed = (const uint8_t *)payload->base + entry->offset;
    if (!unpack_block(packed, entry->packed_size, (uint8_t *)payload->buffer, entry->size))
        die(DAMAGED_FILE);
    return payload->buffer;
}

/* ---- the state folder ---- */

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

static char *open_program_folder(bool is_server, int *fd) {
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

/* ---- locks ---- */

static int open_lock(int folder) { return openat(folder, LOCK, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600); }

static int lock_program_folder(int program, const char *path) {
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

/* Held to the end of this process, whatever it becomes; its children do not get it. */
static void hold(int folder, const char *path) {
    int fd = open_lock(folder);
    int kept = fd < 0 ? -1 : fcntl(fd, F_DUPFD, LOWEST_KEPT_FD);
    if (kept < 0 || flock(kept, LOCK_SH | LOCK_NB) != 0)
        die("cannot lock %s/" LOCK ": %s", path, strerror(errno));
    close(fd);
}

/* ---- removing ---- */

static bool remove_tree(int parent, const char *name) {
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

/* Other versions, starts that were killed while unpacking, damaged copies: all that no process runs from. */
static void remove_leftovers(int program, const char *path, const char *current) {
    int copy = openat(program, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = copy < 0 ? NULL : fdopendir(copy);
    if (folder == NULL)
        die("cannot read %s: %s", path, strerror(errno));
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, LOCK) == 0 || strcmp(name, current) == 0)
            continue;
        if (!is_in_use(program, name) && !remove_tree(program, name))
            warn("cannot remove what is left in %s/%s: %s", path, name, strerror(errno));
    }
    closedir(folder);
}

/* ---- unpacking ---- */

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

static void unpack(int program, const char *path, const struct payload *payload) {
    char partial[sizeof payload->name + sizeof PARTIAL];
    if (!is_as_built(payload))
        die(DAMAGED_FILE);
    struct entry entry;
    snprintf(partial, sizeof partial, "%s" PARTIAL, payload->name);
    int folder = -1;
    bool done = remove_tree(program, partial) && mkdirat(program, partial, 0700) == 0 &&
                (folder = openat(program, partial, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) >= 0;
    for (const char *at = payload->index; done && next_entry(payload, &at, &entry);)
        done = entry.kind == 'd' ? mkdirat(folder, entry.path, 0700) == 0 : write_file(folder, payload, &entry);
    if (!done || renameat(program, partial, program, payload->name) != 0) {
        int reason = errno;
        remove_tree(program, partial);
        die("cannot unpack this program into %s: %s", path, strerror(reason));
    }
    close(folder);
}

/* A process may still run from it: it keeps its files, and the next start removes them. */
static void put_aside(int program, const char *path, const char *name) {
    char aside[sizeof((struct payload *)0)->name + sizeof DAMAGED + 32];
    snprintf(aside, sizeof aside, "%s" DAMAGED "-%ld", name, (long)getpid());
    warn("%s/%s is damaged or incomplete: unpacked anew", path, name);
    if (renameat(program, name, program, aside) != 0)
        die("cannot put %s/%s aside: %s", path, name, strerror(errno));
}

static char *unpacked(const struct payload *payload, bool is_server) {
    int program = -1;
    char *path = open_program_folder(is_server, &program);
    int lock = lock_program_folder(program, path);
    char *own = NULL;
    int folder = openat(program, payload->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder >= 0 && !is_whole(folder, payload)) {
        put_aside(program, path, payload->name);
        close(folder);
        folder = -1;
    }
    remove_leftovers(program, path, payload->name); /* before unpacking, for they may be what fills the disk */
    if (folder < 0) {
        unpack(program, path, payload);
        folder = openat(program, payload->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    }
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

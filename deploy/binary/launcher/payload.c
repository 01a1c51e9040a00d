#define _GNU_SOURCE
#include "payload.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "say.h"

#define MAX_FILE_BYTES (256u << 20)
#define DAMAGED_FILE "this program's file is incomplete or damaged: fetch it again and compare its checksum"

struct footer {
    char magic[8];
    uint64_t index_at, index_size;
    uint64_t crc32; /* of everything before the footer */
};

static int open_self(void) {
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (fd < 0) /* no /proc in a bare root: the path that the kernel was given */
        fd = open((const char *)getauxval(AT_EXECFN), O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        die("cannot read this program's own file: %s", strerror(errno));
    return fd;
}

bool next_entry(const struct payload *payload, const char **at, struct entry *entry) {
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

struct payload load_payload(void) {
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
    if (memcmp(footer.magic, "TITANBIN", 8) != 0 || footer.index_at > size - sizeof footer ||
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

/* By the checksum of zip and gzip. */
void check_payload(const struct payload *payload) {
    uint32_t table[256], crc = UINT32_MAX;
    for (uint32_t i = 0; i < 256; i++) {
        table[i] = i;
        for (int bit = 0; bit < 8; bit++)
            table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xEDB88320u : 0);
    }
    for (const char *at = payload->base; at < payload->end; at++)
        crc = crc >> 8 ^ table[(crc ^ (uint8_t)*at) & 255];
    if ((crc ^ UINT32_MAX) != payload->crc32)
        die(DAMAGED_FILE);
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

const char *contents_of(const struct payload *payload, const struct entry *entry) {
    const uint8_t *packed = (const uint8_t *)payload->base + entry->offset;
    if (!unpack_block(packed, entry->packed_size, (uint8_t *)payload->buffer, entry->size))
        die(DAMAGED_FILE);
    return payload->buffer;
}

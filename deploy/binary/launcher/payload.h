/* What is behind the launcher in its own file. Whatever is wrong with that file ends the program with a word. */
#pragma once
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

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

struct payload load_payload(void);

/* Reads the line at *at, which begins as payload->index, and moves on; false behind the last one. */
bool next_entry(const struct payload *payload, const char **at, struct entry *entry);

/* Ends the program unless every byte of the file is what the build wrote; takes 0.1 s, so not for each start. */
void check_payload(const struct payload *payload);

/* Returns the contents of a file, good until the next call. */
const char *contents_of(const struct payload *payload, const struct entry *entry);

// SPDX-License-Identifier: Apache-2.0
/*
 * One file of /proc or /sys that is read over and over: opened once and read from its start each
 * time, which costs a half to a third of open, read and close, and scanned by hand.
 *
 * The text is NUL-terminated and lives until the next read. Owned by one sampler, loop thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROCFILE_MAX (1u << 20)

struct procfile {
    int fd; // -1: not open
    char *text;
    size_t len, cap;
};

void procfile_init(struct procfile *f);
int procfile_open(
    struct procfile *f, const char *root, const char *path); // root "/proc"; -errno
int procfile_read(struct procfile *f); // -errno; -EMSGSIZE over PROCFILE_MAX; -ENODATA: empty
void procfile_done(struct procfile *f);

// Skips blanks, reads digits, stops behind them. A field that is no number reads as 0.
static inline const char *scan_u64(const char *p, uint64_t *ret)
{
    uint64_t v = 0;
    while (*p == ' ' || *p == '\t')
        p++;
    for (; *p >= '0' && *p <= '9'; p++)
        v = v * 10 + (uint64_t)(*p - '0');
    *ret = v;
    return p;
}

// The first byte of the next line, or the NUL at the end.
static inline const char *scan_line(const char *p)
{
    while (*p && *p != '\n')
        p++;
    return *p ? p + 1 : p;
}

// Skips blanks and returns the word there; its length is 0 at the end of a line.
static inline const char *scan_word(const char **p, size_t *ret_len)
{
    const char *w = *p;
    while (*w == ' ' || *w == '\t')
        w++;
    const char *end = w;
    while (*end && *end != ' ' && *end != '\t' && *end != '\n')
        end++;
    *ret_len = (size_t)(end - w);
    *p = end;
    return w;
}

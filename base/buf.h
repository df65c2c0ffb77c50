// SPDX-License-Identifier: Apache-2.0
/*
 * Growable bytes with a ceiling given at the start, so that nothing sized by a peer can eat the
 * memory. After a failed add the buffer holds what it held before, `failed` stays set and later
 * adds are refused too: a writer may add many pieces and look once at the end.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct buf {
    uint8_t *data; // NULL while empty; not NUL-terminated, see buf_cstr
    size_t len, cap, max;
    int failed; // why an add was refused: -EMSGSIZE (over max), -ENOMEM; 0 = none was
};

void buf_init(struct buf *b, size_t max);
void buf_done(struct buf *b);
void buf_reset(struct buf *b);                            // keeps the memory, clears failed
int buf_add(struct buf *b, const void *data, size_t len); // 0, -EMSGSIZE, -ENOMEM
int buf_adds(struct buf *b, const char *s);
int buf_addc(struct buf *b, char c);
int buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int buf_reserve(struct buf *b, size_t more); // room for `more` bytes past len
void buf_drop(struct buf *b, size_t n);      // removes n bytes from the front
const char *buf_cstr(struct buf *b);         // NUL-terminated, "" when empty or out of memory
int buf_add_stream(struct buf *b, FILE *f);  // the rest of f; -errno
int buf_add_path(struct buf *b, const char *path); // a whole file; -errno
// A quoted JSON string; a byte that is not UTF-8 becomes U+FFFD.
int buf_add_json(struct buf *b, const char *text, size_t len);

// SPDX-License-Identifier: Apache-2.0
/* One code point: to UTF-8, and to its other case for the scripts that names are written in. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RUNE_BROKEN 0xfffd
// Next code point at text[*at], which advances; a broken byte is RUNE_BROKEN, as in Go.
uint32_t rune_decode(const char *text, size_t len, size_t *at);
// Bytes of the code point at s, 0 if they are none: overlong, a surrogate, cut, beyond U+10FFFF.
size_t rune_size(const char *s, size_t left);
bool rune_text_ok(const char *s, size_t len); // UTF-8 throughout; NUL is a character
size_t rune_encode(uint32_t rune, char out[4]);
// ASCII, Latin, Greek and Cyrillic; the rest of Unicode is left alone.
uint32_t rune_upper(uint32_t rune);
uint32_t rune_lower(uint32_t rune);

// SPDX-License-Identifier: Apache-2.0
/*
 * The text of one failure, for a person to read. The caller owns it, usually on its stack; code
 * that fails fills it and returns 0 / -errno, and whoever decides what to do logs it once.
 */
#pragma once

struct err {
    int line, col; // 1-based place in the input that was read; 0 = no place
    char msg[512]; // never empty after a failure, no trailing newline, cut if too long
};

// Replaces what err holds. A NULL err is allowed and ignored, so callers may not care.
void err_set(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void err_at(struct err *err, int line, int col, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
// Puts "prefix: " in front of what is already there: the outer layer adds the file name.
void err_prefix(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// SPDX-License-Identifier: Apache-2.0
/*
 * A set of code points as ranges, built while a pattern is parsed: named classes, case folding,
 * negation. Memory comes from the arena; an overflow there leaves `failed` set.
 */
#pragma once
#include "base/regex_syntax.h"

#define RUNE_MAX 0x10ffff
struct regex_class {
    struct arena *arena;
    struct regex_range *r;
    size_t n, cap;
    bool failed;
};
void regex_class_add(struct regex_class *c, uint32_t lo, uint32_t hi);
// \d \w \s and their capitals. false when the letter is none of them.
bool regex_class_perl(struct regex_class *c, char letter);
// [:alpha:] and the like; `negative` for [:^alpha:].
bool regex_class_posix(struct regex_class *c, const char *name, size_t len, bool negative);
// Adds the other cases of everything in it (regex_fold.c).
void regex_class_fold(struct regex_class *c);
// Sorted and merged.
void regex_class_tidy(struct regex_class *c);
void regex_class_negate(struct regex_class *c);

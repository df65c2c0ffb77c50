// SPDX-License-Identifier: Apache-2.0
/*
 * A compiled regular expression and the machine that runs it. Private to base/regex*.c.
 *
 * The program is a Thompson NFA; instructions that read nothing (jumps, splits, saves,
 * assertions) are followed at once, so a thread list holds only CHAR, CLASS, ANY and MATCH. All
 * threads step over the text together: time is text length x program length, whatever the pattern.
 */
#pragma once
#include "base/regex.h"
#include "base/regex_syntax.h"

enum regex_op {
    OP_RX_CHAR,
    OP_RX_CLASS,
    OP_RX_ANY,
    OP_RX_ANY_IN_LINE, // read one code point, go to x
    OP_RX_SPLIT,       // x first, then y
    OP_RX_JUMP,
    OP_RX_SAVE,   // y = slot of the save
    OP_RX_ASSERT, // y = enum regex_kind
    OP_RX_MATCH,
};
struct regex_inst {
    enum regex_op op;
    uint32_t x, y; // CHAR: y = rune; CLASS: y = first range, n = how many
    uint32_t n;
};

// A literal with what may stand around it: 'n' nothing, '*' anything, '+' at least one character.
struct regex_piece {
    char left, right;
    const char *text;
    size_t len;
};

struct regex_threads {
    uint32_t *dense, *sparse;
    uint32_t n;
    int *saves; // of thread i at i * n_saves
};
struct regex_pending {
    uint32_t pc;
    int save, old; // save >= 0: put the old value back instead
};

struct regex {
    struct arena arena; // everything below
    struct regex_tree tree;
    struct regex_piece
        *pieces; // fast path: matches when one of them does; NULL = run the program
    size_t n_pieces;
    struct regex_inst *prog;
    uint32_t n_prog;
    struct regex_range *ranges;
    size_t n_ranges;
    // Scratch of a run. Allocated with the expression so that a match cannot fail.
    struct regex_threads now, then;
    struct regex_pending *pending;
    int n_saves; // 2 per capturing group
    int *saves;
};
// Runs over the whole text. saves NULL: only whether it matches.
bool regex_run(const struct regex *re, const char *text, size_t len, int *saves);
// The leftmost match that starts at or behind `from`; its end in *ret_end.
bool regex_run_search(const struct regex *re, const char *text, size_t len, size_t from,
    int *saves, int *ret_end);

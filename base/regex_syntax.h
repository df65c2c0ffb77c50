// SPDX-License-Identifier: Apache-2.0
/*
 * The tree of a regular expression and its parser: RE2's syntax without \p classes and \C. Nodes
 * live in the arena given. Inside, a pattern is a sequence of code points; each node matches
 * code points too, so that `.` never splits a UTF-8 character.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum regex_kind {
    RX_EMPTY,
    RX_CHAR,  // rune
    RX_CLASS, // ranges; n_ranges == 0 matches nothing
    RX_ANY,   // with newline
    RX_ANY_IN_LINE,
    RX_BEGIN_TEXT,
    RX_END_TEXT,
    RX_BEGIN_LINE,
    RX_END_LINE,
    RX_WORD_EDGE,
    RX_NOT_WORD_EDGE,
    RX_GROUP,  // sub; group > 0 = captures
    RX_CONCAT, // sub, sub->next, ...
    RX_ALTERNATE,
    RX_REPEAT, // sub; min, max (-1 = no end), lazy
};

struct regex_range {
    uint32_t lo, hi;
};
struct regex_node {
    enum regex_kind kind;
    struct regex_node *sub, *next;
    uint32_t rune;
    struct regex_range *ranges;
    size_t n_ranges;
    int min, max;
    bool lazy;
    int group;
    int copies; // largest product of nested repeat counts, RE2 stops at 1000
};

struct regex_name {
    const char *name;
    int group;
    struct regex_name *next;
};
struct regex_tree {
    struct regex_node *root;
    int n_groups; // capturing ones
    struct regex_name *names;
};

#define REGEX_REPEAT_MAX 1000
#define REGEX_NEST_MAX   250
// 0; -EINVAL with err (col = byte of the pattern, 1-based); -ENOMEM with err.
int regex_parse(
    const char *pattern, size_t len, struct arena *a, struct regex_tree *ret, struct err *err);

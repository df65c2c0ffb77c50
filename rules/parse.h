// SPDX-License-Identifier: Apache-2.0
/*
 * PromQL text to a type-checked tree: hand-written lexer and Pratt parser for the whole Prometheus
 * 3.x grammar. Mistakes are reported with the byte span of the offending token, and what the
 * evaluator cannot do yet is an error of its own kind ("not supported yet"), never a wrong answer.
 */
#pragma once
#include "rules/ast.h"

#define EXPR_TEXT_MAX  65536
#define EXPR_DEPTH_MAX 200

struct parse_error {
    char code[8];   // T1xx, T3xx
    int start, end; // byte span in the text
    char msg[256], hint[192];
};
// 0 and *ret filled (nodes in the arena; release regexes with expr_done), or -EINVAL with *e filled,
// or -ENOMEM. Recovers nothing: one expression, its first mistake.
int expr_parse(const char *text, size_t len, struct arena *a, struct expr_root *ret,
    struct parse_error *e);
void expr_done(struct expr_root *r);

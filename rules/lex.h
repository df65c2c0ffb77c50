// SPDX-License-Identifier: Apache-2.0
/*
 * PromQL text to tokens. Words are not sorted into keywords here: `sum`, `by` or `offset` are
 * also legal metric and label names, so the parser decides by place (lex_is_word).
 *
 * A colon is part of a metric name everywhere but between brackets, where it separates range
 * and step; the parser says which by `brackets` before it asks for the next token.
 */
#pragma once
#include "base/arena.h"
#include "rules/parse.h"
#include <stdint.h>

enum token_kind {
    TOK_END,
    TOK_WORD,     // letters, digits, _
    TOK_METRIC,   // the same with colons
    TOK_NUMBER,   // number
    TOK_DURATION, // ms, and number in seconds
    TOK_STRING,   // string, string_len
    TOK_LPAREN,
    TOK_RPAREN,
    TOK_LBRACE,
    TOK_RBRACE,
    TOK_LBRACKET,
    TOK_RBRACKET,
    TOK_COMMA,
    TOK_COLON,
    TOK_AT,
    TOK_ASSIGN,    // =
    TOK_MATCH_RE,  // =~
    TOK_MATCH_NRE, // !~
    TOK_EQ,
    TOK_NE,
    TOK_GT,
    TOK_LT,
    TOK_GE,
    TOK_LE,
    TOK_TRIM_UPPER, // </
    TOK_TRIM_LOWER, // >/
    TOK_ADD,
    TOK_SUB,
    TOK_MUL,
    TOK_DIV,
    TOK_MOD,
    TOK_POW,
};
struct token {
    enum token_kind kind;
    int start, end;
    double number;
    int64_t ms;
    const char *string; // unescaped, NUL-terminated, in the arena
    size_t string_len;
};
struct lexer {
    const char *text;
    size_t len, at;
    bool brackets;
    struct arena *arena;
    struct parse_error *err;
};
// 0, -EINVAL with l->err filled, -ENOMEM.
int lex_next(struct lexer *l, struct token *ret);
// The next character that is neither space nor comment, without reading it; 0 at the end.
char lex_ahead(const struct lexer *l);
// The token is this word, whatever its case; word is in small letters.
bool lex_is_word(const struct lexer *l, const struct token *t, const char *word);

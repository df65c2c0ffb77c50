// SPDX-License-Identifier: Apache-2.0
/*
 * What tests beside promtool share: whether there is one, and why it may judge an expression
 * otherwise than we do. Every reason is a difference between Prometheus 2.42 and 3, or something
 * that is refused here with words that say so. Static inline, so that a test may use a part.
 */
#pragma once
#include "rules/lex.h"
#include "rules/parse.h"
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

// Debian 12's: without it, or with another one, a test says so and tests nothing.
static inline bool promtool_is_2_42(void)
{
    FILE *f = popen("promtool --version 2>&1", "re");
    char version[200] = "";
    if (f) {
        if (!fgets(version, sizeof(version), f))
            version[0] = '\0';
        pclose(f);
    }
    if (strstr(version, "version 2.42"))
        return true;
    printf("skipped: needs promtool 2.42 (Debian 12's prometheus package)\n");
    return false;
}

struct expr_facts {
    bool duration_as_number; // 5m as a value
    bool number_as_duration; // [300], offset 60
    bool quoted_name;        // {"a"}, {"a"="b"}, by ("a")
    bool sign_in_front;      // offset +5m
    bool zero_offset;        // offset 0s
    bool underscore;
    bool cut;        // </ and >/
    bool newer_word; // a function or a word that 2.42 does not know, or knows no more
};

static inline void expr_facts(const char *text, struct expr_facts *f)
{
    static const char *const newer[] = {
        "histogram_avg", "histogram_stddev", "histogram_stdvar", "first_over_time"};
    struct arena a;
    struct parse_error e;
    struct token tok, before = {0};
    int brackets = 0, braces = 0;

    arena_init(&a, 0);
    struct lexer lex = {.text = text, .len = strlen(text), .arena = &a, .err = &e};
    while (lex_next(&lex, &tok) == 0 && tok.kind != TOK_END) {
        bool wants_duration = brackets || lex_is_word(&lex, &before, "offset") ||
                              before.kind == TOK_SUB || before.kind == TOK_ADD;
        bool offset = lex_is_word(&lex, &before, "offset");
        bool value = before.kind == TOK_ASSIGN || before.kind == TOK_NE ||
                     before.kind == TOK_MATCH_RE || before.kind == TOK_MATCH_NRE;
        f->duration_as_number |= tok.kind == TOK_DURATION && !brackets && !offset;
        f->number_as_duration |= tok.kind == TOK_NUMBER && wants_duration;
        f->quoted_name |=
            tok.kind == TOK_STRING &&
            ((braces && !value) || before.kind == TOK_LPAREN || before.kind == TOK_COMMA);
        f->sign_in_front |= offset && tok.kind == TOK_ADD;
        f->zero_offset |= offset && tok.kind == TOK_DURATION && tok.ms == 0;
        f->underscore |= tok.kind == TOK_NUMBER &&
                         memchr(text + tok.start, '_', (size_t)(tok.end - tok.start));
        f->cut |= tok.kind == TOK_TRIM_UPPER || tok.kind == TOK_TRIM_LOWER;
        for (size_t i = 0; i < sizeof(newer) / sizeof(newer[0]); i++)
            f->newer_word |= lex_is_word(&lex, &tok, newer[i]);
        brackets += tok.kind == TOK_LBRACKET;
        brackets -= tok.kind == TOK_RBRACKET;
        braces += tok.kind == TOK_LBRACE;
        braces -= tok.kind == TOK_RBRACE;
        lex.brackets = brackets > 0;
        before = tok;
    }
    arena_done(&a);
}

// Why promtool and we may differ about an expression; code and msg are of our mistake, NULL when we
// accept it. NULL: there is no good reason.
static inline const char *promtool_reason(const char *text, const char *code, const char *msg)
{
    struct expr_facts f = {0};
    expr_facts(text, &f);
    if (code && code[1] == '3')
        return "not supported yet or experimental, and said so";
    if (code && strstr(msg, "holt_winters"))
        return "holt_winters has another name since 3.0";
    if (code && strstr(msg, "(\\p)"))
        return "Unicode classes in regular expressions are not supported yet";
    if (code)
        return NULL;
    if (f.duration_as_number || f.number_as_duration)
        return "3.x: durations are numbers and numbers durations";
    if (f.quoted_name)
        return "3.x: names in quotes";
    if (f.sign_in_front)
        return "3.x: a plus in front of an offset";
    if (f.zero_offset)
        return "3.x: an offset of 0";
    if (f.underscore)
        return "3.x: underscores in numbers";
    if (f.cut)
        return "3.x: histograms can be cut";
    if (f.newer_word)
        return "3.x: newer functions";
    return NULL;
}

// SPDX-License-Identifier: Apache-2.0
#include "rules/lex.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

struct one {
    struct arena arena;
    struct parse_error err;
    struct lexer lex;
    struct token tok;
};

static int first(struct one *o, const char *text)
{
    memset(o, 0, sizeof(*o));
    arena_init(&o->arena, 0);
    o->lex =
        (struct lexer){.text = text, .len = strlen(text), .arena = &o->arena, .err = &o->err};
    return lex_next(&o->lex, &o->tok);
}

static void knows_every_sign(void)
{
    static const struct {
        const char *text;
        enum token_kind kind;
    } signs[] = {{"(", TOK_LPAREN}, {")", TOK_RPAREN}, {"{", TOK_LBRACE}, {"}", TOK_RBRACE},
        {"[", TOK_LBRACKET}, {"]", TOK_RBRACKET}, {",", TOK_COMMA}, {"@", TOK_AT},
        {"=", TOK_ASSIGN}, {"=~", TOK_MATCH_RE}, {"!~", TOK_MATCH_NRE}, {"==", TOK_EQ},
        {"!=", TOK_NE}, {">", TOK_GT}, {"<", TOK_LT}, {">=", TOK_GE}, {"<=", TOK_LE},
        {"+", TOK_ADD}, {"-", TOK_SUB}, {"*", TOK_MUL}, {"/", TOK_DIV}, {"%", TOK_MOD},
        {"^", TOK_POW}, {"", TOK_END}, {" # only this", TOK_END}, {"a:b", TOK_METRIC},
        {":a", TOK_METRIC}, {"sum", TOK_WORD}, {"_x1", TOK_WORD}};
    struct one o;
    for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
        CU_ASSERT_EQUAL(first(&o, signs[i].text), 0);
        CU_ASSERT_EQUAL(o.tok.kind, signs[i].kind);
        arena_done(&o.arena);
    }
}

static void reads_numbers_like_go(void)
{
    static const struct {
        const char *text;
        double v;
    } numbers[] = {{"1", 1}, {"1.5", 1.5}, {".5", 0.5}, {"5.", 5}, {"1e3", 1000},
        {"1e-3", 0.001}, {"1E+3", 1000}, {"0x1F", 31}, {"0X1f", 31}, {"017", 15}, {"08", 8},
        {"1_000", 1000}, {"0x_1f", 31}, {"Inf", INFINITY}, {"iNF", INFINITY}, {"5m", 300},
        {"1h30m", 5400}, {"250ms", 0.25}, {"1d", 86400}, {"0x1d", 29},
        {"9223372036854775807", 9223372036854775807.0}};
    struct one o;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (first(&o, numbers[i].text) < 0 || o.tok.number != numbers[i].v)
            printf("%s: %g %s\n", numbers[i].text, o.tok.number, o.err.msg);
        CU_ASSERT_EQUAL(o.tok.number, numbers[i].v);
        CU_ASSERT_EQUAL(o.tok.end, (int)strlen(numbers[i].text));
        arena_done(&o.arena);
    }
    CU_ASSERT_EQUAL(first(&o, "NaN"), 0);
    CU_ASSERT(isnan(o.tok.number));
    arena_done(&o.arena);
}

static void a_duration_is_one_by_its_unit(void)
{
    struct one o;
    CU_ASSERT_EQUAL(first(&o, "1y2w3d4h5m6s7ms"), 0);
    CU_ASSERT_EQUAL(o.tok.kind, TOK_DURATION);
    CU_ASSERT_EQUAL(o.tok.ms,
        365LL * 86400000 + 14LL * 86400000 + 3LL * 86400000 + 14400000 + 300000 + 6007);
    arena_done(&o.arena);
}

static void refused(const char *text, int start, int end, const char *msg)
{
    struct one o;
    CU_ASSERT_EQUAL(first(&o, text), -EINVAL);
    if (o.err.start != start || o.err.end != end || !strstr(o.err.msg, msg))
        printf("%s: %d-%d %s\n", text, o.err.start, o.err.end, o.err.msg);
    CU_ASSERT(o.err.start == start && o.err.end == end && strstr(o.err.msg, msg));
    arena_done(&o.arena);
}

static void a_bad_token_is_underlined(void)
{
    refused("1.5h", 0, 4, "bad number or duration");
    refused(" 1x", 1, 3, "bad number or duration");
    refused("5m30h", 0, 5, "bad number or duration");
    refused("1__0", 0, 4, "bad number or duration");
    refused("1_", 0, 2, "bad number or duration");
    refused("0x", 0, 2, "bad number or duration");
    refused("1e", 0, 2, "bad number or duration");
    refused("1.2.3", 0, 5, "bad number or duration");
    refused("\"abc", 0, 1, "closing quote");
    refused("\"a\nb\"", 0, 1, "closing quote");
    refused("'a\\", 0, 1, "closing quote");
    refused("\"\\d\"", 1, 3, "escape");
    refused("\"\\'\"", 1, 3, "escape");
    refused("\"\\400\"", 1, 3, "escape");
    refused("\"\\x4\"", 1, 3, "escape");
    refused("\"\\ud800\"", 1, 3, "escape");
    refused("\"\xff\"", 1, 2, "UTF-8");
    refused("\"\\x00\"", 0, 6, "NUL");
    refused("!", 0, 1, "unexpected character");
    refused("&&", 0, 1, "unexpected character");
    refused("\xc3\xa9", 0, 2, "unexpected character");
    refused("$x", 0, 1, "unexpected character");
}

static void reads_every_escape(void)
{
    struct one o;
    CU_ASSERT_EQUAL(
        first(&o, "\"\\a\\b\\f\\n\\r\\t\\v\\\\\\\"\\101\\x41\\u00e9\\U0001F600'\""), 0);
    CU_ASSERT_STRING_EQUAL(o.tok.string, "\a\b\f\n\r\t\v\\\"AA\xc3\xa9\xf0\x9f\x98\x80'");
    arena_done(&o.arena);
    CU_ASSERT_EQUAL(first(&o, "'it\\'s \"x\"'"), 0);
    CU_ASSERT_STRING_EQUAL(o.tok.string, "it's \"x\"");
    arena_done(&o.arena);
    CU_ASSERT_EQUAL(first(&o, "`a\\d\n\"`"), 0);
    CU_ASSERT_STRING_EQUAL(o.tok.string, "a\\d\n\"");
    CU_ASSERT_EQUAL(o.tok.string_len, 5);
    arena_done(&o.arena);
}

static void a_colon_splits_only_between_brackets(void)
{
    struct one o;
    CU_ASSERT_EQUAL(first(&o, "[x:y"), 0);
    o.lex.brackets = true;
    CU_ASSERT_EQUAL(lex_next(&o.lex, &o.tok), 0);
    CU_ASSERT_EQUAL(o.tok.kind, TOK_WORD);
    CU_ASSERT_EQUAL(lex_next(&o.lex, &o.tok), 0);
    CU_ASSERT_EQUAL(o.tok.kind, TOK_COLON);
    arena_done(&o.arena);
}

static void looks_ahead_over_space_and_comments(void)
{
    struct one o;
    CU_ASSERT_EQUAL(first(&o, "By # (\n\t ( x"), 0);
    CU_ASSERT(lex_is_word(&o.lex, &o.tok, "by"));
    CU_ASSERT(!lex_is_word(&o.lex, &o.tok, "b"));
    CU_ASSERT_EQUAL(lex_ahead(&o.lex), '(');
    CU_ASSERT_EQUAL(lex_next(&o.lex, &o.tok), 0);
    CU_ASSERT_EQUAL(o.tok.start, 9);
    arena_done(&o.arena);
}

static void a_string_needs_memory(void)
{
    struct one o;
    memset(&o, 0, sizeof(o));
    arena_init(&o.arena, 0);
    o.lex = (struct lexer){.text = "'a'", .len = 3, .arena = &o.arena, .err = &o.err};
    oom_fail_at(1);
    int rc = lex_next(&o.lex, &o.tok);
    CU_ASSERT(oom_stop());
    CU_ASSERT_EQUAL(rc, -ENOMEM);
    arena_done(&o.arena);
}

static const struct test TESTS[] = {
    {"knows every sign", knows_every_sign},
    {"reads numbers like Go", reads_numbers_like_go},
    {"a duration is one by its unit", a_duration_is_one_by_its_unit},
    {"a bad token is underlined", a_bad_token_is_underlined},
    {"reads every escape", reads_every_escape},
    {"a colon splits only between brackets", a_colon_splits_only_between_brackets},
    {"looks ahead over space and comments", looks_ahead_over_space_and_comments},
    {"a string needs memory", a_string_needs_memory},
};

int main(void)
{
    return test_main("lex", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}

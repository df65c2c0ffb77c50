// SPDX-License-Identifier: Apache-2.0
/*
 * Accept or reject: the parser against promtool 2.42, over tests/rules/expressions.txt and
 * one-character changes of each line. Every difference must have a reason in the table below.
 * Without promtool, or with another version, it says so and tests nothing.
 */
#include "base/buf.h"
#include "rules/lex.h"
#include "rules/parse.h"
#include "tests/lib/run.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPRESSIONS "tests/rules/expressions.txt"
#define CHANGES     4 // of each line
#define EXPRS_MAX   8000

struct sample {
    char *text;
    bool ours, theirs;
    char code[8], msg[200];
};
static struct sample samples[EXPRS_MAX];
static size_t n_samples;

static void add(const char *text, size_t len)
{
    if (n_samples < EXPRS_MAX && len)
        samples[n_samples++].text = strndup(text, len);
}

// The same every time: a difference found once can be looked at.
static unsigned next_random(void)
{
    static unsigned state = 12345;
    state = state * 1103515245u + 12345u;
    return state >> 8;
}

static void change(const char *text, size_t len)
{
    static const char letters[] = "()[]{},:@=!~<>+-*/%^\"'`a1 .5m_#";
    char out[1024];
    size_t at = next_random() % len;
    char c = letters[next_random() % (sizeof(letters) - 1)];

    if (len + 2 > sizeof(out))
        return;
    for (size_t i = 0; i < len; i++)
        if ((signed char)text[i] < 0)
            return;
    switch (next_random() % 4) {
    case 0: // away
        memcpy(out, text, at);
        memcpy(out + at, text + at + 1, len - at - 1);
        len--;
        break;
    case 1: // another one
        memcpy(out, text, len);
        out[at] = c;
        break;
    case 2: // one more
        memcpy(out, text, at);
        out[at] = c;
        memcpy(out + at + 1, text + at, len - at);
        len++;
        break;
    default: // two change places
        memcpy(out, text, len);
        out[at] = text[(at + 1) % len];
        out[(at + 1) % len] = text[at];
        break;
    }
    // A value of spaces alone would be no expression to YAML's reader in promtool either.
    for (size_t i = 0; i < len; i++) {
        if (out[i] != ' ') {
            add(out, len);
            return;
        }
    }
}

static bool read_expressions(void)
{
    char line[1024];
    FILE *f = fopen(EXPRESSIONS, "re");
    if (!f)
        return false;
    while (fgets(line, sizeof(line), f)) {
        size_t len = strcspn(line, "\n");
        add(line, len);
        for (int i = 0; i < CHANGES && len; i++)
            change(line, len);
    }
    fclose(f);
    return true;
}

static void ask_ours(struct sample *s)
{
    struct arena a;
    struct expr_root root;
    struct parse_error e = {0};
    arena_init(&a, 0);
    s->ours = expr_parse(s->text, strlen(s->text), &a, &root, &e) == 0;
    if (s->ours) {
        expr_done(&root);
    } else {
        memcpy(s->code, e.code, sizeof(s->code));
        snprintf(s->msg, sizeof(s->msg), "%.190s", e.msg);
        CU_ASSERT(e.start >= 0 && e.end > e.start && e.end <= (int)strlen(s->text) + 1);
        CU_ASSERT(e.msg[0] && e.code[0] == 'T');
    }
    arena_done(&a);
}

static bool ask_theirs(void)
{
    char path[300], command[400], line[4096];
    snprintf(path, sizeof(path), "%s/rules.yaml", test_tmpdir());
    FILE *f = fopen(path, "we");
    if (!f)
        return false;
    fprintf(f, "groups:\n- name: g\n  rules:\n");
    for (size_t i = 0; i < n_samples; i++) {
        fprintf(f, "  - record: r%zu\n    expr: \"", i + 1);
        for (const char *p = samples[i].text; *p; p++)
            fprintf(f, *p == '"' || *p == '\\' ? "\\%c" : "%c", *p);
        fprintf(f, "\"\n");
        samples[i].theirs = true;
    }
    fclose(f);
    snprintf(command, sizeof(command), "promtool check rules %s 2>&1", path);
    f = popen(command, "re");
    if (!f)
        return false;
    while (fgets(line, sizeof(line), f)) {
        unsigned long rule;
        const char *at = strstr(line, "group \"g\", rule ");
        if (at && sscanf(at, "group \"g\", rule %lu", &rule) == 1 && rule >= 1 &&
            rule <= n_samples)
            samples[rule - 1].theirs = false;
    }
    pclose(f);
    return true;
}

// --- why they may differ -----------------------------------------------------------------------
struct facts {
    bool duration_as_number; // 5m as a value
    bool number_as_duration; // [300], offset 60
    bool quoted_name;        // {"a"}, {"a"="b"}, by ("a")
    bool sign_in_front;      // offset +5m
    bool underscore;
    bool cut;        // </ and >/
    bool newer_word; // a function or a word that 2.42 does not know, or knows no more
};

static void look(const char *text, struct facts *f)
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

// NULL: there is no good reason.
static const char *reason(const struct sample *s)
{
    struct facts f = {0};
    look(s->text, &f);
    if (!s->ours && s->code[1] == '3')
        return "not supported yet or experimental, and said so";
    if (!s->ours && strstr(s->msg, "holt_winters"))
        return "holt_winters has another name since 3.0";
    if (!s->ours && strstr(s->msg, "(\\p)"))
        return "Unicode classes in regular expressions are not supported yet";
    if (!s->ours)
        return NULL;
    if (f.duration_as_number || f.number_as_duration)
        return "3.x: durations are numbers and numbers durations";
    if (f.quoted_name)
        return "3.x: names in quotes";
    if (f.sign_in_front)
        return "3.x: a plus in front of an offset";
    if (f.underscore)
        return "3.x: underscores in numbers";
    if (f.cut)
        return "3.x: histograms can be cut";
    if (f.newer_word)
        return "3.x: newer functions";
    return NULL;
}

static void agrees_with_promtool(void)
{
    FILE *f = popen("promtool --version 2>&1", "re");
    char version[200] = "";
    if (f) {
        if (!fgets(version, sizeof(version), f))
            version[0] = '\0';
        pclose(f);
    }
    if (!strstr(version, "version 2.42")) {
        printf("skipped: needs promtool 2.42 (Debian 12's prometheus package)\n");
        return;
    }
    CU_ASSERT_FATAL(read_expressions());
    CU_ASSERT(n_samples > 1000);
    for (size_t i = 0; i < n_samples; i++)
        ask_ours(&samples[i]);
    CU_ASSERT_FATAL(ask_theirs());

    const char *reasons[16] = {0};
    size_t counts[16] = {0}, accepted = 0, same = 0;
    for (size_t i = 0; i < n_samples; i++) {
        struct sample *s = &samples[i];
        accepted += s->theirs;
        if (s->ours == s->theirs) {
            same++;
            continue;
        }
        const char *why = reason(s);
        if (!why) {
            printf("%s: promtool %s it, we %s it %s %s\n", s->text,
                s->theirs ? "accepts" : "rejects", s->ours ? "accept" : "reject", s->code,
                s->msg);
            CU_FAIL("an unexplained difference");
            continue;
        }
        size_t k = 0;
        while (reasons[k] && strcmp(reasons[k], why))
            k++;
        reasons[k] = why;
        counts[k]++;
    }
    // Were the answers read wrongly, all would be accepted, or none.
    CU_ASSERT(accepted > 300 && accepted < n_samples - 300);
    printf("%zu expressions, %zu accepted by promtool, %zu with the same answer\n", n_samples,
        accepted, same);
    for (size_t k = 0; k < 16 && reasons[k]; k++)
        printf("%6zu  %s\n", counts[k], reasons[k]);
    for (size_t i = 0; i < n_samples; i++)
        free(samples[i].text);
}

static const struct test TESTS[] = {
    {"accepts and rejects what promtool does", agrees_with_promtool},
};

int main(void)
{
    return test_main("promtool", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}

// SPDX-License-Identifier: Apache-2.0
/*
 * Accept or reject: the parser against promtool 2.42, over tests/rules/expressions.txt and
 * one-character changes of each line. Every difference must have a reason (promtool.h).
 */
#include "base/buf.h"
#include "rules/parse.h"
#include "tests/lib/run.h"
#include "tests/unit/rules/promtool.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPRESSIONS "tests/rules/expressions.txt"
#define CHANGES     2000 // of all lines together; MUTATIONS in the environment is another number
#define EXPRS_MAX   50000

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
    const char *wanted = getenv("MUTATIONS");
    size_t lines = 0, changes = wanted ? strtoul(wanted, NULL, 10) : CHANGES;
    FILE *f = fopen(EXPRESSIONS, "re");
    if (!f)
        return false;
    while (fgets(line, sizeof(line), f))
        lines++;
    rewind(f);
    while (fgets(line, sizeof(line), f)) {
        size_t len = strcspn(line, "\n");
        add(line, len);
        for (size_t i = 0; i < changes / lines + 1 && len; i++)
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

static void agrees_with_promtool(void)
{
    if (!promtool_is_2_42())
        return;
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
        const char *why = promtool_reason(s->text, s->ours ? NULL : s->code, s->msg);
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

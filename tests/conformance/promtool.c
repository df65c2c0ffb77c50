// SPDX-License-Identifier: Apache-2.0
/*
 * promtool 2.42 in the table. It evaluates a whole test file at once, so open writes the file,
 * runs it and keeps every answer: an expectation of nothing makes it print what it got, except
 * where that is nothing too.
 */
#include "base/num.h"
#include "rules/element.h"
#include "tests/conformance/trial.h"
#include "tests/lib/run.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct promtool {
    struct arena arena;
    size_t n_t;
    struct result *answer; // by question, then moment
    size_t at;             // promtool answers in the order it was asked
    bool finished;         // its last answer came
};

static void write_values(const struct history *h, const struct series *s, struct buf *out)
{
    int64_t slot = 0;
    for (size_t i = 0; i < s->n; i++) {
        char text[NUM_FIXED_MAX];
        int64_t gap = s->s[i].t_ms / h->slot_ms - slot;
        if (gap > 0)
            buf_addf(out, "_x%lld ", (long long)gap);
        if (is_stale(s->s[i].v)) {
            buf_adds(out, "stale ");
        } else {
            num_fixed(s->s[i].v, text);
            buf_addf(out, "%s ", text);
        }
        slot += (gap > 0 ? gap : 0) + 1;
    }
}

void trial_write_series(const struct trial *t, struct buf *out)
{
    if (t->rule_file)
        buf_addf(out, "rule_files: [%s]\n", t->rule_file);
    buf_addf(out,
        "evaluation_interval: %lldms\ntests:\n  - interval: %lldms\n    input_series:\n",
        (long long)trial_options(t).subquery_step_ms, (long long)t->h->slot_ms);
    for (size_t i = 0; i < t->h->n; i++) {
        const struct series *s = &t->h->series[i];
        struct buf name;
        buf_init(&name, 65536);
        labels_print(&s->labels, &name);
        buf_addf(out, "      - series: '%s'\n        values: '", buf_cstr(&name));
        buf_done(&name);
        write_values(t->h, s, out);
        buf_adds(out, "'\n");
    }
}

void trial_write(const struct trial *t, struct buf *out)
{
    trial_write_series(t, out);
    buf_adds(out, "    promql_expr_test:\n");
    for (size_t q = 0; q < t->n_q; q++)
        for (size_t m = 0; m < t->n_t; m++) {
            if (!t->t[m].oracle)
                continue;
            buf_adds(out, "      - expr: '");
            for (const char *c = t->q[q].text; *c; c++)
                buf_addf(out, *c == '\'' ? "''" : "%c", *c);
            buf_addf(out, "'\n        eval_time: %lldms\n", (long long)t->t[m].t_ms);
        }
    // Samples are loaded up to the last evaluation only, and its answer shows that all came.
    buf_addf(out, "      - expr: 'vector(1)'\n        eval_time: %dms\n", HISTORY_END_MS);
}

// A duration as Go prints it, such as 1m1.5s, in milliseconds.
static int64_t go_duration(const char *p, const char *end)
{
    double ms = 0;
    while (p < end) {
        char *unit;
        double x = strtod(p, &unit);
        if (unit == p)
            break;
        if (unit[0] == 'h')
            ms += 3600000 * x;
        else if (unit[0] == 'm' && unit[1] != 's')
            ms += 60000 * x;
        else
            ms += unit[0] == 'm' ? x : 1000 * x;
        for (p = unit; p < end && (*p < '0' || *p > '9');)
            p++;
    }
    return llround(ms);
}

// Which answer a line is the head of; NULL = none, or the last one.
static struct result *heading(struct promtool *p, const struct trial *t, char *line)
{
    char *text = strstr(line, "expr: \""), *at = text ? strstr(text, "\", time: ") : NULL;
    if (!at)
        return NULL;
    char *from = at + strlen("\", time: ");
    int64_t t_ms = go_duration(from, from + strcspn(from, ",\n"));
    *at = 0;
    char *plain = text + strlen("expr: \""), *w = plain;
    for (char *c = plain; *c; c++) {
        if (*c == '\\' && c[1])
            c++;
        *w++ = *c;
    }
    *w = 0;
    if (t_ms == HISTORY_END_MS && !strcmp(plain, "vector(1)"))
        p->finished = true;
    for (size_t i = p->at; i < t->n_q * t->n_t; i++) {
        if (t->t[i % t->n_t].t_ms == t_ms && t->t[i % t->n_t].oracle &&
            !strcmp(t->q[i / t->n_t].text, plain)) {
            p->at = i + 1;
            return &p->answer[i];
        }
    }
    return NULL;
}

// {labels} 1.5E+00, {labels} NaN
static void read_rows(struct promtool *p, struct result *ret, const char *c)
{
    while (*c == '{') {
        bool quoted = false;
        const char *start = c;
        while (*c && (quoted || *c != '}')) {
            if (*c == '\\' && c[1])
                c++;
            else if (*c == '"')
                quoted = !quoted;
            c++;
        }
        if (!*c)
            return;
        size_t len = (size_t)(++c - start);
        const char *number = ++c;
        double v;
        c += strcspn(c, ",\n");
        if (!num_parse(number, (size_t)(c - number), &v)) {
            result_error(ret, &p->arena, "unreadable");
            return;
        }
        result_add(ret, &p->arena, start, len, v);
        c += strspn(c, ", ");
    }
    result_sort(ret);
}

static void run(struct promtool *p, const struct trial *t, const char *file)
{
    char cmd[1200], *line = NULL;
    size_t cap = 0;
    struct result *now = NULL;
    snprintf(cmd, sizeof(cmd), "promtool test rules %s 2>&1", file);
    FILE *f = popen(cmd, "re");
    if (!f)
        abort();
    while (getline(&line, &cap, f) > 0) {
        char *got = strstr(line, "got:");
        if (strstr(line, "expr: \"") && strstr(line, "\", time: ")) {
            char *err = strstr(line, ", err: ");
            now = heading(p, t, line);
            if (now && err)
                result_error(now, &p->arena, err + strlen(", err: "));
        } else if (got && now) {
            got += strlen("got:");
            read_rows(p, now, got + strspn(got, " "));
            now = NULL;
        }
    }
    free(line);
    pclose(f);
}

static void write_file(const char *file, const struct buf *text)
{
    FILE *f = fopen(file, "we");
    if (text->failed || !f || fwrite(text->data, 1, text->len, f) != text->len)
        abort();
    fclose(f);
}

bool promtool_here(void)
{
    static int known = -1;
    if (known < 0)
        known = system("promtool --version 2>&1 | grep -q 'version 2.42'") == 0;
    return known;
}

bool promtool_passes(const struct buf *text)
{
    char file[600], cmd[1200];
    snprintf(file, sizeof(file), "%s/alerts.yml", test_tmpdir());
    write_file(file, text);
    snprintf(cmd, sizeof(cmd), "promtool test rules %s 2>&1", file);
    FILE *f = popen(cmd, "re");
    struct buf said;
    buf_init(&said, 16u << 20);
    if (!f || buf_add_stream(&said, f) < 0)
        abort();
    bool passed = pclose(f) == 0 && strstr(buf_cstr(&said), "SUCCESS");
    if (!passed)
        printf("%s\n", buf_cstr(&said));
    buf_done(&said);
    return passed;
}

static void *open_promtool(const struct trial *t)
{
    char file[600];
    if (!promtool_here() || !t->compat_2_42)
        return NULL;
    struct promtool *p = calloc(1, sizeof(*p));
    struct buf text;
    if (!p)
        abort();
    buf_init(&text, 64u << 20);
    trial_write(t, &text);
    snprintf(file, sizeof(file), "%s/oracle.yml", test_tmpdir());
    write_file(file, &text);
    buf_done(&text);
    arena_init(&p->arena, 0);
    p->n_t = t->n_t;
    p->answer = calloc(t->n_q * t->n_t + 1, sizeof(*p->answer));
    if (!p->answer)
        abort();
    run(p, t, file);
    if (!p->finished) {
        printf("promtool did not answer to the end: %s\n", file);
        exit(2);
    }
    return p;
}

static void answer(void *self, size_t q, size_t moment, struct arena *a, struct result *ret)
{
    struct promtool *p = self;
    (void)a; // lives as long as the evaluator, longer than the caller needs
    *ret = p->answer[q * p->n_t + moment];
}

static void finish(void *self)
{
    struct promtool *p = self;
    arena_done(&p->arena);
    free(p->answer);
    free(p);
}

const struct evaluator promtool_evaluator = {
    .name = "promtool", .open = open_promtool, .read = answer, .close = finish};

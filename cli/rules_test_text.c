// SPDX-License-Identifier: Apache-2.0
#include "cli/rules_test_text.h"
#include "base/num.h"
#include "cli/text.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNED_MAX    36 // longer texts stand below each other, not beside
#define NAME_MAX_WIDTH 64
#define COLUMNS_MAX    60 // of a timeline
#define LABELS_MAX     (1u << 20)
#define TIMELINE_MAX   20

static const char *duration(int64_t ms, char ret[static NUM_TEXT_MAX])
{
    ret[duration_print(ms, ret)] = '\0';
    return ret;
}

static bool is_alertname(const char *name)
{
    return strcmp(name, "alertname") == 0;
}

static const char *find(const struct labels *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->l[i].name, name) == 0)
            return s->l[i].value;
    return NULL;
}

// The labels both have (all of the one there is), without alertname, after `indent`.
static const char *shared(const struct labels *a, const struct labels *b, const char *indent,
    bool alert, struct buf *out)
{
    struct label *l = calloc(a->n + 1, sizeof(*l));
    size_t n = 0;
    buf_reset(out);
    buf_adds(out, indent);
    for (size_t i = 0; l && i < a->n; i++) {
        const char *other = b ? find(b, a->l[i].name) : a->l[i].value;
        if (other && !strcmp(other, a->l[i].value) && !(alert && is_alertname(a->l[i].name)))
            l[n++] = a->l[i];
    }
    labels_print(&(struct labels){l, n}, out);
    free(l);
    return buf_cstr(out);
}

// --- what differs ----------------------------------------------------------------------------------

struct view {
    FILE *out;
    bool color, partial; // partial: what is not named is not compared
    struct table table;  // short texts, beside each other
    struct buf line;     // of a cell
    struct buf below;    // long texts, below each other
    size_t equal;
    bool nan; // expected and got
    bool failed;
};

static void open_table(struct view *v)
{
    static const char *const headings[] = {"", "expected", "got"};
    table_init(&v->table, headings, 3);
    buf_init(&v->below, LABELS_MAX);
}

static void close_table(struct view *v)
{
    if (v->table.n_cells > 3)
        v->failed |= !table_print(&v->table, 0, v->color, v->out);
    fputs(buf_cstr(&v->below), v->out);
    v->failed |= v->below.failed != 0;
    buf_done(&v->below);
    table_done(&v->table);
}

static void row(struct view *v, const char *what, const char *expected, const char *got)
{
    table_cell(&v->table, TEXT_PLAIN, what);
    table_cell(&v->table, TEXT_GOOD, expected);
    table_cell(&v->table, TEXT_BAD, got);
}

static void paint(struct view *v, const char *on, const char *text)
{
    buf_adds(&v->below, v->color ? on : "");
    text_clean(text, &v->below);
    buf_adds(&v->below, v->color ? "\033[0m\n" : "\n");
}

// Below each other, and a caret where they part.
static void block(struct view *v, const char *name, const char *expected, const char *got)
{
    size_t same = 0, width = 0;
    while (expected[same] && expected[same] == got[same])
        same++;
    while (same > 0 && ((unsigned char)expected[same] & 0xc0) == 0x80)
        same--;
    buf_addf(&v->below, "      %s\n        expected  ", name);
    paint(v, "\033[32m", expected);
    buf_adds(&v->below, "        got       ");
    paint(v, "\033[1;31m", got);
    for (size_t i = 0; i < same; i++)
        width += ((unsigned char)expected[i] & 0xc0) != 0x80;
    buf_addf(&v->below, "                  %*s^\n", (int)width, "");
}

static void text_row(
    struct view *v, const char *kind, const char *name, const char *expected, const char *got)
{
    if (expected && got && strcmp(expected, got) == 0)
        return;
    buf_reset(&v->line);
    buf_addf(&v->line, "%s%s", kind, name);
    if ((expected && strlen(expected) > ALIGNED_MAX) || (got && strlen(got) > ALIGNED_MAX)) {
        block(v, buf_cstr(&v->line), expected ? expected : "(none)", got ? got : "(none)");
        return;
    }
    char *cell = NULL;
    if (asprintf(&cell, "      %s", buf_cstr(&v->line)) < 0) {
        v->failed = true;
        return;
    }
    const char *left = !expected ? "(none)" : *expected ? expected : "\"\"";
    row(v, cell, left, !got ? "(none)" : *got ? got : "\"\"");
    free(cell);
}

static void set_rows(
    struct view *v, const char *kind, const struct labels *expected, const struct labels *got)
{
    for (size_t i = 0; i < expected->n; i++)
        if (!is_alertname(expected->l[i].name))
            text_row(v, kind, expected->l[i].name, expected->l[i].value,
                find(got, expected->l[i].name));
    for (size_t i = 0; i < got->n && !v->partial; i++)
        if (!is_alertname(got->l[i].name) && !find(expected, got->l[i].name))
            text_row(v, kind, got->l[i].name, NULL, got->l[i].value);
}

static void line(
    struct view *v, const char *what, const struct labels *a, const struct labels *b)
{
    struct buf clean;
    buf_init(&clean, LABELS_MAX);
    text_clean(shared(a, b, what, true, &v->line), &clean);
    fprintf(v->out, "    %s\n", buf_cstr(&clean));
    v->failed |= clean.failed || v->line.failed;
    buf_done(&clean);
}

static void alert_pair(struct view *v, const struct rule_test_pair *p)
{
    const struct rule_test_item *x = p->expected, *y = p->got;
    if (!x) {
        line(v, "firing, not expected: ", &y->labels, NULL);
    } else if (!y) {
        line(v, "expected, not firing: ", &x->labels, NULL);
    } else {
        line(v, "", &x->labels, &y->labels);
        open_table(v);
        set_rows(v, "", &x->labels, &y->labels);
        set_rows(v, "annotation ", &x->annotations, &y->annotations);
        close_table(v);
    }
}

static const char *value(const struct rule_test_item *x, char number[static NUM_TEXT_MAX])
{
    if (!x)
        return "(none)";
    if (x->histogram)
        return x->histogram;
    number[num_short(x->value, number)] = '\0';
    return number;
}

static void sample_row(
    struct view *v, const struct rule_test_item *x, const struct rule_test_item *y)
{
    char a[NUM_TEXT_MAX], b[NUM_TEXT_MAX];
    const char *left = value(x, a), *right = value(y, b);
    const char *name = shared(x ? &x->labels : &y->labels, NULL, "    ", false, &v->line);
    if (strlen(left) > ALIGNED_MAX || strlen(right) > ALIGNED_MAX ||
        strlen(name) > NAME_MAX_WIDTH)
        block(v, name + 4, left, right);
    else
        row(v, name, left, right);
}

static void sample_pair(struct view *v, const struct rule_test_pair *p)
{
    const struct rule_test_item *x = p->expected, *y = p->got;
    v->nan |= x && y && isnan(x->value) && isnan(y->value);
    if (x && y && !labels_equal(&x->labels, &y->labels)) {
        sample_row(v, x, NULL);
        sample_row(v, NULL, y);
    } else {
        sample_row(v, x, y);
    }
}

static void print_pairs(struct view *v, const struct rule_test_case *c)
{
    bool samples = c->kind == RULE_TEST_EXPR;
    if (samples)
        open_table(v);
    for (size_t i = 0; i < c->n_pairs; i++) {
        if (c->pairs[i].same)
            v->equal++;
        else if (samples)
            sample_pair(v, &c->pairs[i]);
        else
            alert_pair(v, &c->pairs[i]);
    }
    if (samples)
        close_table(v);
    if (v->nan)
        fputs("    NaN is equal to nothing, in promtool too: expect a sample of `x != x`\n",
            v->out);
    if (v->equal)
        fprintf(v->out, "    and %zu as expected\n", v->equal);
}

// --- the timeline ----------------------------------------------------------------------------

static enum alert_state state_at(const struct rule_test_timeline *t, int64_t ms)
{
    enum alert_state s = ALERT_INACTIVE;
    for (size_t i = 0; i < t->n && t->changes[i].t_ms <= ms; i++)
        s = t->changes[i].to;
    return s;
}

static void timeline_row(const struct rule_test_result *r, const struct rule_test_timeline *t,
    int64_t ticks, int64_t per_column, struct buf *out)
{
    for (int64_t i = 0; i < ticks; i += per_column) {
        enum alert_state worst = ALERT_INACTIVE;
        for (int64_t k = i; k < i + per_column && k < ticks; k++) {
            enum alert_state s = state_at(t, k * r->interval_ms);
            worst = s > worst ? s : worst;
        }
        buf_addc(out, worst == ALERT_FIRING ? 'F' : worst == ALERT_PENDING ? 'p' : '.');
    }
}

static void print_timeline(const struct rule_test_result *r, const struct rule_test_case *c,
    struct buf *line, FILE *out)
{
    char step[NUM_TEXT_MAX];
    int64_t ticks = r->end_ms / r->interval_ms + 1;
    int64_t per_column = (ticks + COLUMNS_MAX - 1) / COLUMNS_MAX;
    size_t n = c->n_timelines < TIMELINE_MAX ? c->n_timelines : TIMELINE_MAX, wide = 0;

    if (n == 0) {
        fputs("    it was never pending during this test\n", out);
        return;
    }
    fprintf(out,
        "    timeline, one column is %s: . inactive, p pending, F firing, ^ this check\n",
        duration(per_column * r->interval_ms, step));
    for (size_t i = 0; i < n; i++) {
        size_t w = text_width(shared(&c->timelines[i].labels, NULL, "", true, line));
        wide = w > wide ? w : wide;
    }
    for (size_t i = 0; i < n; i++) {
        const char *name = shared(&c->timelines[i].labels, NULL, "", true, line);
        int pad = (int)(wide - text_width(name));
        struct buf clean;
        buf_init(&clean, LABELS_MAX);
        text_clean(name, &clean);
        fprintf(out, "      %s%*s  ", buf_cstr(&clean), pad, "");
        buf_reset(&clean);
        timeline_row(r, &c->timelines[i], ticks, per_column, &clean);
        fprintf(out, "%s\n", buf_cstr(&clean));
        buf_done(&clean);
    }
    int at = (int)(c->at_ms / r->interval_ms / per_column);
    fprintf(out, "      %*s  %*s^\n", (int)wide, "", at, "");
    if (c->n_timelines > n)
        fprintf(out, "      and %zu more\n", c->n_timelines - n);
}

// --- one case ------------------------------------------------------------------------------------

static void print_title(const struct rule_test_case *c, const char *file, bool color, FILE *out)
{
    char at[NUM_TEXT_MAX];
    struct buf what;
    buf_init(&what, LABELS_MAX);
    // An expression of several lines is named by its first.
    char *first = strndup(c->what, strcspn(c->what, "\n"));
    text_clean(first ? first : "", &what);
    if (first && c->what[strlen(first)])
        buf_adds(&what, " ...");
    free(first);
    fprintf(out, "  %s ", c->kind == RULE_TEST_ALERT ? "alert" : "expr");
    text_paint(out, color, TEXT_BOLD, buf_cstr(&what));
    fprintf(out, " at %s  (%s:%d:%d)\n", duration(c->at_ms, at), file, c->line, c->col);
    buf_done(&what);
}

bool rules_test_print(const struct rule_test_result *r, const struct rule_test_case *c,
    const char *file, bool color, FILE *out)
{
    struct view v = {.out = out, .color = color, .partial = c->partial};

    print_title(c, file, color, out);
    if (c->error) {
        fprintf(out, "    %s\n", c->error);
        return true;
    }
    buf_init(&v.line, LABELS_MAX);
    print_pairs(&v, c);
    if (c->note)
        fprintf(out, "    %s\n", c->note);
    else if (c->kind == RULE_TEST_ALERT)
        print_timeline(r, c, &v.line, out);
    v.failed |= v.line.failed != 0;
    buf_done(&v.line);
    return !v.failed;
}

// SPDX-License-Identifier: Apache-2.0
#include "tests/promqltest/script.h"
#include "base/num.h"
#include "rules/lex.h"
#include <errno.h>
#include <string.h>

struct reader {
    struct script *s;
    char **line; // trimmed; comments are empty
    size_t n, at;
    size_t cap;
    struct err *err;
};

static int fail(struct reader *r, const char *why, const char *what)
{
    err_at(r->err, (int)r->at + 1, 0, "%s: %.200s", why, what);
    return -EINVAL;
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static int split_lines(struct reader *r, const char *text, size_t len)
{
    size_t lines = 1;
    for (size_t i = 0; i < len; i++)
        lines += text[i] == '\n';
    r->line = arena_alloc(&r->s->arena, lines * sizeof(*r->line));
    if (!r->line)
        return -ENOMEM;
    const char *end = text + len;
    while (text <= end) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        const char *last = stop ? stop : end, *first = text;
        while (first < last && blank(*first))
            first++;
        while (last > first && blank(last[-1]))
            last--;
        if (first < last && *first == '#')
            last = first;
        r->line[r->n] = arena_strndup(&r->s->arena, first, (size_t)(last - first));
        if (!r->line[r->n++])
            return -ENOMEM;
        if (!stop)
            break;
        text = stop + 1;
    }
    return 0;
}

// The word at *at, which moves behind it and the blanks that follow.
static const char *word(struct reader *r, const char **at)
{
    const char *start = *at, *end = start;
    while (*end && !blank(*end))
        end++;
    *at = end;
    while (blank(**at))
        (*at)++;
    return arena_strndup(&r->s->arena, start, (size_t)(end - start));
}

static bool take(const char **at, const char *prefix)
{
    size_t n = strlen(prefix);
    if (strncmp(*at, prefix, n) != 0 || !((*at)[n] == '\0' || blank((*at)[n])))
        return false;
    *at += n;
    while (blank(**at))
        (*at)++;
    return true;
}

static int duration(struct reader *r, const char **at, int64_t *ret)
{
    const char *text = word(r, at);
    if (!text)
        return -ENOMEM;
    return duration_parse(text, strlen(text), ret) ? 0 : fail(r, "not a duration", text);
}

static struct command *new_command(struct reader *r, enum command_kind kind)
{
    struct script *s = r->s;
    if (s->n == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 64;
        struct command *grown = arena_alloc(&s->arena, cap * sizeof(*grown));
        if (!grown)
            return NULL;
        if (s->n)
            memcpy(grown, s->command, s->n * sizeof(*grown));
        s->command = grown;
        r->cap = cap;
    }
    struct command *c = &s->command[s->n++];
    *c = (struct command){.kind = kind, .line = (int)r->at + 1};
    return c;
}

// How many lines the block has that begins behind the line looked at.
static size_t block_lines(const struct reader *r)
{
    size_t n = 0;
    while (r->at + 1 + n < r->n && *r->line[r->at + 1 + n])
        n++;
    return n;
}

static int read_series(struct reader *r, struct script_series *ret)
{
    struct parse_error e = {.start = 0};
    const char *text = r->line[r->at];
    ret->line = (int)r->at + 1;
    int rc =
        series_line_parse(text, strlen(text), &r->s->arena, &ret->labels, &ret->values, &e);
    if (rc < 0 && rc != -ENOMEM)
        err_at(r->err, (int)r->at + 1, e.start + 1, "%s", e.msg);
    return rc;
}

static bool start_time_line(const char *text)
{
    size_t n = strcspn(text, " \t");
    return n > 3 && !strncmp(text + n - 3, "@st", 3);
}

static int read_load(struct reader *r)
{
    const char *at = r->line[r->at];
    size_t lines = block_lines(r);
    struct command *c = new_command(r, COMMAND_LOAD);
    if (!c)
        return -ENOMEM;
    c->with_nhcb = take(&at, "load_with_nhcb");
    if (!c->with_nhcb && !take(&at, "load"))
        return fail(r, "unknown command", at);
    c->series = arena_alloc(&r->s->arena, (lines + 1) * sizeof(*c->series));
    int rc = c->series ? duration(r, &at, &c->step_ms) : -ENOMEM;
    for (; rc == 0 && lines--;) {
        r->at++;
        if (start_time_line(r->line[r->at]))
            c->start_times = true;
        else
            rc = read_series(r, &c->series[c->n_series++]);
    }
    return rc;
}

static int add_expectation(
    struct reader *r, struct command *c, enum expect_kind kind, const char *rest)
{
    struct expectation *x = &c->expect[c->n_expect++];
    *x = (struct expectation){.kind = kind, .match = MATCH_ANY};
    if (!*rest)
        return 0;
    if (!strncmp(rest, "msg:", 4))
        x->match = MATCH_MESSAGE;
    else if (!strncmp(rest, "regex:", 6))
        x->match = MATCH_PATTERN;
    else
        return fail(r, "expected msg: or regex:", rest);
    x->text = strchr(rest, ':') + 1;
    while (blank(*x->text))
        x->text++;
    return 0;
}

static int read_string(struct reader *r, struct command *c, const char *at)
{
    struct parse_error e;
    struct token t;
    struct lexer lex = {.text = at, .len = strlen(at), .arena = &r->s->arena, .err = &e};
    if (lex_next(&lex, &t) < 0 || t.kind != TOK_STRING)
        return fail(r, "expected a quoted string", at);
    c->string = t.string;
    return 0;
}

static int read_range_vector(struct reader *r, struct command *c, const char *at)
{
    int rc = -EINVAL;
    c->range_vector = true;
    if (take(&at, "from") && (rc = duration(r, &at, &c->start_ms)) == 0 && take(&at, "to") &&
        (rc = duration(r, &at, &c->end_ms)) == 0 && take(&at, "step"))
        return duration(r, &at, &c->step_ms);
    return rc == 0 || rc == -EINVAL ? fail(r, "expected from .. to .. step ..", at) : rc;
}

static int read_expect(struct reader *r, struct command *c, const char *at)
{
    static const char *const KINDS[EXPECT_N] = {
        "ordered", "fail", "warn", "no_warn", "info", "no_info"};
    if (take(&at, "string"))
        return read_string(r, c, at);
    if (take(&at, "range vector"))
        return read_range_vector(r, c, at);
    for (size_t i = 0; i < EXPECT_N; i++)
        if (take(&at, KINDS[i]))
            return add_expectation(r, c, (enum expect_kind)i, at);
    return fail(r, "unknown expectation", at);
}

// The forms that came before `expect`.
static bool legacy_message(struct command *c, const char *line)
{
    static const char *const WORD[] = {"expected_fail_message", "expected_fail_regexp"};
    for (int i = 0; i < 2; i++) {
        const char *at = line;
        if (!take(&at, WORD[i]))
            continue;
        c->expect[c->n_expect++] =
            (struct expectation){EXPECT_FAIL, i ? MATCH_PATTERN : MATCH_MESSAGE, at};
        return true;
    }
    return false;
}

static bool number(const char *text, double *ret)
{
    struct arena a;
    struct parse_error e;
    struct token t, end;
    const char *digits = *text == '-' || *text == '+' ? text + 1 : text;
    arena_init(&a, 1u << 16);
    struct lexer lex = {.text = digits, .len = strlen(digits), .arena = &a, .err = &e};
    bool ok = lex_next(&lex, &t) == 0 && t.kind == TOK_NUMBER && lex_next(&lex, &end) == 0 &&
              end.kind == TOK_END;
    arena_done(&a);
    if (ok)
        *ret = *text == '-' ? -t.number : t.number;
    return ok;
}

static int read_expected(struct reader *r, struct command *c)
{
    const char *line = r->line[r->at], *at = line;
    if (take(&at, "expect"))
        return read_expect(r, c, at);
    if (legacy_message(c, line))
        return 0;
    if (number(line, &c->scalar)) {
        c->expects_scalar = true;
        return 0;
    }
    return read_series(r, &c->series[c->n_series++]);
}

static int read_when(struct reader *r, struct command *c, const char **at)
{
    int rc;
    if (take(at, "instant")) {
        if (!take(at, "at"))
            return fail(r, "expected at", *at);
        rc = duration(r, at, &c->start_ms);
        c->end_ms = c->start_ms;
        return rc;
    }
    if (!take(at, "range") || !take(at, "from"))
        return fail(r, "expected instant at or range from", *at);
    c->range = true;
    rc = duration(r, at, &c->start_ms);
    if (rc == 0 && !take(at, "to"))
        return fail(r, "expected to", *at);
    if (rc == 0)
        rc = duration(r, at, &c->end_ms);
    if (rc == 0 && !take(at, "step"))
        return fail(r, "expected step", *at);
    return rc == 0 ? duration(r, at, &c->step_ms) : rc;
}

static int read_eval(struct reader *r)
{
    static const struct {
        const char *word;
        enum expect_kind kind;
    } FORMS[] = {{"eval_fail", EXPECT_FAIL}, {"eval_warn", EXPECT_WARN},
        {"eval_info", EXPECT_INFO}, {"eval_ordered", EXPECT_ORDERED}};
    const char *at = r->line[r->at];
    size_t lines = block_lines(r);
    struct command *c = new_command(r, COMMAND_EVAL);
    if (!c)
        return -ENOMEM;
    c->series = arena_alloc(&r->s->arena, (lines + 1) * sizeof(*c->series));
    c->expect = arena_alloc(&r->s->arena, (lines + 2) * sizeof(*c->expect));
    if (!c->series || !c->expect)
        return -ENOMEM;
    bool known = take(&at, "eval");
    for (size_t i = 0; !known && i < sizeof(FORMS) / sizeof(FORMS[0]); i++)
        if (take(&at, FORMS[i].word)) {
            known = true;
            c->expect[c->n_expect++] = (struct expectation){.kind = FORMS[i].kind};
        }
    if (!known)
        return fail(r, "unknown command", at);
    int rc = read_when(r, c, &at);
    c->expr = at;
    while (rc == 0 && lines--) {
        r->at++;
        rc = read_expected(r, c);
    }
    return rc;
}

int script_parse(const char *text, size_t len, struct script *ret, struct err *err)
{
    struct reader r = {.s = ret, .err = err};
    *ret = (struct script){.n = 0};
    arena_init(&ret->arena, 256u << 20);
    int rc = split_lines(&r, text, len);
    for (; rc == 0 && r.at < r.n; r.at++) {
        const char *at = r.line[r.at];
        if (!*at)
            continue;
        if (take(&at, "clear"))
            rc = new_command(&r, COMMAND_CLEAR) ? 0 : -ENOMEM;
        else if (!strncmp(at, "load", 4))
            rc = read_load(&r);
        else
            rc = read_eval(&r);
    }
    if (rc == -ENOMEM)
        err_set(err, "out of memory");
    return rc;
}

void script_done(struct script *s)
{
    arena_done(&s->arena);
}

bool command_expects(const struct command *c, enum expect_kind kind)
{
    for (size_t i = 0; i < c->n_expect; i++)
        if (c->expect[i].kind == kind)
            return true;
    return false;
}

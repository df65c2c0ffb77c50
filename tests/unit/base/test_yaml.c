// SPDX-License-Identifier: Apache-2.0
#include "base/yaml.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <stdlib.h>
#include <string.h>

// One text read into a tree; done by doc_done.
struct doc {
    struct arena arena;
    struct diags diags;
    const char *text;
    struct yaml_node *root;
};

static void doc_read(struct doc *d, const char *text)
{
    arena_init(&d->arena, 0);
    diags_init(&d->diags);
    d->text = text;
    d->root = yaml_parse(text, strlen(text), &d->arena, &d->diags);
}

static void doc_done(struct doc *d)
{
    diags_done(&d->diags);
    arena_done(&d->arena);
}

static void reads_a_rule_file(void)
{
    struct doc d;
    doc_read(&d,
        "groups:\n- name: web\n  rules:\n  - alert: Down\n    expr: up == 0\n    for: 1m\n"
        "  - record: \"a:b\"\n    expr: ~\n");
    CU_ASSERT_PTR_NOT_NULL_FATAL(d.root);
    const struct yaml_node *groups = yaml_get(d.root, "groups");
    CU_ASSERT_PTR_NOT_NULL_FATAL(groups);
    CU_ASSERT_EQUAL(groups->kind, YAML_SEQ);
    CU_ASSERT_EQUAL_FATAL(groups->n, 1);
    const struct yaml_node *rules = yaml_get(groups->items[0], "rules");
    CU_ASSERT_EQUAL_FATAL(rules->n, 2);
    const struct yaml_node *expr = yaml_get(rules->items[0], "expr");
    CU_ASSERT_STRING_EQUAL(expr->text, "up == 0");
    CU_ASSERT_EQUAL(expr->len, 7);
    CU_ASSERT_EQUAL(expr->line, 5);
    CU_ASSERT_EQUAL(expr->col, 11);
    CU_ASSERT_EQUAL(strncmp(d.text + expr->offset, "up == 0\n", 8), 0);
    CU_ASSERT_EQUAL(expr->end - expr->offset, 7);
    CU_ASSERT_EQUAL(yaml_get(rules->items[1], "record")->style, YAML_DOUBLE);
    CU_ASSERT_EQUAL(yaml_get(rules->items[1], "expr")->kind, YAML_NULL);
    CU_ASSERT_PTR_NULL(yaml_get(rules->items[1], "alert"));
    CU_ASSERT_PTR_NULL(yaml_get(rules, "alert"));
    doc_done(&d);
}

static void nothing_is_null(void)
{
    static const char *const EMPTY[] = {"", "\n\n", "# only a comment\n", "---\n", "null"};
    for (size_t i = 0; i < sizeof(EMPTY) / sizeof(EMPTY[0]); i++) {
        struct doc d;
        doc_read(&d, EMPTY[i]);
        CU_ASSERT_PTR_NOT_NULL_FATAL(d.root);
        CU_ASSERT_EQUAL(d.root->kind, YAML_NULL);
        doc_done(&d);
    }
    struct arena a;
    struct diags diags;
    arena_init(&a, 0);
    diags_init(&diags);
    CU_ASSERT_PTR_NOT_NULL(yaml_parse(NULL, 0, &a, &diags));
    diags_done(&diags);
    arena_done(&a);
}

static void only_the_first_document(void)
{
    struct doc d;
    doc_read(&d, "---\na: 1\n---\na: 2\n");
    CU_ASSERT_PTR_NOT_NULL_FATAL(d.root);
    CU_ASSERT_STRING_EQUAL(yaml_get(d.root, "a")->text, "1");
    doc_done(&d);
}

static void aliases_and_merges(void)
{
    struct doc d;
    doc_read(&d, "base: &b {severity: page, team: a}\nmore: &m {team: b, extra: x}\n"
                 "r: {<<: [*b, *m], severity: warn}\ns: *b\nt: &n !!str text\nu: {<<: *m}\n");
    CU_ASSERT_PTR_NOT_NULL_FATAL(d.root);
    const struct yaml_node *r = yaml_get(d.root, "r");
    CU_ASSERT_EQUAL(r->n, 3);
    CU_ASSERT_STRING_EQUAL(yaml_get(r, "severity")->text, "warn");
    CU_ASSERT_STRING_EQUAL(yaml_get(r, "team")->text, "a"); // the earlier of two merged wins
    CU_ASSERT_STRING_EQUAL(yaml_get(r, "extra")->text, "x");
    CU_ASSERT_STRING_EQUAL(yaml_get(yaml_get(d.root, "s"), "team")->text, "a");
    const struct yaml_node *t = yaml_get(d.root, "t");
    CU_ASSERT_STRING_EQUAL(t->text, "text");
    CU_ASSERT_EQUAL(strncmp(d.text + t->offset, "text", 4), 0);
    CU_ASSERT_EQUAL(yaml_get(d.root, "u")->n, 2);
    doc_done(&d);
}

static void what_follows_the_document_is_told(void)
{
    static const struct {
        const char *text;
        int line, col; // 0 = nothing to tell
    } CASES[] = {{" a: 1\nb: 2\n", 2, 1}, {"a: 1\n---\nb: 2\n", 3, 1},
        {"a: 1\n...\nb: 2\n", 3, 1}, {" a: 1\n- b\n", 2, 1}, {"a: 1\n", 0, 0},
        {"a: 1\n---\n# nothing\n", 0, 0}, {"a: 1\n...\n", 0, 0}, {"", 0, 0},
        {"\xef\xbb\xbf\na: 1\n", 0, 0}};
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct doc d;
        doc_read(&d, CASES[i].text);
        CU_ASSERT_PTR_NOT_NULL(d.root);
        CU_ASSERT_EQUAL(d.diags.errors, 0);
        CU_ASSERT_EQUAL_FATAL(d.diags.n, CASES[i].line > 0);
        if (d.diags.n) {
            CU_ASSERT_STRING_EQUAL(d.diags.items[0].code, "T007");
            CU_ASSERT_EQUAL(d.diags.items[0].line, CASES[i].line);
            CU_ASSERT_EQUAL(d.diags.items[0].col, CASES[i].col);
        }
        doc_done(&d);
    }
}

static void a_byte_order_mark_is_no_column(void)
{
    struct doc d;
    doc_read(&d, "\xef\xbb\xbf"
                 "a:\n- b: \xc3\xa9\n- c\n");
    CU_ASSERT_PTR_NOT_NULL_FATAL(d.root);
    const struct yaml_node *list = yaml_get(d.root, "a");
    CU_ASSERT_EQUAL(d.diags.n, 0);
    CU_ASSERT_EQUAL_FATAL(list->n, 2);
    const struct yaml_node *c = list->items[1];
    CU_ASSERT_EQUAL(c->line, 3);
    CU_ASSERT_EQUAL(c->col, 3);
    CU_ASSERT_EQUAL(strncmp(d.text + c->offset, "c\n", 2), 0);
    doc_done(&d);
}

static void mistake_is(const char *text, const char *code, int line, int col, const char *words)
{
    struct doc d;
    doc_read(&d, text);
    CU_ASSERT_PTR_NULL(d.root);
    CU_ASSERT_EQUAL_FATAL(d.diags.n, 1);
    const struct diag *m = &d.diags.items[0];
    if (strcmp(m->code, code) != 0 || m->line != line || m->col != col ||
        !strstr(m->msg, words))
        printf("  got %s %d:%d %s\n", m->code, m->line, m->col, m->msg);
    CU_ASSERT_STRING_EQUAL(m->code, code);
    CU_ASSERT_EQUAL(m->line, line);
    CU_ASSERT_EQUAL(m->col, col);
    CU_ASSERT_PTR_NOT_NULL(strstr(m->msg, words));
    doc_done(&d);
}

static void mistakes_have_places(void)
{
    mistake_is("a: 1\nb: 2\na: 3\n", "T002", 3, 1, "duplicate key `a`, first at 1:1");
    mistake_is("a:\n\tb: 1\n", "T001", 2, 1, "cannot start any token");
    mistake_is("\xc3\xa9: [1, 2\nb: 3\n", "T001", 2, 2, "did not find expected");
    mistake_is("a: *missing\n", "T004", 1, 4, "not defined");
    mistake_is("a: &x [1, *x]\n", "T004", 1, 11, "contain itself");
    mistake_is("[1]: 2\n", "T005", 1, 1, "single value");
    mistake_is("a: {<<: 5}\n", "T006", 1, 5, "merges a map");
    mistake_is("a: \xff\n", "T001", 1, 4, "UTF-8");
    mistake_is("expr: a: b\n", "T001", 1, 8, "mapping values");
    // Go's reader takes it for a key, libyaml 0.2.5 no longer does.
    mistake_is("a: {b: c?d}\n", "T001", 1, 9, "question mark");
    mistake_is("a: [&x c?]\n", "T001", 1, 9, "question mark");
    mistake_is("a: \"b\\\\ \\/\"\n", "T001", 1, 9, "unknown escape");
}

static void all_duplicates_are_shown(void)
{
    struct doc d;
    char text[1000] = "";
    for (int i = 0; i < 24; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "key%d: 1\n", i % 20);
    doc_read(&d, text);
    CU_ASSERT_PTR_NULL(d.root);
    CU_ASSERT_EQUAL(d.diags.errors, 4);
    CU_ASSERT_PTR_NOT_NULL(strstr(d.diags.items[3].msg, "`key3`, first at 4:1"));
    doc_done(&d);
}

static void is_bounded(void)
{
    char deep[300];
    for (int depth = 100; depth <= 101; depth++) {
        struct doc d;
        memset(deep, '[', (size_t)depth);
        memset(deep + depth, ']', (size_t)depth);
        deep[2 * depth] = '\0';
        doc_read(&d, deep);
        CU_ASSERT_EQUAL(d.root != NULL, depth == 100);
        doc_done(&d);
    }
    // Nine levels of ten aliases each: a billion values if they were copied.
    struct doc d;
    struct buf b;
    buf_init(&b, 4096);
    buf_adds(&b, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 9; i++) {
        buf_addf(&b, "a%d: &a%d [", i, i);
        for (int k = 0; k < 10; k++)
            buf_addf(&b, "%s*a%d", k ? ", " : "", i - 1);
        buf_adds(&b, "]\n");
    }
    doc_read(&d, buf_cstr(&b));
    CU_ASSERT_PTR_NULL(d.root);
    CU_ASSERT_EQUAL_FATAL(d.diags.n, 1);
    CU_ASSERT_STRING_EQUAL(d.diags.items[0].code, "T003");
    doc_done(&d);
    // Depth counts through aliases too.
    buf_reset(&b);
    buf_adds(&b, "a0: &a0 [x]\n");
    for (int i = 1; i < 120; i++)
        buf_addf(&b, "a%d: &a%d [*a%d]\n", i, i, i - 1);
    doc_read(&d, buf_cstr(&b));
    CU_ASSERT_PTR_NULL(d.root);
    CU_ASSERT_EQUAL_FATAL(d.diags.n, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(d.diags.items[0].msg, "nested too deeply"));
    doc_done(&d);
    buf_done(&b);
}

static void place_is(const char *text, const char *value, size_t offset, int line, int col)
{
    struct doc d;
    int got_line = 0, got_col = 0;
    doc_read(&d, text);
    CU_ASSERT_PTR_NOT_NULL_FATAL(d.root);
    const struct yaml_node *e = yaml_get(d.root, "e");
    CU_ASSERT_PTR_NOT_NULL_FATAL(e);
    CU_ASSERT_STRING_EQUAL(e->text, value);
    yaml_place(text, strlen(text), e, offset, &got_line, &got_col);
    if (got_line != line || got_col != col)
        printf("  byte %zu of \"%s\": got %d:%d, want %d:%d\n", offset, value, got_line,
            got_col, line, col);
    CU_ASSERT_EQUAL(got_line, line);
    CU_ASSERT_EQUAL(got_col, col);
    doc_done(&d);
}

static void places_in_every_style(void)
{
    place_is("e: up == 0\n", "up == 0", 3, 1, 7);
    place_is("e: up == 0\n", "up == 0", 7, 1, 11);
    place_is("e: up\n   == 0\n", "up == 0", 3, 2, 4);
    place_is("e: up\n\n   x\n", "up\nx", 3, 3, 4);
    place_is("e: 'it''s up'\n", "it's up", 5, 1, 11);
    place_is("e: \"a\\tb\\u00e9c\"\n",
        "a\tb\xc3\xa9"
        "c",
        5, 1, 15);
    place_is("e: \"a \\\n   b\"\n", "a b", 2, 2, 4);
    place_is("e: |\n  up\n    == 0\n", "up\n  == 0\n", 5, 3, 5);
    place_is("e: |2\n    up\n  x\n", "  up\nx\n", 5, 3, 3);
    place_is("e: |-  # note\n\n  up\n\n  x", "\nup\n\nx", 5, 5, 3);
    place_is("e: >\n  a\n  b\n\n  c\n    d\n  e\n", "a b\nc\n  d\ne\n", 2, 3, 3);
    place_is("e: >\n  a\n  b\n\n  c\n    d\n  e\n", "a b\nc\n  d\ne\n", 4, 5, 3);
    place_is("e: >\n  a\n  b\n\n  c\n    d\n  e\n", "a b\nc\n  d\ne\n", 10, 7, 3);
    place_is("e: &x !!str\n  up\n", "up", 1, 2, 4);
    place_is("# \xc3\xa9\xc3\xa9\ne: \xc3\xa9 x\n", "\xc3\xa9 x", 3, 2, 7);
    place_is("e: |\r\n  up\r\n  x\r\n", "up\nx\n", 3, 3, 3);
}

static unsigned next_random(unsigned *state)
{
    *state = *state * 1103515245u + 12345u;
    return *state >> 16;
}

// Raw bytes a value byte may come from: itself, a break that became a space or another break, or
// an escape.
static bool comes_from(char value, char raw)
{
    return raw == value || raw == '\\' || ((value == ' ' || value == '\n') && raw == '\n');
}

static void every_byte_has_its_place(void)
{
    static const char *const HEADS[] = {
        "e: |\n  ", "e: >\n  ", "e: >+\n  ", "e: |-\n  ", "e: '", "e: \"", "e: z", "e: |1\n  "};
    static const char *const TAILS[] = {"\n", "\n", "\n", "\n", "'\n", "\"\n", "z\n", "\n"};
    static const char *const PIECES[] = {"a", "bc", " ", "  ", "\n  ", "\n\n  ", "\n    ",
        "\xc3\xa9", "''", "\\t", "\\\n  ", "\\x41"};
    unsigned state = 42, read = 0;
    for (int i = 0; i < 20000; i++) {
        unsigned style = next_random(&state) % 8, pieces = next_random(&state) % 12;
        char text[300];
        snprintf(text, sizeof(text), "%sq", HEADS[style]);
        for (unsigned k = 0; k < pieces; k++)
            strcat(text, PIECES[next_random(&state) % (style == 5 ? 12 : style == 4 ? 9 : 8)]);
        strcat(text, TAILS[style]);
        struct doc d;
        doc_read(&d, text);
        const struct yaml_node *e = d.root ? yaml_get(d.root, "e") : NULL;
        int last_line = 0, last_col = 0;
        for (size_t at = 0; e && at < e->len; at++) {
            int line, col;
            yaml_place(text, strlen(text), e, at, &line, &col);
            const char *p = text;
            for (int l = 1; l < line; l++)
                p = strchr(p, '\n') + 1;
            char raw = p[col - 1];
            bool ok = comes_from(e->text[at], raw) &&
                      (line > last_line || (line == last_line && col >= last_col));
            if (!ok)
                printf("  %s: byte %zu '%c' at %d:%d '%c'\n", text, at, e->text[at], line, col,
                    raw);
            CU_ASSERT_TRUE_FATAL(ok);
            last_line = line;
            last_col = col;
        }
        read += e != NULL;
        doc_done(&d);
    }
    CU_ASSERT_TRUE(read > 15000);
}

static void failed_allocations(void)
{
    static const char TEXT[] =
        "a: &x {b: 1, c: [1, 2, 3], k1: 1, k2: 1, k3: 1, k4: 1, k5: 1, k6: 1, "
        "k7: 1, k8: 1}\nd: {<<: *x, e: f}\n";
    for (int nth = 1;; nth++) {
        struct doc d;
        oom_fail_at(nth);
        doc_read(&d, TEXT);
        bool hit = oom_stop();
        bool usable = d.root != NULL;
        CU_ASSERT_EQUAL(usable, d.diags.errors == 0);
        doc_done(&d);
        if (!hit) {
            CU_ASSERT_TRUE(usable);
            CU_ASSERT_TRUE(nth > 10);
            return;
        }
        CU_ASSERT_FALSE(usable);
    }
}

static const struct test TESTS[] = {
    {"reads a rule file into a tree with places", reads_a_rule_file},
    {"an empty text is a null", nothing_is_null},
    {"only the first document counts", only_the_first_document},
    {"what follows the document is told", what_follows_the_document_is_told},
    {"a byte order mark is no column", a_byte_order_mark_is_no_column},
    {"aliases and merge keys work", aliases_and_merges},
    {"mistakes have places", mistakes_have_places},
    {"all duplicates are shown", all_duplicates_are_shown},
    {"depth, count and aliases are bounded", is_bounded},
    {"a byte of a value has its place in every style", places_in_every_style},
    {"every byte of random scalars comes from its place", every_byte_has_its_place},
    {"every failed allocation is an error", failed_allocations},
};

int main(void)
{
    return test_main("yaml", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}

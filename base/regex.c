// SPDX-License-Identifier: Apache-2.0
#include "base/regex.h"
#include "base/regex_program.h"
#include "base/rune.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_MAX  (24u << 20)
#define RANGES_MAX 200000
#define SAVES_MAX  1000000 // slots of all threads together
#define PIECES_MAX 4096

struct compiler {
    struct regex *re;
    uint32_t n;
    size_t n_ranges;
    bool full;
    bool emit; // false = only count
};

// --- tree to program -------------------------------------------------------------------------
// Everything is emitted in order, so an instruction's successor is the next one unless said so.
static uint32_t put(struct compiler *c, enum regex_op op, uint32_t y)
{
    uint32_t pc = c->n;
    if (c->n >= REGEX_PROGRAM_MAX) {
        c->full = true;
        return 0;
    }
    if (c->emit)
        c->re->prog[pc] = (struct regex_inst){op, pc + 1, y, 0};
    c->n++;
    return pc;
}

static void patch(struct compiler *c, uint32_t pc, uint32_t x, uint32_t y)
{
    if (!c->emit || c->full)
        return;
    c->re->prog[pc].x = x;
    c->re->prog[pc].y = y;
}

static void put_class(struct compiler *c, const struct regex_node *n)
{
    uint32_t pc = put(c, OP_RX_CLASS, (uint32_t)c->n_ranges);
    if (c->n_ranges + n->n_ranges > RANGES_MAX)
        c->full = true;
    if (c->full)
        return;
    if (c->emit) {
        if (n->n_ranges)
            memcpy(&c->re->ranges[c->n_ranges], n->ranges, n->n_ranges * sizeof(*n->ranges));
        c->re->prog[pc].n = (uint32_t)n->n_ranges;
    }
    c->n_ranges += n->n_ranges;
}

static bool matches_empty(const struct regex_node *n)
{
    switch (n->kind) {
    case RX_CHAR:
    case RX_CLASS:
    case RX_ANY:
    case RX_ANY_IN_LINE: return false;
    case RX_EMPTY:
    case RX_BEGIN_TEXT:
    case RX_END_TEXT:
    case RX_BEGIN_LINE:
    case RX_END_LINE:
    case RX_WORD_EDGE:
    case RX_NOT_WORD_EDGE: return true;
    case RX_GROUP: return matches_empty(n->sub);
    case RX_REPEAT: return n->min == 0 || matches_empty(n->sub);
    case RX_CONCAT:
        for (const struct regex_node *s = n->sub; s; s = s->next)
            if (!matches_empty(s))
                return false;
        return true;
    case RX_ALTERNATE:
        for (const struct regex_node *s = n->sub; s; s = s->next)
            if (matches_empty(s))
                return true;
        return false;
    }
    return false;
}

static void compile(struct compiler *c, const struct regex_node *n);

static void put_split(
    struct compiler *c, uint32_t pc, uint32_t enter, uint32_t leave, bool lazy)
{
    patch(c, pc, lazy ? leave : enter, lazy ? enter : leave);
}

static void compile_plus(struct compiler *c, const struct regex_node *n)
{
    uint32_t start = c->n;
    compile(c, n->sub);
    uint32_t split = put(c, OP_RX_SPLIT, 0);
    put_split(c, split, start, split + 1, n->lazy);
}

static void compile_repeat(struct compiler *c, const struct regex_node *n)
{
    for (int i = 0; i < n->min - (n->max < 0) && !c->full; i++)
        compile(c, n->sub);
    if (n->max < 0 && n->min > 0) {
        compile_plus(c, n);
    } else if (n->max < 0 && matches_empty(n->sub)) {
        // x* with an x that can be empty is (x+)?: otherwise the empty round would lose against
        // leaving, and captures would differ from Go's.
        uint32_t split = put(c, OP_RX_SPLIT, 0);
        compile_plus(c, n);
        put_split(c, split, split + 1, c->n, n->lazy);
    } else if (n->max < 0) {
        uint32_t split = put(c, OP_RX_SPLIT, 0);
        compile(c, n->sub);
        uint32_t jump = put(c, OP_RX_JUMP, 0);
        patch(c, jump, split, 0);
        put_split(c, split, split + 1, c->n, n->lazy);
    } else {
        // x{2,5} is xx(x(x(x)?)?)?; the splits all leave to the same end, so remember where the
        // first stands and patch them in a second walk over the same shape.
        uint32_t first = c->n, size = 0;
        int optional = n->max - n->min;
        for (int i = 0; i < optional && !c->full; i++) {
            put(c, OP_RX_SPLIT, 0);
            uint32_t before = c->n;
            compile(c, n->sub);
            size = c->n - before + 1;
        }
        for (int i = 0; i < optional && !c->full; i++)
            put_split(
                c, first + (uint32_t)i * size, first + (uint32_t)i * size + 1, c->n, n->lazy);
    }
}

static void compile_alternate(struct compiler *c, const struct regex_node *n)
{
    // Jumps to the end are chained through their target until the end is known.
    uint32_t chain = UINT32_MAX;
    for (const struct regex_node *s = n->sub; s && !c->full; s = s->next) {
        if (!s->next) {
            compile(c, s);
            break;
        }
        uint32_t split = put(c, OP_RX_SPLIT, 0);
        compile(c, s);
        uint32_t jump = put(c, OP_RX_JUMP, 0);
        patch(c, jump, chain, 0);
        chain = jump;
        put_split(c, split, split + 1, c->n, false);
    }
    while (c->emit && !c->full && chain != UINT32_MAX) {
        uint32_t next = c->re->prog[chain].x;
        c->re->prog[chain].x = c->n;
        chain = next;
    }
}

// Depth is bounded by REGEX_NEST_MAX of the parser.
static void compile(struct compiler *c, const struct regex_node *n)
{
    if (c->full)
        return;
    switch (n->kind) {
    case RX_EMPTY: break;
    case RX_CHAR: put(c, OP_RX_CHAR, n->rune); break;
    case RX_CLASS: put_class(c, n); break;
    case RX_ANY: put(c, OP_RX_ANY, 0); break;
    case RX_ANY_IN_LINE: put(c, OP_RX_ANY_IN_LINE, 0); break;
    case RX_BEGIN_TEXT:
    case RX_END_TEXT:
    case RX_BEGIN_LINE:
    case RX_END_LINE:
    case RX_WORD_EDGE:
    case RX_NOT_WORD_EDGE: put(c, OP_RX_ASSERT, n->kind); break;
    case RX_GROUP:
        if (n->group)
            put(c, OP_RX_SAVE, (uint32_t)(n->group - 1) * 2);
        compile(c, n->sub);
        if (n->group)
            put(c, OP_RX_SAVE, (uint32_t)(n->group - 1) * 2 + 1);
        break;
    case RX_CONCAT:
        for (const struct regex_node *s = n->sub; s; s = s->next)
            compile(c, s);
        break;
    case RX_ALTERNATE: compile_alternate(c, n); break;
    case RX_REPEAT: compile_repeat(c, n); break;
    }
}

// --- fast path -------------------------------------------------------------------------------
static const struct regex_node *unwrap(const struct regex_node *n)
{
    while (n->kind == RX_GROUP)
        n = n->sub;
    return n;
}

// '*' for .*, '+' for .+, 0 for anything else.
static char any_run(const struct regex_node *n)
{
    n = unwrap(n);
    if (n->kind != RX_REPEAT || n->max >= 0 || n->min > 1 || unwrap(n->sub)->kind != RX_ANY)
        return 0;
    return n->min ? '+' : '*';
}

// One branch as a piece: [.*] literal [.*].
static bool piece(struct arena *a, const struct regex_node *n, struct regex_piece *ret)
{
    n = unwrap(n);
    const struct regex_node *s = n->kind == RX_CONCAT ? n->sub : n;
    bool single = n->kind != RX_CONCAT;
    size_t chars = 0;
    struct regex_piece p = {.left = 'n', .right = 'n'};

    if (s && any_run(s)) {
        p.left = any_run(s);
        s = single ? NULL : s->next;
    }
    for (const struct regex_node *k = s; k; k = single ? NULL : k->next)
        chars++;
    char *text = arena_alloc(a, chars * 4 + 1);
    if (!text)
        return false;
    for (; s; s = single ? NULL : s->next) {
        if (s->kind == RX_EMPTY)
            continue;
        if (any_run(s) && (single || !s->next)) {
            p.right = any_run(s);
            break;
        }
        // U+FFFD also matches a broken byte of the text.
        if (s->kind != RX_CHAR || s->rune == 0xfffd)
            return false;
        p.len += rune_encode(s->rune, text + p.len);
    }
    // .*.* and the like have an empty middle: one side says it all only if it is '*'.
    if (p.len == 0 && p.right != 'n' && p.left != 'n')
        return false;
    p.text = text;
    *ret = p;
    return true;
}

static void find_pieces(struct regex *re)
{
    const struct regex_node *n = unwrap(re->tree.root);
    const struct regex_node *first = n->kind == RX_ALTERNATE ? n->sub : n;
    size_t count = 0, i = 0;

    for (const struct regex_node *s = first; s; s = n->kind == RX_ALTERNATE ? s->next : NULL)
        count++;
    if (count > PIECES_MAX)
        return;
    struct regex_piece *pieces = arena_alloc(&re->arena, count * sizeof(*pieces));
    if (!pieces)
        return;
    for (const struct regex_node *s = first; s; s = n->kind == RX_ALTERNATE ? s->next : NULL)
        if (!piece(&re->arena, s, &pieces[i++]))
            return;
    re->pieces = pieces;
    re->n_pieces = count;
}

static bool piece_match(const struct regex_piece *p, const char *text, size_t len)
{
    size_t before = p->left == '+', after = p->right == '+';
    if (len < p->len + before + after)
        return false;
    if (p->left == 'n' && p->right == 'n')
        return len == p->len && !memcmp(text, p->text, len);
    if (p->left == 'n')
        return !memcmp(text, p->text, p->len);
    if (p->right == 'n')
        return !memcmp(text + len - p->len, p->text, p->len);
    return memmem(text + before, len - before - after, p->text, p->len) != NULL;
}

// --- public ----------------------------------------------------------------------------------
static int threads_alloc(struct regex *re, struct regex_threads *t)
{
    size_t n = re->n_prog, saves = n * (size_t)re->n_saves;
    t->dense = arena_alloc(&re->arena, n * sizeof(uint32_t));
    t->sparse = arena_alloc(&re->arena, n * sizeof(uint32_t));
    t->saves = arena_alloc(&re->arena, (saves ? saves : 1) * sizeof(int));
    return t->dense && t->sparse && t->saves ? 0 : -ENOMEM;
}

static int assemble(struct regex *re, struct err *err)
{
    struct compiler c = {.re = re};
    compile(&c, re->tree.root);
    put(&c, OP_RX_MATCH, 0);
    re->n_saves = re->tree.n_groups * 2 + 1;
    if (c.full || (size_t)c.n * (size_t)re->n_saves > SAVES_MAX) {
        err_at(err, 0, 1, "the regular expression is too large");
        return -EINVAL;
    }
    re->prog = arena_alloc(&re->arena, c.n * sizeof(*re->prog));
    re->ranges = arena_alloc(&re->arena, (c.n_ranges ? c.n_ranges : 1) * sizeof(*re->ranges));
    re->n_prog = c.n;
    re->n_ranges = c.n_ranges;
    if (!re->prog || !re->ranges)
        return -ENOMEM;
    c = (struct compiler){.re = re, .emit = true};
    compile(&c, re->tree.root);
    put(&c, OP_RX_MATCH, 0);
    if (threads_alloc(re, &re->now) < 0 || threads_alloc(re, &re->then) < 0)
        return -ENOMEM;
    re->pending = arena_alloc(&re->arena, (2 * (size_t)c.n + 2) * sizeof(*re->pending));
    re->saves = arena_alloc(&re->arena, (size_t)re->n_saves * sizeof(int));
    return re->pending && re->saves ? 0 : -ENOMEM;
}

struct regex *regex_new(const char *pattern, size_t len, struct err *err)
{
    struct regex *re = calloc(1, sizeof(*re));
    int rc;

    if (!re) {
        err_set(err, "out of memory for the regular expression");
        return NULL;
    }
    arena_init(&re->arena, ARENA_MAX);
    rc = regex_parse(pattern, len, &re->arena, &re->tree, err);
    if (rc == 0 && re->tree.n_groups >= REGEX_GROUPS_MAX) {
        err_at(err, 0, 1, "more than %d capture groups", REGEX_GROUPS_MAX - 1);
        rc = -EINVAL;
    }
    if (rc == 0) {
        find_pieces(re);
        rc = assemble(re, err);
        if (rc == -ENOMEM)
            err_set(err, "out of memory for the regular expression");
    }
    if (rc < 0) {
        regex_free(re);
        return NULL;
    }
    return re;
}

void regex_free(struct regex *re)
{
    if (!re)
        return;
    arena_done(&re->arena);
    free(re);
}

bool regex_full_match(const struct regex *re, const char *text, size_t len)
{
    if (!re->pieces)
        return regex_run(re, text, len, NULL);
    for (size_t i = 0; i < re->n_pieces; i++)
        if (piece_match(&re->pieces[i], text, len))
            return true;
    return false;
}

static size_t spans_of(const struct regex *re, const int *saves, int start, int end,
    struct regex_span *spans, size_t n)
{
    size_t groups = (size_t)re->tree.n_groups + 1;
    for (size_t i = 0; i < n && i < groups; i++) {
        if (i == 0)
            spans[0] = (struct regex_span){start, end};
        else if (saves[2 * i - 2] < 0 || saves[2 * i - 1] < 0)
            spans[i] = (struct regex_span){-1, -1};
        else
            spans[i] = (struct regex_span){saves[2 * i - 2], saves[2 * i - 1]};
    }
    return groups;
}

size_t regex_captures(
    const struct regex *re, const char *text, size_t len, struct regex_span *spans, size_t n)
{
    int saves[2 * REGEX_GROUPS_MAX + 1];
    return regex_run(re, text, len, saves) ? spans_of(re, saves, 0, (int)len, spans, n) : 0;
}

size_t regex_search(const struct regex *re, const char *text, size_t len, size_t from,
    struct regex_span *spans, size_t n)
{
    int saves[2 * REGEX_GROUPS_MAX + 1], end;
    if (!regex_run_search(re, text, len, from, saves, &end))
        return 0;
    return spans_of(re, saves, saves[re->n_saves - 1], end, spans, n);
}

// The group that $name, ${name} or $1 stands for; -1 when none of them took part. A name may be
// given to several groups, then it is the first that did.
static int named_group(const struct regex *re, const char *name, size_t len,
    const struct regex_span *spans, size_t n)
{
    int v = 0, best = -1;
    bool number = !(len > 1 && name[0] == '0');
    for (size_t i = 0; i < len && number; i++) {
        number = name[i] >= '0' && name[i] <= '9';
        v = number && v < 1000 ? v * 10 + (name[i] - '0') : v;
    }
    if (number)
        return (size_t)v < n && spans[v].start >= 0 ? v : -1;
    for (const struct regex_name *g = re->tree.names; g; g = g->next)
        if (strlen(g->name) == len && !memcmp(g->name, name, len) && (size_t)g->group < n &&
            spans[g->group].start >= 0 && (best < 0 || g->group < best))
            best = g->group;
    return best;
}

static bool word_char(char c)
{
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '_';
}

void regex_expand(const struct regex *re, const char *template, size_t template_len,
    const char *text, const struct regex_span *spans, size_t n, struct buf *out)
{
    const char *s = template;
    size_t left = template_len;
    while (left) {
        const char *dollar = memchr(s, '$', left);
        size_t plain = dollar ? (size_t)(dollar - s) : left;
        buf_add(out, s, plain);
        s += plain;
        left -= plain;
        if (!dollar)
            break;
        bool brace = left > 1 && s[1] == '{';
        size_t start = brace ? 2 : 1, end = start;
        while (end < left && word_char(s[end]))
            end++;
        bool closed = !brace || (end < left && s[end] == '}');
        if (end == start || !closed) {
            // $$ is a dollar; a dollar that names nothing stays.
            size_t used = left > 1 && s[1] == '$' ? 2 : 1;
            buf_addc(out, '$');
            s += used;
            left -= used;
            continue;
        }
        int g = named_group(re, s + start, end - start, spans, n);
        if (g >= 0)
            buf_add(out, text + spans[g].start, (size_t)(spans[g].end - spans[g].start));
        s += end + brace;
        left -= end + brace;
    }
}

int regex_group_index(const struct regex *re, const char *name, size_t len)
{
    int best = -1;
    for (const struct regex_name *g = re->tree.names; g; g = g->next)
        if (strlen(g->name) == len && !memcmp(g->name, name, len) &&
            (best < 0 || g->group < best))
            best = g->group;
    return best;
}

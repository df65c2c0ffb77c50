// SPDX-License-Identifier: Apache-2.0
#include "rules/plan.h"
#include "rules/parse.h"
#include "rules/plan_subquery.h"
#include <errno.h>
#include <stdlib.h>

static void const_set(struct plan *p, struct node *n)
{
    n->out = (struct value){.type = n->x->type};
    if (n->x->kind == EXPR_STRING)
        n->out.string = n->x->string;
    else
        n->out.scalar = n->x->number;
    node_reshaped(p, n);
}

static int const_bring(struct plan *p, struct node *n, int64_t t_ms)
{
    (void)p;
    (void)n;
    (void)t_ms;
    return 0;
}

static const struct node_kind NODE_CONST = {
    .name = "constant", .size = sizeof(struct node), .bring = const_bring};

struct plan *plan_new(const struct source *src, const struct eval_options *o)
{
    struct plan *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    map_init(&p->nodes);
    audience_init(&p->audience, NULL);
    p->t_ms = p->newest_ms = p->steps_ms = INT64_MIN;
    p->eval = eval_new(src, o);
    if (!p->eval) {
        plan_free(p);
        return NULL;
    }
    p->audience.src = &p->eval->src; // lives as long as the plan
    return p;
}

// --- texts and nodes ---------------------------------------------------------------------------

static void text_release(struct plan_text *t)
{
    if (!t || --t->refs)
        return;
    selections_free(t->selections);
    expr_done(&t->root);
    arena_done(&t->arena);
    free(t);
}

static int text_new(const struct expr_root *x, struct plan_text **ret)
{
    struct plan_text *t = calloc(1, sizeof(*t));
    struct parse_error why;
    if (!t)
        return -ENOMEM;
    t->refs = 1;
    arena_init(&t->arena, 0);
    int rc = expr_parse(x->text, x->len, &t->arena, &t->root, &why);
    if (rc == 0) {
        t->selections = selections_new(&t->root);
        if (t->selections) {
            *ret = t;
            return 0;
        }
        expr_done(&t->root);
        rc = -ENOMEM;
    }
    arena_done(&t->arena);
    free(t);
    return rc;
}

static void node_release(struct plan *p, struct node *n);

static void node_free(struct plan *p, struct node *n)
{
    if (node_is_leaf(n->kind))
        audience_leave(&p->audience, &((struct leaf *)n)->hears);
    for (size_t i = 0; i < n->n; i++)
        if (n->child[i])
            node_release(p, n->child[i]);
    if (n->kind->done)
        n->kind->done(n);
    text_release(n->text);
    free(n->key);
    free(n);
}

static void node_release(struct plan *p, struct node *n)
{
    if (--n->refs)
        return;
    map_del(&p->nodes, n->key, strlen(n->key));
    p->stats.nodes--;
    node_free(p, n);
}

// A range selector this evaluator can move along: not one that is nailed down by `@`.
static bool moves(const struct expr *range)
{
    return range->kind == EXPR_MATRIX ? expr_inner(range->lhs)->at == AT_NONE
                                      : subquery_moves(range);
}

static const struct node_kind *kind_of(const struct expr *x)
{
    const struct expr *param, *range;
    switch (x->kind) {
    case EXPR_NUMBER:
    case EXPR_STRING: return &NODE_CONST;
    case EXPR_SELECTOR: return x->at == AT_NONE ? &NODE_SELECT : &NODE_TIMER;
    case EXPR_CALL:
        if (!expr_reads_window(x))
            return operator_kind_of(x);
        range = range_operands(x, &param);
        if (!moves(range))
            return &NODE_TIMER;
        if (x->fn->id == FN_ABSENT_OVER_TIME)
            return operator_kind_of(x);
        return range->kind == EXPR_MATRIX ? &NODE_WINDOW : &NODE_SUBQUERY.k;
    case EXPR_AGGREGATE:
    case EXPR_BINARY:
    case EXPR_UNARY:
    case EXPR_PAREN: return operator_kind_of(x);
    case EXPR_MATRIX:
    case EXPR_SUBQUERY: break;
    }
    return &NODE_TIMER;
}

static bool is_absent_over_time(const struct node_kind *kind, const struct expr *x)
{
    return kind != &NODE_TIMER && x->kind == EXPR_CALL && x->fn->id == FN_ABSENT_OVER_TIME;
}

// absent_over_time(x[5m]) is absent(last_over_time(x[5m])), which keeps the names apart.
static const struct expr *last_over_time(struct plan_text *text, const struct expr *x)
{
    struct expr *last = arena_alloc(&text->arena, sizeof(*last));
    if (!last)
        return NULL;
    *last = *x;
    last->fn = function_find("last_over_time", strlen("last_over_time"));
    return last;
}

static const struct expr *operand_of(
    const struct node_kind *kind, const struct expr *x, size_t i)
{
    const struct expr *param;
    if (kind == &NODE_TIMER)
        return NULL;
    if (kind != &NODE_WINDOW && kind != &NODE_SUBQUERY.k)
        return expr_operand(x, i);
    if (i)
        return NULL;
    range_operands(x, &param);
    return param;
}

static int node_get(
    struct plan *p, struct plan_text *text, const struct expr *x, struct node **ret);

// With room for the operands behind it, because all of it is read at once and rules are many.
static struct node *node_room(const struct node_kind *kind, const struct expr *x)
{
    size_t n = 0, size = (kind->size + 15) / 16 * 16;
    while (operand_of(kind, x, n))
        n++;
    struct node *ret =
        calloc(1, size + n * (sizeof(*ret->child) + sizeof(*ret->seen) + sizeof(*ret->in)));
    if (!ret)
        return NULL;
    ret->child = (struct node **)((char *)ret + size);
    ret->seen = (uint64_t *)(ret->child + n);
    ret->in = (struct value *)(ret->seen + n);
    ret->n = n;
    return ret;
}

static int node_operands(struct plan *p, struct node *n)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n->n; i++) {
        const struct expr *x = is_absent_over_time(n->kind, n->x)
                                   ? last_over_time(n->text, n->x)
                                   : operand_of(n->kind, n->x, i);
        rc = x ? node_get(p, n->text, x, &n->child[i]) : -ENOMEM;
    }
    // What never changes is taken over once.
    for (size_t i = 0; rc == 0 && i < n->n && i < 32; i++) {
        if (n->child[i]->kind != &NODE_CONST)
            continue;
        n->fixed |= UINT32_C(1) << i;
        n->in[i] = n->child[i]->out;
        n->seen[i] = n->child[i]->version;
    }
    return rc;
}

// Whether the value depends on the time although no operand of it does.
static bool reads_time(const struct expr *x)
{
    if (x->kind != EXPR_CALL)
        return false;
    return x->fn->id == FN_TIMESTAMP || (!x->n_args && x->fn->id != FN_PI);
}

static int node_new(
    struct plan *p, struct plan_text *text, const struct expr *x, char *key, struct node **ret)
{
    const struct node_kind *kind = kind_of(x);
    struct node *n = node_room(kind, x);
    if (!n) {
        free(key);
        return -ENOMEM;
    }
    n->kind = kind;
    n->key = key;
    n->x = x;
    n->text = text;
    n->refs = 1;
    n->t_ms = INT64_MIN;
    n->reads_time = reads_time(x);
    text->refs++;
    if (kind == &NODE_CONST)
        const_set(p, n);
    int rc = node_operands(p, n);
    if (rc == 0 && node_is_leaf(kind))
        rc = leaf_open(p, (struct leaf *)n);
    if (rc == 0)
        rc = map_set(&p->nodes, key, strlen(key), n);
    if (rc < 0) {
        node_free(p, n);
        return rc;
    }
    p->stats.nodes++;
    *ret = n;
    return 0;
}

static int node_get(
    struct plan *p, struct plan_text *text, const struct expr *x, struct node **ret)
{
    struct buf key;
    x = expr_inner(x);
    buf_init(&key, 1u << 20);
    expr_print(x, &key);
    buf_addc(&key, '\0');
    char *copy = key.failed ? NULL : strdup((const char *)key.data);
    buf_done(&key);
    if (!copy)
        return -ENOMEM;
    struct node *there = map_get(&p->nodes, copy, strlen(copy));
    if (!there)
        return node_new(p, text, x, copy, ret);
    free(copy);
    there->refs++;
    *ret = there;
    return 0;
}

// The nodes of an expression from the root down, the last operand first.
static size_t steps_of(struct node *n, struct plan_step *step)
{
    size_t count = 1;
    for (size_t i = n->n; i-- > 0;)
        if (!(n->fixed >> (i < 32 ? i : 31) & (i < 32)))
            count += steps_of(n->child[i], step ? step + count : NULL);
    if (step)
        *step = (struct plan_step){n, count};
    return count;
}

int plan_add(struct plan *p, const struct expr_root *x, struct plan_expr **ret)
{
    struct plan_text *text = NULL;
    struct node *root = NULL;
    struct plan_expr *e = NULL;
    int rc = text_new(x, &text);
    if (rc == 0)
        rc = node_get(p, text, text->root.root, &root);
    if (rc < 0) {
        text_release(text);
        return rc;
    }
    size_t n = steps_of(root, NULL);
    e = calloc(1, sizeof(*e) + n * sizeof(*e->step));
    if (e && n > p->todo_room) {
        struct node **todo = realloc(p->todo, n * sizeof(struct node *));
        if (!todo) {
            free(e);
            e = NULL;
        } else {
            p->todo = todo;
            p->todo_room = n;
        }
    }
    if (!e) {
        node_release(p, root);
        text_release(text);
        return -ENOMEM;
    }
    *e = (struct plan_expr){.root = root, .text = text, .n = n};
    steps_of(root, e->step);
    *ret = e;
    return 0;
}

void plan_remove(struct plan *p, struct plan_expr *x)
{
    if (!x)
        return;
    node_release(p, x->root);
    text_release(x->text);
    free(x);
}

void plan_free(struct plan *p)
{
    if (!p)
        return;
    map_done(&p->nodes); // every expression was removed: it is empty
    eval_free(p->eval);
    audience_done(&p->audience);
    free(p->todo);
    free(p);
}

// --- what it looks like ------------------------------------------------------------------------

void plan_stats(const struct plan *p, struct plan_stats *ret)
{
    size_t it = 0, len;
    const void *key;
    void *value;
    *ret = p->stats;
    ret->bytes = sizeof(*p) + audience_bytes(&p->audience);
    while (map_next(&p->nodes, &it, &key, &len, &value)) {
        const struct node *n = value;
        ret->leaves += node_is_leaf(n->kind);
        ret->elements += n->out.vector.n;
        ret->bytes += n->kind->size + len + n->n * (sizeof(*n->in) + 2 * sizeof(*n->seen)) +
                      (n->kind->bytes ? n->kind->bytes(n) : 0);
    }
}

static void describe(const struct node *n, int depth,
    void (*fn)(void *ctx, const struct plan_line *l), void *ctx)
{
    struct plan_line line = {.depth = depth,
        .text = n->key,
        .kind = n->kind->name,
        .elements = n->out.vector.n,
        .bytes = n->kind->bytes ? n->kind->bytes(n) : 0,
        .shared_by = n->refs};
    fn(ctx, &line);
    for (size_t i = 0; i < n->n; i++)
        if (n->child[i]->kind != &NODE_CONST)
            describe(n->child[i], depth + 1, fn, ctx);
}

void plan_describe(const struct plan *p, const struct plan_expr *x,
    void (*fn)(void *ctx, const struct plan_line *l), void *ctx)
{
    (void)p;
    describe(x->root, 0, fn, ctx);
}

// SPDX-License-Identifier: Apache-2.0
// Binary operators: scalars, vectors with scalars, vectors matched with vectors, sets; unary minus.
#include "rules/eval_node.h"
#include <errno.h>
#include <math.h>

static bool comparison(enum binary_op op)
{
    return op >= OP_EQ && op <= OP_LE;
}

static bool trims(enum binary_op op)
{
    return op == OP_TRIM_UPPER || op == OP_TRIM_LOWER;
}

static double arithmetic(enum binary_op op, double a, double b)
{
    switch (op) {
    case OP_ADD: return a + b;
    case OP_SUB: return a - b;
    case OP_MUL: return a * b;
    case OP_DIV: return a / b;
    case OP_MOD: return fmod(a, b);
    case OP_POW: return pow(a, b);
    case OP_ATAN2: return atan2(a, b);
    case OP_EQ:
    case OP_NE:
    case OP_GT:
    case OP_LT:
    case OP_GE:
    case OP_LE:
    case OP_AND:
    case OP_OR:
    case OP_UNLESS:
    case OP_TRIM_UPPER:
    case OP_TRIM_LOWER: break;
    }
    return NAN;
}

static bool compare(enum binary_op op, double a, double b)
{
    switch (op) {
    case OP_EQ: return a == b;
    case OP_NE: return a != b;
    case OP_GT: return a > b;
    case OP_LT: return a < b;
    case OP_GE: return a >= b;
    case OP_LE: return a <= b;
    case OP_ADD:
    case OP_SUB:
    case OP_MUL:
    case OP_DIV:
    case OP_MOD:
    case OP_POW:
    case OP_ATAN2:
    case OP_AND:
    case OP_OR:
    case OP_UNLESS:
    case OP_TRIM_UPPER:
    case OP_TRIM_LOWER: break;
    }
    return false;
}

struct operand {
    double v;
    const struct histogram *h;
};

static void note_types(
    struct eval *e, const struct expr *x, const struct operand *a, const struct operand *b)
{
    eval_note(e, x, ANNOTATION_INFO,
        "incompatible sample types encountered for binary operator \"%s\": %s %s %s",
        op_name(x->op), a->h ? "histogram" : "float", op_name(x->op),
        b->h ? "histogram" : "float");
}

// A sum or difference of histograms. One whose counter resets contradict each other is left out.
static int add_histograms(struct eval *e, const struct expr *x, const struct operand *a,
    const struct operand *b, const struct histogram **ret)
{
    unsigned notes = 0;
    bool add = x->op == OP_ADD;
    if (!histogram_mixable(a->h, b->h)) {
        eval_note(e, x, ANNOTATION_WARNING,
            "incompatible bucket layout encountered for binary operator %s", op_name(x->op));
        return 0;
    }
    *ret = add ? histogram_add(&e->arena, a->h, b->h, &notes)
               : histogram_sub(&e->arena, a->h, b->h, &notes);
    if (*ret && !add)
        *ret = histogram_with_hint(&e->arena, *ret, HINT_GAUGE);
    note_operation(e, x, notes, add ? "addition" : "subtraction");
    if (notes & HISTOGRAM_COLLISION)
        return 0;
    return *ret ? 1 : -ENOMEM;
}

static int with_histograms(struct eval *e, const struct expr *x, const struct operand *a,
    const struct operand *b, struct operand *ret, bool *ret_held)
{
    *ret = (struct operand){0};
    if (a->h && b->h) {
        if (x->op == OP_EQ || x->op == OP_NE) {
            *ret = *a;
            *ret_held = histogram_equal(a->h, b->h) == (x->op == OP_EQ);
            return 1;
        }
        if (x->op == OP_ADD || x->op == OP_SUB)
            return add_histograms(e, x, a, b, &ret->h);
    } else if (x->op == OP_MUL) {
        ret->h = histogram_scale(&e->arena, a->h ? a->h : b->h, a->h ? b->v : a->v);
        return ret->h ? 1 : -ENOMEM;
    } else if (x->op == OP_DIV && a->h) {
        ret->h = histogram_divide(&e->arena, a->h, b->v);
        return ret->h ? 1 : -ENOMEM;
    } else if (trims(x->op) && a->h) {
        ret->h = histogram_trim(&e->arena, a->h, b->v, x->op == OP_TRIM_UPPER);
        return ret->h ? 1 : -ENOMEM;
    }
    note_types(e, x, a, b);
    return 0;
}

// 1 = there is a result and, for a comparison, whether it held; 0 = these kinds have none
// (Prometheus drops the element and warns); -ENOMEM.
static int combine(struct eval *e, const struct expr *x, struct operand a, struct operand b,
    struct operand *ret, bool *ret_held)
{
    *ret_held = true;
    if (a.h || b.h)
        return with_histograms(e, x, &a, &b, ret, ret_held);
    if (trims(x->op)) {
        note_types(e, x, &a, &b);
        return 0;
    }
    if (comparison(x->op)) {
        *ret = a;
        *ret_held = compare(x->op, a.v, b.v);
    } else {
        *ret = (struct operand){.v = arithmetic(x->op, a.v, b.v)};
    }
    return 1;
}

static int scalar_scalar(
    const struct expr *x, const struct value *l, const struct value *r, struct value *ret)
{
    ret->type = TYPE_SCALAR;
    ret->no_data = l->no_data || r->no_data;
    ret->silent = l->silent || r->silent;
    ret->scalar = comparison(x->op) ? compare(x->op, l->scalar, r->scalar)
                                    : arithmetic(x->op, l->scalar, r->scalar);
    return 0;
}

int map_scalar(struct eval *e, const struct mapping *m, struct element *el)
{
    const struct expr *x = m->x;
    struct operand a = {el->value, el->hist}, b = {.v = m->p[0]}, got;
    bool held;
    int rc =
        m->scalar_left ? combine(e, x, b, a, &got, &held) : combine(e, x, a, b, &got, &held);
    if (rc <= 0)
        return rc;
    el->silent |= m->silent;
    if (el->state == ELEMENT_NO_DATA || m->unknown) {
        el->state = ELEMENT_NO_DATA;
    } else if (!comparison(x->op)) {
        el->value = got.v;
        el->hist = got.h;
    } else if (x->return_bool) {
        el->value = held;
        el->hist = NULL;
    } else if (!held) {
        el->state = ELEMENT_FILTERED;
    }
    return 1;
}

int map_sign(struct eval *e, const struct mapping *m, struct element *el)
{
    if (!m->x->negative)
        return 1;
    el->value = -el->value;
    if (el->hist && !(el->hist = histogram_scale(&e->arena, el->hist, -1)))
        return -ENOMEM;
    return 1;
}

bool operator_keeps_name(const struct expr *x)
{
    if (x->kind == EXPR_UNARY)
        return !x->negative;
    return trims(x->op) || (comparison(x->op) && !x->return_bool);
}

static bool named(const struct expr *x, const char *name)
{
    for (size_t i = 0; i < x->n_names; i++)
        if (!strcmp(x->names[i], name))
            return true;
    return false;
}

static bool included(const struct expr *x, const char *name)
{
    for (size_t i = 0; i < x->n_include; i++)
        if (!strcmp(x->include[i], name))
            return true;
    return false;
}

// Labels of a matched pair: the many side's, with what group_left(...) brings from the one side.
int pair_labels(struct eval *e, const struct expr *x, const struct labels *many,
    const struct labels *one, struct labels *ret)
{
    bool keep_name = operator_keeps_name(x);
    bool one_to_one = x->card == CARD_ONE_TO_ONE;
    // The common case needs no copy: everything but the name.
    if (!x->n_include && (!one_to_one || (!x->on && !x->n_names))) {
        *ret = *many;
        return keep_name || drop_name(e, many, ret) ? 0 : -ENOMEM;
    }
    size_t room = many->n + x->n_include, n = 0;
    struct label *pair = eval_alloc(e, room ? room : 1, sizeof(*pair));
    if (!pair)
        return eval_full(e, room, sizeof(*pair));
    for (size_t i = 0; i < many->n; i++) {
        const struct label *l = &many->l[i];
        if (!keep_name && label_describes_metric(l->name))
            continue;
        // One to one keeps only the labels that were matched on (on), or were not ignored; a
        // name that a filter keeps survives on() only when it is listed.
        if (one_to_one && (x->on ? !named(x, l->name) : named(x, l->name)))
            continue;
        if (included(x, l->name))
            continue;
        pair[n++] = *l;
    }
    for (size_t i = 0; i < x->n_include; i++) {
        const char *value = labels_get(one, x->include[i]);
        if (*value)
            pair[n++] = (struct label){x->include[i], value};
    }
    return labels_make(&e->arena, pair, n, ret) ? 0 : -ENOMEM;
}

struct join_key match_key(const struct expr *x)
{
    return (struct join_key){
        .kind = x->on ? KEY_ON : KEY_WITHOUT, .names = x->names, .n = x->n_names};
}

static int describe_duplicate(struct eval *e, const struct expr *x, const struct labels *a,
    const struct labels *b, bool right)
{
    struct buf one, two;
    buf_init(&one, 4096);
    buf_init(&two, 4096);
    labels_print(a, &one);
    labels_print(b, &two);
    eval_fail(e,
        "found duplicate series on the %s hand-side of %s: %.150s and %.150s;many-to-many "
        "matching not allowed: matching labels must be unique on one side",
        right ? "right" : "left", op_name(x->op), buf_cstr(&one), buf_cstr(&two));
    buf_done(&one);
    buf_done(&two);
    return -EINVAL;
}

// The one side by what it is matched on. A silent element never collides: it gives way.
static int index_one(struct eval *e, const struct expr *x, const struct vector *one,
    const struct join_key *key, bool right, struct join *j)
{
    int rc = join_init(e, j, one->n);
    for (size_t i = 0; rc == 0 && i < one->n; i++) {
        bool fresh;
        if (one->e[i].state == ELEMENT_FILTERED)
            continue;
        struct join_entry *en = join_put(j, key, &one->e[i].labels, (uint32_t)i, &fresh);
        if (fresh || one->e[i].state == ELEMENT_NO_DATA)
            continue;
        if (one->e[en->value].state == ELEMENT_VALUE)
            return describe_duplicate(
                e, x, &one->e[en->value].labels, &one->e[i].labels, right);
        en->value = (uint32_t)i;
        en->labels = &one->e[i].labels;
    }
    return rc;
}

// A result whose labels are taken already: an error between values; silent ones give way.
static int place(struct eval *e, struct join *results, struct vector *out,
    const struct element *el, bool filtered_counts, const char *mistake)
{
    static const struct join_key ALL = {.kind = KEY_ALL};
    bool fresh;
    struct element *slot = &out->e[out->n];
    *slot = *el;
    if (el->state == ELEMENT_FILTERED && !filtered_counts) {
        out->n++;
        return 0;
    }
    struct join_entry *en = join_put(results, &ALL, &slot->labels, (uint32_t)out->n, &fresh);
    if (fresh) {
        out->n++;
        return 0;
    }
    struct element *there = &out->e[en->value];
    if (el->state == ELEMENT_NO_DATA)
        return 0;
    if (there->state != ELEMENT_NO_DATA)
        return eval_fail(e, "multiple matches for labels: %s", mistake);
    *there = *el;
    return 0;
}

bool any_present(const struct vector *v)
{
    for (size_t i = 0; i < v->n; i++)
        if (v->e[i].state != ELEMENT_FILTERED)
            return true;
    return false;
}

int pair_result(struct eval *e, const struct expr *x, const struct element *m,
    const struct element *o, struct element *ret)
{
    struct operand a = {m->value, m->hist}, b = {o->value, o->hist}, got;
    bool held;
    int rc = x->card == CARD_ONE_TO_MANY ? combine(e, x, b, a, &got, &held)
                                         : combine(e, x, a, b, &got, &held);
    if (rc <= 0)
        return rc;
    *ret = (struct element){.value = got.v,
        .hist = got.h,
        .silent = m->silent || o->silent,
        .sample_ms = m->sample_ms > o->sample_ms ? m->sample_ms : o->sample_ms};
    if (m->state == ELEMENT_NO_DATA || o->state == ELEMENT_NO_DATA) {
        ret->state = ELEMENT_NO_DATA;
    } else if (comparison(x->op) && x->return_bool) {
        ret->value = held;
        ret->hist = NULL;
    } else if (!held) {
        ret->state = ELEMENT_FILTERED;
    }
    return 1;
}

static int vector_vector(struct eval *e, const struct expr *x, const struct vector *l,
    const struct vector *r, struct value *ret)
{
    bool swapped = x->card == CARD_ONE_TO_MANY;
    bool one_to_one = x->card == CARD_ONE_TO_ONE;
    const struct vector *many = swapped ? r : l, *one = swapped ? l : r;
    struct join_key key = match_key(x);
    struct join j, results;
    // Nothing to match with: duplicates on the other side do not matter then.
    if (!any_present(l) || !any_present(r))
        return 0;
    int rc = index_one(e, x, one, &key, !swapped, &j);
    if (rc == 0)
        rc = vector_room(e, many->n, &ret->vector);
    if (rc == 0)
        rc = join_init(e, &results, many->n);
    // One to one: results are unique per matched pair, whatever their labels.
    bool *taken = NULL;
    if (rc == 0 && one_to_one) {
        taken = eval_alloc(e, one->n, sizeof(*taken));
        if (!taken)
            rc = eval_full(e, one->n, sizeof(*taken));
    }
    for (size_t i = 0; rc == 0 && i < many->n; i++) {
        const struct element *m = &many->e[i];
        if (m->state == ELEMENT_FILTERED)
            continue;
        struct join_entry *en = join_find(&j, &key, &m->labels);
        if (!en)
            continue;
        const struct element *o = &one->e[en->value];
        struct element el;
        rc = pair_result(e, x, m, o, &el);
        if (rc < 0)
            break;
        if (rc == 0)
            continue;
        rc = pair_labels(e, x, &m->labels, &o->labels, &el.labels);
        if (rc < 0)
            break;
        // Since 3.9 a pair counts as a match even when the comparison filters it out.
        bool counts = !e->o.compat_2_42 || el.state != ELEMENT_FILTERED;
        if (one_to_one && counts && el.state != ELEMENT_NO_DATA) {
            if (taken[en->value])
                rc = eval_fail(e, "multiple matches for labels: many-to-one matching must be "
                                  "explicit (group_left/group_right)");
            taken[en->value] = true;
        }
        if (rc == 0)
            rc = place(e, &results, &ret->vector, &el, counts && !one_to_one,
                one_to_one ? "many-to-one matching must be explicit (group_left/group_right)"
                           : "grouping labels must ensure unique matches");
    }
    return rc;
}

uint32_t side_join(uint32_t side, const struct element *el)
{
    if (el->state == ELEMENT_FILTERED || side == ELEMENT_VALUE)
        return side;
    if (el->state == ELEMENT_VALUE)
        return el->silent ? SIDE_LAST_WORD : ELEMENT_VALUE;
    return side == SIDE_NONE ? ELEMENT_NO_DATA : side;
}

bool set_keeps(const struct expr *x, uint32_t side, struct element *el)
{
    bool known = side == ELEMENT_VALUE || side == SIDE_LAST_WORD;
    if (el->state == ELEMENT_FILTERED || (x->op == OP_AND ? side == SIDE_NONE : known))
        return false;
    if (side == ELEMENT_NO_DATA)
        el->state = ELEMENT_NO_DATA; // a silent side decides: nobody knows
    el->silent |= side == SIDE_LAST_WORD;
    return true;
}

static int side_states(
    struct eval *e, const struct vector *v, const struct join_key *key, struct join *j)
{
    int rc = join_init(e, j, v->n);
    for (size_t i = 0; rc == 0 && i < v->n; i++) {
        bool fresh;
        if (v->e[i].state == ELEMENT_FILTERED)
            continue;
        struct join_entry *en = join_put(j, key, &v->e[i].labels, SIDE_NONE, &fresh);
        en->value = side_join(en->value, &v->e[i]);
    }
    return rc;
}

static int set_and_unless(struct eval *e, const struct expr *x, const struct vector *l,
    const struct vector *r, struct value *ret)
{
    struct join_key key = match_key(x);
    struct join j;
    int rc = side_states(e, r, &key, &j);
    if (rc == 0)
        rc = vector_room(e, l->n, &ret->vector);
    for (size_t i = 0; rc == 0 && i < l->n; i++) {
        struct element el = l->e[i];
        const struct join_entry *en = join_find(&j, &key, &el.labels);
        if (set_keeps(x, en ? en->value : SIDE_NONE, &el))
            vector_push(&ret->vector, &el);
    }
    return rc;
}

static int set_or(struct eval *e, const struct expr *x, const struct vector *l,
    const struct vector *r, struct value *ret)
{
    struct join_key key = match_key(x);
    struct join j;
    int rc = side_states(e, l, &key, &j);
    if (rc == 0)
        rc = vector_room(e, l->n + r->n, &ret->vector);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < l->n; i++)
        if (l->e[i].state != ELEMENT_FILTERED)
            vector_push(&ret->vector, &l->e[i]);
    for (size_t i = 0; i < r->n; i++)
        if (r->e[i].state != ELEMENT_FILTERED && !join_find(&j, &key, &r->e[i].labels))
            vector_push(&ret->vector, &r->e[i]);
    return 0;
}

int apply_binary(
    struct eval *e, const struct expr *x, const struct value *in, struct value *ret)
{
    const struct value *l = &in[0], *r = &in[1];
    if (l->type == TYPE_SCALAR && r->type == TYPE_SCALAR)
        return scalar_scalar(x, l, r, ret);
    ret->type = TYPE_VECTOR;
    if (x->op == OP_OR)
        return set_or(e, x, &l->vector, &r->vector, ret);
    if (x->op == OP_AND || x->op == OP_UNLESS)
        return set_and_unless(e, x, &l->vector, &r->vector, ret);
    return vector_vector(e, x, &l->vector, &r->vector, ret);
}

int apply_unary(const struct expr *x, const struct value *operand, struct value *ret)
{
    *ret = *operand;
    if (x->negative)
        ret->scalar = -ret->scalar;
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
#include "rules/rule_query.h"
#include "rules/eval_node.h"
#include "rules/parse.h"
#include <errno.h>

static int copy(const struct value *v, struct arena *a, struct template_sample **ret,
    size_t *ret_n, struct err *err)
{
    struct element one = {
        .value = v->scalar, .state = v->no_data ? ELEMENT_NO_DATA : ELEMENT_VALUE};
    struct vector vector = v->vector;
    size_t n = 0;

    if (v->type == TYPE_SCALAR)
        vector = (struct vector){.e = &one, .n = 1, .cap = 1};
    struct template_sample *s = arena_alloc(a, (vector.n + 1) * sizeof(*s));
    if (!s)
        return -ENOMEM;
    for (size_t i = 0; i < vector.n; i++) {
        const struct element *e = &vector.e[i];
        if (e->state != ELEMENT_VALUE)
            continue;
        if (n == RULE_QUERY_SAMPLES_MAX) {
            err_set(err, "more than %d series", RULE_QUERY_SAMPLES_MAX);
            return -EINVAL;
        }
        if (!labels_make(a, e->labels.l, e->labels.n, &s[n].labels))
            return -ENOMEM;
        s[n++].value = e->value;
    }
    *ret = s;
    *ret_n = n;
    return 0;
}

int rule_query_answer(void *ctx, const char *expr, size_t len, struct arena *a,
    struct template_sample **ret, size_t *ret_n, struct err *err)
{
    const struct rule_query *q = ctx;
    struct eval *eval = eval_new(&q->like->src, &q->like->o);
    struct parse_error e = {0};
    struct expr_root x = {0};
    struct value v;

    if (!eval)
        return -ENOMEM;
    int rc = expr_parse(expr, len, a, &x, &e);
    if (rc == -EINVAL)
        err_set(err, "%s", e.msg);
    if (rc == 0 && x.root->type != TYPE_VECTOR && x.root->type != TYPE_SCALAR) {
        err_set(err, "the result is neither a vector nor a scalar");
        rc = -EINVAL;
    }
    if (rc == 0)
        rc = eval_instant(eval, &x, NULL, q->t_ms, &v, err);
    if (rc == 0)
        rc = copy(&v, a, ret, ret_n, err);
    expr_done(&x);
    eval_free(eval);
    return rc == 0 || rc == -ENOMEM ? rc : -EINVAL;
}

// SPDX-License-Identifier: Apache-2.0
// count_values: how many elements of a group have each value.
#include "base/num.h"
#include "rules/eval_node.h"
#include <errno.h>

static void value_text(const struct element *el, struct buf *out)
{
    char text[NUM_FIXED_MAX];
    if (el->hist)
        histogram_print(el->hist, out);
    else
        buf_add(out, text, num_fixed(el->value, text));
}

// The labels an element is counted under: its group's and the value.
static int value_labels(struct eval *e, const struct expr *x, const struct element *el,
    const char *name, struct buf *text, struct labels *ret)
{
    struct labels base;
    int rc = group_labels(e, x, &el->labels, &base);
    if (rc < 0)
        return rc;
    // without (name) drops the value's own label too.
    for (size_t i = 0; x->without && i < x->n_names; i++)
        if (!strcmp(x->names[i], name)) {
            *ret = base;
            return 0;
        }
    buf_reset(text);
    value_text(el, text);
    const char *value = buf_cstr(text);
    if (text->failed || !labels_with(&e->arena, &base, name, value, ret))
        return -ENOMEM;
    return 0;
}

int aggregate_count_values(struct eval *e, const struct expr *x, const struct vector *in,
    const char *name, struct value *ret)
{
    static const struct join_key ALL = {.kind = KEY_ALL};
    struct buf text;
    struct join j;
    if (!label_name_valid(name))
        return eval_fail(e, "invalid label name \"%s\" in count_values", name);
    int rc = join_init(e, &j, in->n);
    if (rc == 0)
        rc = vector_room(e, in->n, &ret->vector);
    buf_init(&text, 1u << 20);
    for (size_t i = 0; rc == 0 && i < in->n; i++) {
        const struct element *el = &in->e[i];
        struct element *slot = &ret->vector.e[ret->vector.n];
        bool fresh;
        if (el->state == ELEMENT_FILTERED)
            continue;
        *slot =
            (struct element){.state = el->state, .silent = true, .sample_ms = el->sample_ms};
        rc = value_labels(e, x, el, name, &text, &slot->labels);
        if (rc < 0)
            break;
        struct join_entry *en =
            join_put(&j, &ALL, &slot->labels, (uint32_t)ret->vector.n, &fresh);
        ret->vector.n += fresh;
        struct element *out = &ret->vector.e[en->value];
        if (el->state == ELEMENT_NO_DATA)
            continue;
        out->value++;
        out->silent &= el->silent;
        out->state = ELEMENT_VALUE;
        if (el->sample_ms > out->sample_ms)
            out->sample_ms = el->sample_ms;
    }
    buf_done(&text);
    return rc;
}

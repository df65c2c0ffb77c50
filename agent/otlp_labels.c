// SPDX-License-Identifier: Apache-2.0
#include "agent/otlp_labels.h"
#include "agent/otlp_name.h"
#include "base/num.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef Tocsin__Otlp__KeyValue KeyValue; // the generator's names are long

static const char *value_text(struct otlp_labels *s, const Tocsin__Otlp__AnyValue *v)
{
    char text[NUM_FIXED_MAX];
    size_t n = 0;
    if (!v)
        return NULL;
    switch (v->value_case) {
    case TOCSIN__OTLP__ANY_VALUE__VALUE_STRING_VALUE: return v->string_value;
    case TOCSIN__OTLP__ANY_VALUE__VALUE_BOOL_VALUE: return v->bool_value ? "true" : "false";
    case TOCSIN__OTLP__ANY_VALUE__VALUE_INT_VALUE:
        n = (size_t)snprintf(text, sizeof(text), "%" PRId64, v->int_value);
        break;
    case TOCSIN__OTLP__ANY_VALUE__VALUE_DOUBLE_VALUE:
        n = num_fixed(v->double_value, text);
        break;
    case TOCSIN__OTLP__ANY_VALUE__VALUE__NOT_SET:
    case _TOCSIN__OTLP__ANY_VALUE__VALUE__CASE_IS_INT_SIZE: return NULL;
    }
    const char *copy = arena_strndup(s->arena, text, n);
    s->no_memory |= !copy;
    return copy;
}

// Where the label of that name is; a new one has no value yet. NULL: no room for it.
static struct wire_label *label_at(struct wire_label *l, size_t *n, const char *name)
{
    size_t at = 0;
    while (at < *n && strcmp(l[at].name, name) < 0)
        at++;
    if (at < *n && strcmp(l[at].name, name) == 0)
        return &l[at];
    if (*n == OTLP_LABELS_MAX)
        return NULL;
    memmove(l + at + 1, l + at, (*n - at) * sizeof(*l));
    l[at] = (struct wire_label){name, NULL};
    ++*n;
    return &l[at];
}

static void set_label(struct wire_label *l, size_t *n, const char *name, const char *value)
{
    struct wire_label *to = label_at(l, n, name);
    if (to)
        to->value = value;
}

static char *joined(struct otlp_labels *s, const char *a, char between, const char *b)
{
    size_t size = strlen(a) + strlen(b) + 2;
    char *text = arena_alloc(s->arena, size);
    s->no_memory |= !text;
    if (text)
        snprintf(text, size, "%s%c%s", a, between, b);
    return text;
}

static bool put_attribute(
    struct otlp_labels *s, struct wire_label *l, size_t *n, const KeyValue *kv)
{
    char name[WIRE_NAME_MAX + 1];
    const char *value = value_text(s, kv->value);
    if (!value || !value[0] || !kv->key)
        return true; // what is no label's value is left out
    if (!otlp_label_name(kv->key, name, sizeof(name)))
        return false;
    const char *copy = arena_strndup(s->arena, name, strlen(name));
    s->no_memory |= !copy;
    struct wire_label *to = copy ? label_at(l, n, copy) : NULL;
    if (!to)
        return false;
    // Two that become one label are both told.
    to->value = to->value ? joined(s, to->value, ';', value) : value;
    return to->value != NULL;
}

static bool listed(const struct otlp_labels *s, const char *key)
{
    for (size_t i = 0; i < s->n_listed; i++)
        if (strcmp(s->listed[i], key) == 0)
            return true;
    return false;
}

void otlp_labels_resource(struct otlp_labels *s, const Tocsin__Otlp__Resource *r)
{
    const char *name = NULL, *space = NULL, *instance = NULL;
    s->n_resource = 0;
    for (size_t i = 0; r && i < r->n_attributes; i++) {
        const KeyValue *kv = r->attributes[i];
        const char *value = kv->key ? value_text(s, kv->value) : NULL;
        if (!value || !value[0])
            continue;
        if (strcmp(kv->key, "service.name") == 0)
            name = value;
        else if (strcmp(kv->key, "service.namespace") == 0)
            space = value;
        else if (strcmp(kv->key, "service.instance.id") == 0)
            instance = value;
        if (listed(s, kv->key))
            put_attribute(s, s->resource, &s->n_resource, kv);
    }
    if (name && space)
        name = joined(s, space, '/', name);
    if (name)
        set_label(s->resource, &s->n_resource, "job", name);
    if (instance)
        set_label(s->resource, &s->n_resource, "instance", instance);
}

bool otlp_labels_point(struct otlp_labels *s, KeyValue *const *attributes, size_t n)
{
    s->n = 0;
    for (size_t i = 0; i < n; i++)
        if (!put_attribute(s, s->l, &s->n, attributes[i]))
            return false;
    for (size_t i = 0; i < s->n_resource; i++)
        set_label(s->l, &s->n, s->resource[i].name, s->resource[i].value);
    return !s->no_memory;
}

// SPDX-License-Identifier: Apache-2.0
#include "collector/repair_order.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int repair_link_open(struct repair_link *l)
{
    *l = (struct repair_link){ring_new(REPAIR_LINK_MAX), ring_new(REPAIR_LINK_MAX)};
    if (l->orders && l->answers)
        return 0;
    repair_link_close(l);
    return -ENOMEM;
}

static void drop(struct ring *r)
{
    void *item;
    while (r && (item = ring_pop(r)))
        free(item);
    ring_free(r);
}

void repair_link_close(struct repair_link *l)
{
    drop(l->orders);
    drop(l->answers);
    *l = (struct repair_link){0};
}

// The block's size with all text, and the text put behind the struct.
static size_t text_size(const struct wire_repair *r, const char *instance)
{
    size_t size = r->n_parameters * sizeof(struct wire_label) + strlen(r->action) +
                  strlen(r->alert) + strlen(instance) + 3;
    for (size_t i = 0; i < r->n_parameters; i++)
        size += strlen(r->parameters[i].name) + strlen(r->parameters[i].value) + 2;
    return size;
}

static const char *put(char **at, const char *s)
{
    char *here = *at;
    *at = stpcpy(here, s) + 1;
    return here;
}

static struct repair_order *order_make(const struct wire_repair *r, const char *instance)
{
    struct repair_order *o = calloc(1, sizeof(*o) + text_size(r, instance));
    if (!o)
        return NULL;
    struct wire_label *labels = (struct wire_label *)(void *)(o + 1);
    char *at = (char *)(labels + r->n_parameters);
    o->request = (struct wire_repair){.id = o->id,
        .action = put(&at, r->action),
        .alert = put(&at, r->alert),
        .parameters = labels,
        .n_parameters = r->n_parameters};
    o->instance = put(&at, instance);
    for (size_t i = 0; i < r->n_parameters; i++)
        labels[i] = (struct wire_label){
            put(&at, r->parameters[i].name), put(&at, r->parameters[i].value)};
    return o;
}

struct repair_order *repair_order_new(const char *action, const char *instance_label,
    const char *const *parameters, size_t n, const struct labels *labels, const char **ret_why)
{
    struct wire_label l[WIRE_REPAIR_PARAMETERS_MAX];
    const char *instance = labels_get(labels, instance_label);
    struct wire_repair r = {.id = "x",
        .action = action,
        .alert = labels_get(labels, "alertname"),
        .parameters = l,
        .n_parameters = n};
    *ret_why = "the alert has no label that names the host";
    if (!*instance)
        return NULL;
    *ret_why = "the alert lacks a label that is a parameter, or its value is too long";
    for (size_t i = 0; i < n; i++)
        l[i] = (struct wire_label){parameters[i], labels_get(labels, parameters[i])};
    if (wire_repair_fault(&r))
        return NULL;
    *ret_why = "out of memory";
    return order_make(&r, instance);
}

struct repair_order *repair_order_copy(const struct repair_order *o)
{
    struct repair_order *copy = order_make(&o->request, o->instance);
    if (!copy)
        return NULL;
    memcpy(copy->id, o->id, sizeof(o->id));
    copy->valid_ms = o->valid_ms;
    return copy;
}

struct repair_order *repair_order_cancel(const char *id)
{
    struct repair_order *o = calloc(1, sizeof(*o));
    if (!o)
        return NULL;
    o->cancel = true;
    snprintf(o->id, sizeof(o->id), "%s", id);
    return o;
}

struct repair_answer *repair_answer_new(const struct wire_repair_result *r)
{
    struct repair_answer *a = calloc(1, sizeof(*a) + r->n_output + 1);
    if (!a)
        return NULL;
    snprintf(a->id, sizeof(a->id), "%s", r->id);
    snprintf(a->reason, sizeof(a->reason), "%s", r->reason ? r->reason : "");
    a->outcome = (int)r->outcome;
    a->code = r->code;
    a->duration_ms = r->duration_ms;
    a->again = r->again;
    a->n_output = r->n_output;
    if (r->n_output)
        memcpy(a->output, r->output, r->n_output);
    return a;
}

const char *repair_answer_name(int outcome)
{
    switch (outcome) {
    case ORDER_NO_EXECUTOR: return "no executor";
    case ORDER_NOT_TAKEN: return "not taken";
    case ORDER_NO_ANSWER: return "no answer";
    case ORDER_REFUSED: return "not asked for";
    default: return repair_outcome_name((enum repair_outcome)outcome);
    }
}

// SPDX-License-Identifier: Apache-2.0
/*
 * The labels of a point: its own attributes and, above them, what its resource gives. job is
 * service.namespace/service.name, instance is service.instance.id; of the other attributes of a resource
 * only the listed ones.
 *
 * Names become Prometheus's (otlp_name.h). Two attributes of a point that become one label are both told,
 * "a;b", as Prometheus does it; attributes without a value, and arrays and maps, are left out.
 *
 * Loop thread. Texts lie in the arena or the message; all is valid until either is gone.
 */
#pragma once
#include "agent/otlp.pb-c.h"
#include "base/arena.h"
#include "wire/batch.h"
#include <stdbool.h>

#define OTLP_LABELS_MAX (WIRE_LABELS_MAX - 4) // room for what the intake adds

struct otlp_labels {
    struct arena *arena;
    const char *const *listed; // attributes of resources; borrowed
    size_t n_listed;
    struct wire_label resource[OTLP_LABELS_MAX];
    size_t n_resource;
    struct wire_label l[OTLP_LABELS_MAX]; // by name, each once
    size_t n;
    bool no_memory; // once set, points are refused: cleared by who resets the arena
};

// The resource of the points to come. NULL: none.
void otlp_labels_resource(struct otlp_labels *l, const Tocsin__Otlp__Resource *r);
// l->l and l->n become those of a point. False: attributes that cannot be labels, or memory.
bool otlp_labels_point(
    struct otlp_labels *l, Tocsin__Otlp__KeyValue *const *attributes, size_t n);

// SPDX-License-Identifier: Apache-2.0
/*
 * A YAML document as a tree with places, read by libyaml (same scanner lineage as Go's yaml, so
 * we accept what Prometheus accepts). First document only; aliases and merge keys work, bounded
 * in depth, count and size; duplicate keys are errors. All nodes live in the arena given.
 *
 * Scalars keep their style and the offset of their first byte so that an error inside an
 * expression maps back to a line and column of the file (yaml_place).
 */
#pragma once
#include "base/arena.h"
#include "base/diag.h"
#include <stddef.h>

enum yaml_kind { YAML_NULL, YAML_SCALAR, YAML_SEQ, YAML_MAP };
enum yaml_style { YAML_PLAIN, YAML_SINGLE, YAML_DOUBLE, YAML_LITERAL, YAML_FOLDED };

struct yaml_node {
    enum yaml_kind kind;
    enum yaml_style style; // scalars
    int line, col;         // 1-based start in the file
    size_t offset, end;    // byte range in the file
    const char *text;      // scalar value, NUL-terminated
    size_t len;
    struct yaml_node **items; // SEQ: items; MAP: values
    struct yaml_node **keys;  // MAP only, scalars
    size_t n;
};

#define YAML_NODES_MAX 1000000
// Adds to diags and returns NULL when the text is not usable; an empty text gives a YAML_NULL node.
struct yaml_node *yaml_parse(const char *text, size_t len, struct arena *a, struct diags *d);
// The same, but after duplicate keys (the first one stands) the tree is returned too, so that what is
// wrong inside it can be told in the same run. Look at d->errors before using the values.
struct yaml_node *yaml_parse_all(
    const char *text, size_t len, struct arena *a, struct diags *d);
const struct yaml_node *yaml_get(
    const struct yaml_node *map, const char *key); // NULL if absent
// File place of byte `offset` of a scalar's value; text is the whole file.
void yaml_place(const char *text, size_t text_len, const struct yaml_node *scalar,
    size_t offset, int *ret_line, int *ret_col);

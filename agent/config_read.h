// SPDX-License-Identifier: Apache-2.0
/*
 * What the files that read agent.yaml share: a reader that collects mistakes and goes on, maps as
 * tables of keys, scalars with their limits. Text is kept in the configuration's arena.
 */
#pragma once
#include "agent/config.h"
#include "base/diag.h"
#include "base/yaml.h"

struct config_reader {
    struct agent_config *c;
    struct diags *d;
    bool oom;
};
struct config_key {
    const char *name;
    void (*read)(struct config_reader *r, const struct yaml_node *n, void *to);
    size_t offset; // into the struct the map fills
};

// A mistake at the node; hint may be NULL.
void config_bad(struct config_reader *r, const struct yaml_node *n, const char *hint,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
const char *config_keep(struct config_reader *r, const char *s, size_t len); // NULL: r->oom
void config_map(struct config_reader *r, const struct yaml_node *map,
    const struct config_key *keys, size_t n_keys, void *to, const char *what);
bool config_scalar(struct config_reader *r, const struct yaml_node *n); // else it was said
void config_text(struct config_reader *r, const struct yaml_node *n, void *to); // const char *
void config_duration(struct config_reader *r, const struct yaml_node *n, int64_t low,
    int64_t high, int64_t *ret);
// The list `repairs`, and the same printed.
void config_repairs(struct config_reader *r, const struct yaml_node *n, void *to);
void config_print_repairs(const struct agent_config *c, struct buf *out);
// Whoever may write the file says what is run: -EPERM with a problem when others than its owner may.
int config_repairs_guard(const char *path, struct buf *problems);
void config_add_value(struct buf *out, const char *before, const char *s);
void config_add_duration(struct buf *out, const char *key, int64_t ms);

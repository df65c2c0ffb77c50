// SPDX-License-Identifier: Apache-2.0
// What the configuration has in common with Alertmanager's, in our own file or in one of Alertmanager's.
#include "collector/config_read.h"
#include <errno.h>
#include <string.h>

#define TREE_MAX (64u << 20)

static void time_intervals(struct config_reader *r, const struct yaml_node *n)
{
    config_intervals(r, n, "time_intervals");
}

static void mute_time_intervals(struct config_reader *r, const struct yaml_node *n)
{
    config_intervals(r, n, "mute_time_intervals");
}

// In the order they are read: receivers take what `global` says.
static const struct part {
    const char *name;
    void (*read)(struct config_reader *r, const struct yaml_node *n);
} PARTS[] = {
    {"global", config_global},
    {"templates", config_templates},
    {"time_intervals", time_intervals},
    {"mute_time_intervals", mute_time_intervals},
    {"receivers", config_receivers},
    {"inhibit_rules", config_inhibit},
    {"route", config_route},
};
#define N_PARTS (sizeof(PARTS) / sizeof(PARTS[0]))

bool config_alerting_key(const char *name)
{
    for (size_t i = 0; i < N_PARTS; i++)
        if (strcmp(PARTS[i].name, name) == 0)
            return true;
    return false;
}

size_t config_alerting_names(const char **ret)
{
    _Static_assert(N_PARTS == CONFIG_ALERTING_KEYS, "the header says how many there are");
    for (size_t i = 0; i < N_PARTS; i++)
        ret[i] = PARTS[i].name;
    return N_PARTS;
}

void config_alerting(struct config_reader *r, const struct yaml_node *root)
{
    for (size_t i = 0; i < N_PARTS && !r->oom; i++) {
        const struct yaml_node *n = yaml_get(root, PARTS[i].name);
        if (n)
            PARTS[i].read(r, n);
    }
    if (!r->oom)
        config_route_check(r, root);
}

int config_alertmanager(struct config *c, const char *text, size_t len, struct diags *d)
{
    static const char *const NOT_YET[] = {"tracing", NULL};
    struct config_reader r = {
        .c = c, .d = d, .file = c->alertmanager_file, .text = text, .len = len};
    struct arena tree;
    arena_init(&tree, TREE_MAX);
    struct yaml_node *root = yaml_parse(text, len, &tree, d);
    if (root && root->kind != YAML_MAP)
        config_bad(&r, root, "C001", NULL, "the file is a map of keys");
    if (root && root->kind == YAML_MAP) {
        for (size_t i = 0; i < root->n; i++)
            if (!config_alerting_key(root->keys[i]->text))
                config_other_key(&r, root->keys[i], NOT_YET, "Alertmanager's file");
        config_alerting(&r, root);
    }
    arena_done(&tree);
    if (r.oom)
        return -ENOMEM;
    return d->errors || !root ? -EINVAL : 0;
}

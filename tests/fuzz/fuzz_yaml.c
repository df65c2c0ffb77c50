// SPDX-License-Identifier: Apache-2.0
// links: base
/* Any bytes as YAML: a tree or mistakes, and every byte of every scalar has a place in the file. */
#include "base/yaml.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Aliases make the tree a graph; the count keeps the walk short, as the parser promises it can be.
static void walk(const char *text, size_t len, const struct yaml_node *node, int *left)
{
    if ((*left)-- <= 0)
        return;
    if (node->offset > node->end || node->end > len || node->line < 1 || node->col < 1)
        abort();
    if (node->kind == YAML_SCALAR) {
        size_t step = node->len / 16 + 1;
        for (size_t at = 0; at <= node->len; at += step) {
            int line = 0, col = 0;
            yaml_place(text, len, node, at, &line, &col);
            if (line < 1 || col < 1)
                abort();
        }
    }
    for (size_t i = 0; i < node->n; i++) {
        if (node->kind == YAML_MAP)
            walk(text, len, node->keys[i], left);
        walk(text, len, node->items[i], left);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct arena arena;
    struct diags diags;
    struct buf out;
    int left = 2000;
    arena_init(&arena, 8U << 20);
    diags_init(&diags);
    buf_init(&out, 1U << 20);
    struct yaml_node *root = yaml_parse(text, size, &arena, &diags);
    if ((root == NULL) != (diags.errors > 0))
        abort();
    if (root)
        walk(text, size, root, &left);
    diags_sort(&diags);
    diags_print(&diags, "fuzz.yaml", text, size, &out);
    buf_done(&out);
    diags_done(&diags);
    arena_done(&arena);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
// links: rules base
/* Any bytes as PromQL: a tree that prints and reads back as itself, or a mistake inside the text. */
#include "rules/parse.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void print(const struct expr_root *r, struct buf *out)
{
    buf_init(out, 4U << 20);
    expr_print(r->root, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct expr_root root, again;
    struct parse_error err = {0};
    struct buf first, second;

    arena_init(&arena, 256U << 20);
    int rc = expr_parse((const char *)data, size, &arena, &root, &err);
    if (rc == 0) {
        if (expr_reach_ms(root.root) < 0)
            abort();
        print(&root, &first);
        rc = expr_parse((const char *)first.data, first.len, &arena, &again, &err);
        // Only the escapes of canonical text may make it too long.
        if (rc < 0 && strcmp(err.code, "T110"))
            abort();
        if (rc == 0) {
            print(&again, &second);
            if (first.len != second.len || memcmp(first.data, second.data, first.len))
                abort();
            buf_done(&second);
            expr_done(&again);
        }
        buf_done(&first);
        expr_done(&root);
    } else if (err.start < 0 || err.end <= err.start || (size_t)err.start > size ||
               !err.msg[0]) {
        abort();
    }
    arena_done(&arena);
    return 0;
}

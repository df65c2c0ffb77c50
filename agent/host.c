// SPDX-License-Identifier: Apache-2.0
#include "agent/host.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

uint32_t host_series(struct output *o, const char *name, enum series_kind kind,
    const char *unit, const struct wire_label *labels)
{
    struct wire_label l[16] = {{"job", "node"}};
    size_t n = 1;
    for (; labels && labels->name && n < sizeof(l) / sizeof(l[0]); labels++)
        if (labels->value[0])
            l[n++] = *labels;
    return output_series(o, name, l, n, kind, unit);
}

int host_unavailable(struct sampler *s, const char *file, int rc)
{
    snprintf(s->reason, sizeof(s->reason), "%.80s: %s", file, strerror(-rc));
    if (rc == -EMFILE)
        s->fix = "raise LimitNOFILE= of the unit, and restart the agent";
    return rc;
}

void host_number_open(struct host_number *n, const char *root, const char *path,
    struct output *o, const char *name, enum series_kind kind)
{
    char full[PATH_MAX];
    n->fd = -1;
    n->id = 0;
    if (snprintf(full, sizeof(full), "%s/%s", root, path) < (int)sizeof(full))
        n->fd = open(full, O_RDONLY | O_CLOEXEC);
    if (n->fd != -1)
        n->id = host_series(o, name, kind, "1", NULL);
}

void host_number_tick(const struct host_number *n, struct output *o)
{
    char text[32];
    uint64_t v;
    ssize_t len = n->fd == -1 ? -1 : pread(n->fd, text, sizeof(text) - 1, 0);
    if (len <= 0) {
        output_absent(o, n->id);
        return;
    }
    text[len] = 0;
    scan_u64(text, &v);
    output_set(o, n->id, (double)v);
}

void host_number_done(struct host_number *n)
{
    if (n->fd != -1)
        close(n->fd);
    n->fd = -1;
}

int host_read_text(int dir, const char *path, char *text, size_t size)
{
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd == -1)
        return -errno;
    ssize_t n = read(fd, text, size - 1);
    int rc = n < 0 ? -errno : (int)n;
    close(fd);
    if (rc > 0 && text[rc - 1] == '\n')
        rc--;
    text[rc > 0 ? rc : 0] = 0;
    return rc;
}

int host_each_line(int fd, void (*fn)(void *ctx, const char *line), void *ctx)
{
    char text[4096], line[512];
    size_t len = 0;
    off_t at = 0;
    ssize_t n;
    while ((n = pread(fd, text, sizeof(text), at)) != 0) {
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1)
            return -errno;
        at += n;
        for (ssize_t i = 0; i < n; i++) {
            if (text[i] != '\n') {
                if (len < sizeof(line) - 1)
                    line[len++] = text[i];
                continue;
            }
            line[len] = 0;
            fn(ctx, line);
            len = 0;
        }
    }
    return 0;
}

void host_rows_begin(struct host_rows *r)
{
    r->round++;
    r->cursor = 0;
}

struct host_row *host_rows_find(
    struct host_rows *r, const char *name, size_t len, bool *ret_new)
{
    *ret_new = false;
    for (size_t i = 0; i < r->n; i++) {
        struct host_row *row = &r->rows[(r->cursor + i) % r->n];
        if (strncmp(row->name, name, len) == 0 && row->name[len] == 0) {
            r->cursor = (r->cursor + i + 1) % r->n;
            row->round = r->round;
            return row;
        }
    }
    if (r->n == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 4;
        if (cap > HOST_ROWS_MAX)
            return NULL;
        struct host_row *rows = realloc(r->rows, cap * sizeof(*rows));
        if (!rows)
            return NULL;
        r->rows = rows;
        r->cap = cap;
    }
    char *copy = malloc(len + 1);
    if (!copy)
        return NULL;
    memcpy(copy, name, len);
    copy[len] = 0;
    struct host_row *row = &r->rows[r->n++];
    *row = (struct host_row){.fd = -1, .name = copy, .round = r->round};
    *ret_new = true;
    return row;
}

static void row_done(struct host_row *row)
{
    if (row->fd != -1)
        close(row->fd);
    free(row->own);
    free(row->name);
}

void host_rows_sweep(struct host_rows *r, struct output *o)
{
    size_t kept = 0;
    for (size_t i = 0; i < r->n; i++) {
        struct host_row *row = &r->rows[i];
        if (row->round == r->round) {
            if (kept != i)
                r->rows[kept] = *row;
            kept++;
            continue;
        }
        for (size_t k = 0; k < HOST_ROW_IDS; k++)
            output_end(o, row->ids[k]);
        row_done(row);
    }
    r->n = kept;
}

void host_rows_done(struct host_rows *r)
{
    for (size_t i = 0; i < r->n; i++)
        row_done(&r->rows[i]);
    free(r->rows);
    *r = (struct host_rows){0};
}

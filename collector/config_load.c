// SPDX-License-Identifier: Apache-2.0
#include "collector/config.h"
#include <errno.h>
#include <string.h>

// Adds the file to text. 0 or -errno, said in the report.
static int read_file(const char *path, struct buf *text, struct buf *report)
{
    int rc = buf_add_path(text, path);
    if (rc < 0)
        buf_addf(report, "error[C005]: %s: %s\n", path,
            rc == -EMSGSIZE ? "the file is larger than 1 MiB" : strerror(-rc));
    return rc;
}

static void print(
    struct diags *d, const char *path, const char *text, size_t len, struct buf *report)
{
    diags_sort(d);
    diags_print(d, path, text, len, report);
    diags_done(d);
}

// Behind what is in text already.
static int load_alertmanager(struct config *c, struct buf *text, struct buf *report)
{
    struct diags d;
    size_t before = text->len;
    int rc = read_file(c->alertmanager_file, text, report);
    if (rc < 0)
        return rc;
    const char *at = (const char *)text->data + before;
    diags_init(&d);
    rc = config_alertmanager(c, at, text->len - before, &d);
    print(&d, c->alertmanager_file, at, text->len - before, report);
    return rc;
}

int config_load(const char *path, struct config *ret, struct buf *text, struct buf *report)
{
    struct diags d;
    if (!path)
        return config_defaults(ret);
    memset(ret, 0, sizeof(*ret));
    int rc = read_file(path, text, report);
    if (rc < 0)
        return rc;
    diags_init(&d);
    rc = config_parse((const char *)text->data, text->len, ret, &d);
    print(&d, path, (const char *)text->data, text->len, report);
    size_t len = text->len;
    if (rc == 0 && ret->alertmanager_file)
        rc = load_alertmanager(ret, text, report);
    if (rc < 0 || !ret->alertmanager_file)
        return rc;
    diags_init(&d);
    if (!config_fallbacks_check(ret, &d))
        rc = -EINVAL;
    print(&d, path, (const char *)text->data, len, report);
    return rc;
}

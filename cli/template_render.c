// SPDX-License-Identifier: Apache-2.0
#include "cli/template_render.h"
#include "base/buf.h"
#include "base/when.h"
#include "base/zone.h"
#include "cli/template_data.h"
#include "rules/template_set.h"
#include <errno.h>
#include <glob.h>
#include <string.h>

#define FILE_MAX_ (1u << 20)
enum { OPTION_TEMPLATES, OPTION_DATA, OPTION_AS };

static bool zone_of(void *ctx, const char *name, int64_t at_ms, int32_t *ret_offset_s)
{
    struct arena a;
    struct zone z;
    struct err err;
    (void)ctx;
    arena_init(&a, 1u << 20);
    bool ok = zone_read(name, &a, &z, &err) == 0;
    if (ok)
        *ret_offset_s = zone_offset(&z, at_ms / 1000);
    arena_done(&a);
    return ok;
}

static void told(const struct template_fault *f, struct err *err)
{
    err_set(err, "%s%s%d:%d: %s", f->file ? f->file : "", f->file ? ":" : "", f->line, f->col,
        f->msg);
}

static int add_file(struct template_set *s, const char *path, struct err *err)
{
    struct template_fault fault;
    struct buf text;
    buf_init(&text, FILE_MAX_);
    int rc = buf_add_path(&text, path);
    if (rc < 0) {
        err_set(err, "%s: %s", path, strerror(-rc));
    } else {
        rc = template_set_add(s, path, buf_cstr(&text), text.len, &fault);
        if (rc < 0)
            told(&fault, err);
    }
    buf_done(&text);
    return rc;
}

static int add_files(struct template_set *s, const char *pattern, struct err *err)
{
    struct template_fault fault;
    glob_t found = {0};
    int rc = 0;
    if (!pattern)
        return 0;
    if (glob(pattern, 0, NULL, &found) != 0) {
        err_set(err, "%s: no such file", pattern);
        rc = -ENOENT;
    }
    for (size_t i = 0; i < found.gl_pathc && rc == 0; i++)
        rc = add_file(s, found.gl_pathv[i], err);
    globfree(&found);
    if (rc == 0 && (rc = template_set_check(s, &fault)) < 0)
        told(&fault, err);
    return rc;
}

static int read_data(
    const char *path, struct arena *a, struct template_message *ret, struct err *err)
{
    struct buf text;
    int rc = 0;
    buf_init(&text, TEMPLATE_DATA_MAX);
    if (!path)
        buf_adds(&text, TEMPLATE_DATA_SAMPLE);
    else if (strcmp(path, "-") == 0)
        rc = buf_add_stream(&text, stdin);
    else
        rc = buf_add_path(&text, path);
    if (rc == 0)
        rc = template_data_parse(buf_cstr(&text), text.len, a, ret, err);
    else
        err_set(err, "%s", strerror(-rc));
    if (rc < 0)
        err_prefix(err, "%s", path ? path : "the sample");
    buf_done(&text);
    return rc;
}

int template_render_main(const struct cli *c, const struct verb_args *a, struct err *err)
{
    const char *as = a->option[OPTION_AS] ? a->option[OPTION_AS] : "text";
    enum template_escape escape = strcmp(as, "html") == 0   ? TEMPLATE_HTML
                                  : strcmp(as, "json") == 0 ? TEMPLATE_JSON
                                                            : TEMPLATE_PLAIN;
    struct template_fault fault = {0};
    struct template_message m;
    struct arena arena;
    struct buf out;
    if (escape == TEMPLATE_PLAIN && strcmp(as, "text") != 0) {
        err_set(err, "--as %s: it is text, html or json", as);
        return CLI_USAGE;
    }
    arena_init(&arena, 0);
    buf_init(&out, 16u << 20);
    struct template_set *s = template_set_new(&arena);
    int rc = s ? add_files(s, a->option[OPTION_TEMPLATES], err) : -ENOMEM;
    if (rc == 0)
        rc = read_data(a->option[OPTION_DATA], &arena, &m, err);
    if (rc == 0) {
        struct template_data d = {.message = &m, .now_ms = when_now_ms(), .zone = zone_of};
        struct template *t = template_set_parse(s, a->words[0], strlen(a->words[0]), &fault);
        rc = t ? template_render(t, &d, escape, &out, &fault) : -EINVAL;
        if (rc < 0)
            told(&fault, err);
    }
    if (rc == 0) {
        fwrite(out.data, 1, out.len, c->out);
        if (!out.len || out.data[out.len - 1] != '\n')
            fputc('\n', c->out);
    } else if (!s) {
        err_set(err, "out of memory");
    }
    buf_done(&out);
    arena_done(&arena);
    return rc == 0 ? CLI_YES : CLI_NO;
}

// SPDX-License-Identifier: Apache-2.0
#include "cli/rules_test_report.h"
#include "cli/rules_test_text.h"
#include "cli/text.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define REPORT_MAX (256u << 20)
#define AS_2_42                                                                                \
    "passes with --compat=2.42: before Prometheus 3 a window held the sample at its left end too"

void report_init(struct report *r, const struct cli *c)
{
    *r = (struct report){.c = c};
    buf_init(&r->junit, REPORT_MAX);
    buf_init(&r->suite, REPORT_MAX);
    if (c->json)
        fputs("{\"tests\":[", c->out);
}

void report_done(struct report *r)
{
    buf_done(&r->junit);
    buf_done(&r->suite);
}

// Text or an attribute of XML; what XML has no character for becomes U+FFFD.
static void add_xml(struct buf *out, const char *s)
{
    for (; *s; s++) {
        switch (*s) {
        case '&': buf_adds(out, "&amp;"); break;
        case '<': buf_adds(out, "&lt;"); break;
        case '>': buf_adds(out, "&gt;"); break;
        case '"': buf_adds(out, "&quot;"); break;
        case '\n':
        case '\t': buf_addc(out, *s); break;
        default:
            if ((unsigned char)*s < 0x20)
                buf_adds(out, "\xef\xbf\xbd");
            else
                buf_addc(out, *s);
        }
    }
}

static void open_case(struct report *r, const char *name, int line)
{
    buf_adds(&r->suite, "    <testcase classname=\"");
    add_xml(&r->suite, r->file);
    buf_adds(&r->suite, "\" name=\"");
    add_xml(&r->suite, name);
    if (!*name)
        buf_addf(&r->suite, "line %d", line);
    buf_adds(&r->suite, "\">\n");
    r->suite_tests++;
}

static void add_problem(
    struct report *r, const char *element, const char *message, const char *text)
{
    buf_addf(&r->suite, "      <%s message=\"", element);
    add_xml(&r->suite, message);
    buf_adds(&r->suite, "\">");
    add_xml(&r->suite, text);
    buf_addf(&r->suite, "</%s>\n", element);
}

void report_file(struct report *r, const char *path)
{
    r->file = path;
    r->files++;
    r->bad = false;
    buf_reset(&r->suite);
    r->suite_tests = r->suite_failed = r->suite_errors = 0;
}

// --- mistakes ------------------------------------------------------------------------------------

static void json_open(struct report *r, const char *name, int line, bool passed)
{
    struct buf out;
    buf_init(&out, REPORT_MAX);
    buf_adds(&out, r->comma ? ",\n  {\"file\":" : "\n  {\"file\":");
    r->comma = true;
    buf_add_json(&out, r->file, strlen(r->file));
    buf_addf(&out, ",\"line\":%d,\"name\":", line);
    buf_add_json(&out, name, strlen(name));
    buf_addf(&out, ",\"passed\":%s,\"problems\":[", passed ? "true" : "false");
    fputs(buf_cstr(&out), r->c->out);
    r->failed_write |= out.failed != 0;
    buf_done(&out);
}

static void json_problem(struct report *r, bool comma, const char *text)
{
    struct buf out;
    buf_init(&out, REPORT_MAX);
    buf_add_json(&out, text, strlen(text));
    fprintf(r->c->out, "%s%s", comma ? "," : "", buf_cstr(&out));
    r->failed_write |= out.failed != 0;
    buf_done(&out);
}

void report_diags(struct report *r, const struct diags *d, const char *path, const char *text,
    size_t len, bool errors_only)
{
    struct diags shown = *d;
    struct buf out;
    if (d->n == 0 || (errors_only && d->errors == 0))
        return;
    buf_init(&out, REPORT_MAX);
    diags_print(&shown, path, text, len, &out);
    const char *all = buf_cstr(&out);
    if (d->errors && r->c->json) {
        json_open(r, "", d->items[0].line, false);
        json_problem(r, false, all);
        fputs("]}", r->c->out);
    } else if (!r->c->json) {
        if (d->errors && !r->bad) {
            text_paint(r->c->out, r->c->color, TEXT_BAD, "FAIL");
            fprintf(r->c->out, "  %s: not run, it has mistakes\n", r->file);
        }
        fputs(all, r->c->out);
    }
    if (d->errors) {
        open_case(r, "(the file)", 0);
        add_problem(r, "error", d->items[0].msg, all);
        buf_adds(&r->suite, "    </testcase>\n");
        r->suite_errors++;
        r->bad_files += !r->bad;
        r->bad = true;
    }
    r->failed_write |= out.failed != 0;
    buf_done(&out);
}

// --- results -------------------------------------------------------------------------------------

static void print_line(struct report *r, const struct rule_test_result *t, bool passed)
{
    FILE *out = r->c->out;
    struct buf name;
    buf_init(&name, REPORT_MAX);
    text_clean(t->name, &name);
    text_paint(out, r->c->color, passed ? TEXT_GOOD : TEXT_BAD, passed ? "ok  " : "FAIL");
    if (*t->name)
        fprintf(out, "  %s: %s", r->file, buf_cstr(&name));
    else
        fprintf(out, "  %s:%d", r->file, t->line);
    if (passed)
        fprintf(out, " (%zu check%s)\n", t->n_cases, t->n_cases == 1 ? "" : "s");
    else if (t->error)
        fprintf(out, ": ended early\n");
    else
        fprintf(out, ": %zu of %zu checks failed\n", t->n_failed, t->n_cases);
    buf_done(&name);
}

// One failed case as text without colours.
static char *plain(
    struct report *r, const struct rule_test_result *t, const struct rule_test_case *c)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    bool ok = f && rules_test_print(t, c, r->file, false, f);
    if (f && fclose(f) != 0)
        ok = false;
    if (!ok) {
        r->failed_write = true;
        free(text);
        return NULL;
    }
    return text;
}

static void report_case(struct report *r, const struct rule_test_result *t,
    const struct rule_test_case *c, bool *comma)
{
    char *text = plain(r, t, c), message[300];
    if (!text)
        return;
    snprintf(message, sizeof(message), "%s %.200s",
        c->kind == RULE_TEST_ALERT ? "alert" : "expr", c->what);
    add_problem(r, "failure", message, text);
    if (r->c->json)
        json_problem(r, *comma, text);
    else
        r->failed_write |= !rules_test_print(t, c, r->file, r->c->color, r->c->out);
    *comma = true;
    free(text);
}

void report_test(void *report, const struct rule_test_result *t)
{
    struct report *r = report;
    bool passed = t->n_failed == 0 && !t->error, comma = false;
    r->passed += passed;
    r->failed += !passed;
    r->suite_failed += !passed;
    open_case(r, t->name, t->line);
    if (r->c->json)
        json_open(r, t->name, t->line, passed);
    else
        print_line(r, t, passed);
    for (size_t i = 0; i < t->n_cases; i++) {
        const struct rule_test_case *c = &t->cases[i];
        if (c->run && !c->passed)
            report_case(r, t, c, &comma);
        else if (c->passed && c->note && !r->c->json)
            fprintf(r->c->out, "  warning: alert %s (%s:%d:%d): %s\n", c->what, r->file,
                c->line, c->col, c->note);
    }
    if (t->error) {
        add_problem(r, "failure", "a rule failed", t->error);
        if (r->c->json)
            json_problem(r, comma, t->error);
        else
            fprintf(r->c->out, "  %s\n", t->error);
    }
    if (t->passes_as_2_42 && r->c->json)
        json_problem(r, comma || t->error, AS_2_42);
    else if (t->passes_as_2_42)
        fprintf(r->c->out, "  %s\n", AS_2_42);
    buf_adds(&r->suite, "    </testcase>\n");
    if (r->c->json)
        fputs("]}", r->c->out);
}

void report_file_end(struct report *r)
{
    buf_adds(&r->junit, "  <testsuite name=\"");
    add_xml(&r->junit, r->file);
    buf_addf(&r->junit, "\" tests=\"%zu\" failures=\"%zu\" errors=\"%zu\">\n", r->suite_tests,
        r->suite_failed, r->suite_errors);
    if (r->suite.len)
        buf_add(&r->junit, r->suite.data, r->suite.len);
    buf_adds(&r->junit, "  </testsuite>\n");
}

static int write_junit(struct report *r, const char *path, struct err *err)
{
    FILE *f = fopen(path, "we");
    int rc = f ? 0 : -errno;
    if (f) {
        fprintf(f,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n%s</testsuites>\n",
            buf_cstr(&r->junit));
        rc = ferror(f) ? -EIO : 0;
        if (fclose(f) != 0)
            rc = -errno;
    }
    if (rc < 0)
        err_set(err, "%s: %s", path, strerror(-rc));
    return rc;
}

int report_end(struct report *r, const char *junit, const char *run, struct err *err)
{
    size_t tests = r->passed + r->failed;
    bool ok = r->failed == 0 && r->bad_files == 0;
    r->failed_write |= r->junit.failed || r->suite.failed;
    if (r->c->json) {
        fprintf(r->c->out,
            "%s],\"files\":%zu,\"passed\":%zu,\"failed\":%zu,\"bad_files\":%zu}\n",
            r->comma ? "\n" : "", r->files, r->passed, r->failed, r->bad_files);
    } else {
        fprintf(r->c->out, "%zu file%s, %zu test%s: %zu passed, %zu failed", r->files,
            r->files == 1 ? "" : "s", tests, tests == 1 ? "" : "s", r->passed, r->failed);
        if (r->bad_files)
            fprintf(r->c->out, ", %zu file%s with mistakes", r->bad_files,
                r->bad_files == 1 ? "" : "s");
        fputc('\n', r->c->out);
    }
    if (run && tests == 0 && ok) {
        err_set(err, "--run %s: no test has such a name", run);
        ok = false;
    }
    if (junit && write_junit(r, junit, err) < 0)
        return CLI_USAGE;
    return ok && !r->failed_write ? CLI_YES : CLI_NO;
}

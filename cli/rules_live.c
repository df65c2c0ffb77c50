// SPDX-License-Identifier: Apache-2.0
#include "cli/rules_live.h"
#include "base/map.h"
#include "cli/client.h"
#include "rules/site.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX  200000
#define PATH_MAX_  (256u << 10)
#define VALUES_MAX 50000

struct names {
    const char **text; // into doc
    size_t n;
    cJSON *doc;
};
struct live {
    struct rules_report *report;
    const struct ruleset *set;
    const struct cli *cli;
    struct err *err;
    struct map recorded; // metric names that the files record
    struct map asked;    // selector's text -> its index + 1 among the report's
    struct names metrics;
    bool metrics_known, too_many;
    int rc; // enum cli_exit
    const char *path;
};

// --- questions -------------------------------------------------------------------------------
static void names_done(struct names *n)
{
    free(n->text);
    cJSON_Delete(n->doc);
    *n = (struct names){0};
}

static bool get_names(struct live *l, const char *path, struct names *ret)
{
    const cJSON *data, *item;
    *ret = (struct names){0};
    l->rc = client_get(l->cli, path, &ret->doc, &data, l->err);
    if (l->rc != CLI_YES)
        return false;
    int n = cJSON_GetArraySize(data);
    ret->text = calloc((size_t)n + 1, sizeof(*ret->text));
    if (!ret->text) {
        err_set(l->err, "out of memory");
        l->rc = CLI_NO;
        names_done(ret);
        return false;
    }
    cJSON_ArrayForEach(item, data)
    {
        if (cJSON_IsString(item))
            ret->text[ret->n++] = item->valuestring;
    }
    return true;
}

static bool has(const struct names *n, const char *name)
{
    for (size_t i = 0; i < n->n; i++)
        if (!strcmp(n->text[i], name))
            return true;
    return false;
}

static bool metrics(struct live *l)
{
    if (l->metrics_known)
        return true;
    char path[80];
    snprintf(path, sizeof(path), "/api/v1/label/__name__/values?limit=%d", NAMES_MAX);
    l->metrics_known = get_names(l, path, &l->metrics);
    return l->metrics_known;
}

// How many series a selector has. False: l->rc says why.
static bool count_series(struct live *l, const char *selector, size_t *ret)
{
    struct buf path, query;
    cJSON *doc = NULL;
    const cJSON *data;
    buf_init(&path, PATH_MAX_);
    buf_init(&query, PATH_MAX_);
    buf_addf(&query, "count(%s)", selector);
    buf_adds(&path, "/api/v1/query");
    client_param(&path, "query", buf_cstr(&query));
    l->rc = client_get(l->cli, buf_cstr(&path), &doc, &data, l->err);
    if (l->rc == CLI_YES) {
        const cJSON *first =
            cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(data, "result"), 0);
        const cJSON *value =
            cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(first, "value"), 1);
        *ret = cJSON_IsString(value) ? strtoul(value->valuestring, NULL, 10) : 0;
    }
    cJSON_Delete(doc);
    buf_done(&path);
    buf_done(&query);
    return l->rc == CLI_YES;
}

// Names of labels (label NULL) or values of one, of all series of a metric.
static bool labels_of(struct live *l, const char *metric, const char *label, struct names *ret)
{
    struct buf path;
    struct expr by_name = {.kind = EXPR_SELECTOR};
    struct matcher m = {.op = MATCH_EQ, .name = LABEL_NAME, .value = metric};
    struct buf selector;
    char limit[16];
    by_name.matchers = &m;
    by_name.n_matchers = 1;
    by_name.name = metric;
    buf_init(&path, PATH_MAX_);
    buf_init(&selector, PATH_MAX_);
    expr_print(&by_name, &selector);
    if (label)
        buf_addf(&path, "/api/v1/label/%s/values", label);
    else
        buf_adds(&path, "/api/v1/labels");
    client_param(&path, "match[]", buf_cstr(&selector));
    snprintf(limit, sizeof(limit), "%d", VALUES_MAX);
    client_param(&path, "limit", limit);
    bool ok = get_names(l, buf_cstr(&path), ret);
    buf_done(&path);
    buf_done(&selector);
    return ok;
}

// --- why there are none ----------------------------------------------------------------------
static void unknown_metric(struct live *l, const struct rule_site *site, const struct expr *e)
{
    char hint[192] = "";
    size_t series = 0;
    const char *near = diag_nearest(e->name, strlen(e->name), l->metrics.text, l->metrics.n);
    if (near && metric_name_plain(near) && count_series(l, near, &series))
        snprintf(hint, sizeof(hint), "did you mean %.120s (%zu series)?", near, series);
    site_warn(site, "T210", site->expr, (size_t)e->start, (size_t)e->end, hint,
        "there is no series `%.100s` now", e->name);
}

// True when this matcher is what lets nothing through, and it was told.
static bool blame(struct live *l, const struct rule_site *site, const struct expr *e,
    const struct matcher *m, const struct names *labels)
{
    char hint[192] = "";
    struct names values;
    size_t passed = 0;
    if (!has(labels, m->name)) {
        const char *near = diag_nearest(m->name, strlen(m->name), labels->text, labels->n);
        if (near)
            snprintf(hint, sizeof(hint), "did you mean %.120s?", near);
        site_warn(site, "T211", site->expr, (size_t)e->start, (size_t)e->end, hint,
            "no series `%.80s` has a label `%.80s` now", e->name, m->name);
        return true;
    }
    if (!label_name_plain(m->name) || !labels_of(l, e->name, m->name, &values))
        return false;
    for (size_t i = 0; i < values.n; i++)
        passed += matcher_value(m, values.text[i]);
    if (passed == 0) {
        const char *near = m->op == MATCH_EQ
                               ? diag_nearest(m->value, strlen(m->value), values.text, values.n)
                               : NULL;
        if (near)
            snprintf(hint, sizeof(hint), "did you mean \"%.120s\"?", near);
        else if (values.n)
            snprintf(hint, sizeof(hint), "there is \"%.60s\"%s", values.text[0],
                values.n > 1 ? " and others" : "");
        site_warn(site, "T212", site->expr, (size_t)e->start, (size_t)e->end, hint,
            "no series `%.80s` has a `%.60s` that passes \"%.60s\" now", e->name, m->name,
            m->value);
    }
    names_done(&values);
    return passed == 0;
}

static void explain(struct live *l, const struct rule_site *site, const struct expr *e)
{
    struct names labels;
    if (!e->name) {
        site_warn(site, "T210", site->expr, (size_t)e->start, (size_t)e->end, "",
            "no series matches this now");
        return;
    }
    if (!metrics(l))
        return;
    if (!has(&l->metrics, e->name)) {
        unknown_metric(l, site, e);
        return;
    }
    if (!labels_of(l, e->name, NULL, &labels))
        return;
    bool told = false;
    for (size_t i = 0; i < e->n_matchers && !told && l->rc == CLI_YES; i++) {
        const struct matcher *m = &e->matchers[i];
        // What an empty value passes needs no label.
        if (strcmp(m->name, LABEL_NAME) && !matcher_value(m, ""))
            told = blame(l, site, e, m, &labels);
    }
    names_done(&labels);
    if (!told && l->rc == CLI_YES)
        site_warn(site, "T210", site->expr, (size_t)e->start, (size_t)e->end, "",
            "series `%.80s` exist, but none matches all of this now", e->name);
}

// --- the walk --------------------------------------------------------------------------------
static struct checked_selector *add(struct live *l, const char *text)
{
    struct rules_report *r = l->report;
    if (r->n_selectors == r->cap_selectors) {
        size_t cap = r->cap_selectors ? r->cap_selectors * 2 : 32;
        struct checked_selector *more = realloc(r->selectors, cap * sizeof(*more));
        if (!more)
            return NULL;
        r->selectors = more;
        r->cap_selectors = cap;
    }
    char *copy = strdup(text);
    if (!copy)
        return NULL;
    struct checked_selector *s = &r->selectors[r->n_selectors++];
    *s = (struct checked_selector){.text = copy, .path = l->path};
    return s;
}

static bool skipped(struct live *l, const struct expr *e)
{
    return e->name && (map_get(&l->recorded, e->name, strlen(e->name)) ||
                          !strcmp(e->name, "ALERTS") || !strcmp(e->name, "ALERTS_FOR_STATE"));
}

static void selector(struct live *l, const struct rule_site *site, const struct expr *e)
{
    struct expr plain = *e;
    struct buf text;
    size_t series = 0;

    if (skipped(l, e))
        return;
    plain.offset_given = false;
    plain.offset_ms = 0;
    plain.at = AT_NONE;
    buf_init(&text, PATH_MAX_);
    expr_print(&plain, &text);
    const char *key = buf_cstr(&text);
    // Asked once; told at every place.
    size_t at = (size_t)(uintptr_t)map_get(&l->asked, key, strlen(key));
    if (at) {
        series = l->report->selectors[at - 1].series;
    } else if (l->report->n_selectors == LIVE_SELECTORS_MAX) {
        l->too_many = true;
        series = 1;
    } else if (count_series(l, key, &series)) {
        struct checked_selector *s = add(l, key);
        if (!s || map_set(&l->asked, key, strlen(key),
                      (void *)(uintptr_t)l->report->n_selectors) < 0) {
            err_set(l->err, "out of memory");
            l->rc = CLI_NO;
        } else {
            s->series = series;
            yaml_place(site->text, site->len, site->expr, (size_t)e->start, &s->line, &s->col);
        }
    }
    buf_done(&text);
    if (l->rc == CLI_YES && series == 0)
        explain(l, site, e);
}

static void walk(struct live *l, const struct rule_site *site, const struct expr *e)
{
    if (!e || l->rc != CLI_YES)
        return;
    if (e->kind == EXPR_SELECTOR)
        selector(l, site, e);
    for (size_t i = 0; i < e->n_args; i++)
        walk(l, site, e->args[i]);
    walk(l, site, e->param);
    walk(l, site, e->lhs);
    walk(l, site, e->rhs);
}

static int visit(void *ctx, const struct rule_site *site)
{
    struct live *l = ctx;
    walk(l, site, site->rule->expr.root);
    return l->rc == CLI_YES ? 0 : -ECANCELED;
}

static bool know_recorded(struct live *l)
{
    for (size_t i = 0; i < l->set->n_groups; i++) {
        const struct rule_group *g = &l->set->groups[i];
        for (size_t k = 0; k < g->n_rules; k++)
            if (g->rules[k].kind == RULE_RECORD && g->rules[k].name &&
                map_set(&l->recorded, g->rules[k].name, strlen(g->rules[k].name), l) < 0)
                return false;
    }
    return true;
}

int rules_live(
    struct rules_report *r, const struct ruleset *set, const struct cli *c, struct err *err)
{
    struct live l = {.report = r, .set = set, .cli = c, .err = err, .rc = CLI_YES};
    bool no_memory = false;

    map_init(&l.recorded);
    map_init(&l.asked);
    no_memory = !know_recorded(&l);
    for (size_t i = 0; i < r->n && l.rc == CLI_YES && !no_memory; i++) {
        struct checked_file *f = &r->files[i];
        if (f->overrides || !f->text.len)
            continue;
        l.path = f->path;
        no_memory = ruleset_sites(set, f->path, (const char *)f->text.data, f->text.len, &f->d,
                        visit, &l) == -ENOMEM;
    }
    if (l.too_many)
        diags_add(&r->whole, DIAG_WARNING, "T210", 0, 0, 1, "check the files one by one",
            "only the first %d selectors were asked for", LIVE_SELECTORS_MAX);
    names_done(&l.metrics);
    map_done(&l.recorded);
    map_done(&l.asked);
    if (no_memory) {
        err_set(err, "out of memory");
        return CLI_NO;
    }
    return l.rc;
}

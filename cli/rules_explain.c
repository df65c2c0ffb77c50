// SPDX-License-Identifier: Apache-2.0
#include "cli/rules_explain.h"
#include "base/num.h"
#include "cli/client.h"
#include "cli/text.h"
#include "rules/builtin.h"
#include "rules/engine.h"
#include "rules/explain.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define OUTPUT_MAX  (64u << 20)
#define SAMPLING_MS 1000 // what agents do when they are not told otherwise

enum { OPTION_RULE, OPTION_AGAINST, OPTION_SAMPLING };
const struct verb_option RULES_EXPLAIN_OPTIONS[] = {
    {"rule", "GROUP/NAME", "only this rule", NULL},
    {"against", "URL", "ask this collector how the rules do now", NULL},
    {"sampling", "DURATION", "how often samples come (default 1s)", NULL},
    {0},
};

struct explainer {
    const struct verb_args *args;
    struct explain_options o;
    bool json;
    const cJSON *live; // groups of the collector; NULL = not asked
    struct buf *out;
    size_t shown;
};

// --- reading -----------------------------------------------------------------------------------

static int refuse(const char *path, const struct buf *text, struct diags *d, struct buf *out)
{
    diags_sort(d);
    diags_print(d, path, text->data ? (const char *)text->data : "", text->len, out);
    return CLI_NO;
}

// One file, as rules or, in the second round, as overrides of them. CLI_YES, CLI_NO.
static int load_file(
    struct ruleset *set, const char *path, bool overrides, struct buf *out, struct err *err)
{
    struct buf text;
    struct diags d;
    int exit = CLI_YES;
    buf_init(&text, RULE_FILE_MAX + 1);
    diags_init(&d);
    int rc = buf_add_path(&text, path);
    const char *body = text.data ? (const char *)text.data : "";
    if (rc < 0) {
        err_set(err, "%s: %s", path, strerror(-rc));
        exit = CLI_NO;
    } else if (ruleset_is_overrides(body, text.len) == overrides) {
        rc = overrides ? ruleset_override(set, path, body, text.len, &d)
                       : ruleset_add(set, path, body, text.len, &d);
        if (d.errors)
            exit = refuse(path, &text, &d, out);
        if (rc < 0 && !d.errors) {
            err_set(err, "%s: %s", path, strerror(-rc));
            exit = CLI_NO;
        }
    }
    buf_done(&text);
    diags_done(&d);
    return exit;
}

static int load(
    struct ruleset *set, const struct verb_args *a, struct buf *out, struct err *err)
{
    struct diags none;
    int exit = CLI_YES;
    diags_init(&none);
    for (int round = 0; round < 2 && exit == CLI_YES; round++) {
        if (round == 1 && builtin_add(set, &none) < 0) {
            err_set(err, "out of memory");
            exit = CLI_NO;
        }
        for (int i = 0; i < a->n_words; i++) {
            int one = load_file(set, a->words[i], round == 1, out, err);
            exit = one != CLI_YES ? one : exit;
        }
    }
    builtin_remove(set);
    diags_done(&none);
    return exit;
}

// --- what the collector has --------------------------------------------------------------------

static const cJSON *named(const cJSON *list, const char *name, size_t place)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        if (!strcmp(json_text(item, "name"), name) && place-- == 0)
            return item;
    }
    return NULL;
}

// The k-th of its name in a group is the k-th there.
static const cJSON *live_rule(
    const struct explainer *x, const struct rule_group *g, const struct rule *r)
{
    size_t place = 0;
    const cJSON *group = named(x->live, g->name, 0);
    for (const struct rule *before = g->rules; before < r; before++)
        place += !strcmp(before->name, r->name);
    return group ? named(cJSON_GetObjectItemCaseSensitive(group, "rules"), r->name, place)
                 : NULL;
}

// --- text --------------------------------------------------------------------------------------

static const char *bytes_text(double bytes, char ret[static 32])
{
    const char *const unit[] = {"B", "KiB", "MiB", "GiB"};
    int k = 0;
    while (bytes >= 1024 && k < 3) {
        bytes /= 1024;
        k++;
    }
    snprintf(ret, 32, k && bytes < 10 ? "%.1f %s" : "%.0f %s", bytes, unit[k]);
    return ret;
}

static const char *span(int64_t ms, char ret[static NUM_TEXT_MAX])
{
    duration_print(ms, ret);
    return ret;
}

static void plan_text(const struct explanation *e, struct buf *out)
{
    for (size_t i = 0; i < e->n; i++) {
        const struct explain_line *l = &e->line[i];
        char bytes[32], reach[NUM_TEXT_MAX];
        buf_addf(out, "  %-10s %*s%-9s %s  (%s an element", i ? "" : "plan", l->depth * 2, "",
            l->kind, l->text, bytes_text(l->bytes, bytes));
        if (l->reach_ms)
            buf_addf(out, ", reaches back %s", span(l->reach_ms, reach));
        if (l->parts > 1)
            buf_addf(out, ", read %u times", l->parts);
        buf_addc(out, ')');
        buf_addc(out, '\n');
    }
}

static void evaluated_text(const struct explanation *e, struct buf *out)
{
    if (e->moves) {
        buf_adds(out, "  evaluated  incrementally: what comes and what leaves a window\n");
        return;
    }
    buf_adds(out, "  evaluated  in part anew at each evaluation, the rest incrementally\n");
    for (size_t i = 0; i < e->n; i++)
        if (e->line[i].anew)
            buf_addf(out, "             %s: %s\n", e->line[i].text, e->line[i].anew);
}

static void delay_text(const struct rule *r, const struct explanation *e, struct buf *out)
{
    char least[NUM_TEXT_MAX], most[NUM_TEXT_MAX], wait[NUM_TEXT_MAX], look[NUM_TEXT_MAX],
        hold[NUM_TEXT_MAX], offset[NUM_TEXT_MAX], late[NUM_TEXT_MAX];
    bool arrival = r->evaluate == EVALUATE_ARRIVAL;
    int64_t sure = e->hold_ms + e->offset_ms;
    buf_addf(out, "  delay      %s to %s: sampling up to %s, %s up to %s", span(sure, least),
        span(sure + e->wait_ms + e->look_ms, most), span(e->wait_ms, wait),
        arrival ? "distance of evaluations" : "evaluation", span(e->look_ms, look));
    if (r->for_ms)
        buf_addf(out, ", for %s", span(e->hold_ms, hold));
    if (e->offset_ms)
        buf_addf(out, ", query_offset %s", span(e->offset_ms, offset));
    if (e->late_ms)
        buf_addf(out, "; %s more when an agent is late", span(e->late_ms, late));
    buf_adds(out, arrival ? "; an event does not wait for sampling or distance\n" : "\n");
}

static void live_text(const cJSON *rule, struct buf *out)
{
    if (!rule) {
        buf_adds(out, "  now        the collector has no such rule\n");
        return;
    }
    char took[TEXT_NUMBER_MAX];
    buf_adds(out, "  now        ");
    text_clean(json_text(rule, "health"), out);
    buf_addf(out, ", %.0f elements, last evaluation took %s", json_number(rule, "elements"),
        text_number(json_number(rule, "evaluationTime"), TEXT_SECONDS, took));
    if (*json_text(rule, "state")) {
        buf_adds(out, ", ");
        text_clean(json_text(rule, "state"), out);
    }
    if (*json_text(rule, "lastError")) {
        buf_adds(out, "\n             ");
        text_clean(json_text(rule, "lastError"), out);
    }
    buf_addc(out, '\n');
}

// What overrides say about telling it.
static void told_text(const struct rule *r, struct buf *out)
{
    char window[NUM_TEXT_MAX];
    for (size_t i = 0; i < r->n_depends; i++) {
        const struct dependency *d = &r->depends[i];
        buf_addf(out, "  %-10s not while %s%s%s fires", i ? "" : "told",
            d->rule ? d->group : "", d->rule ? "/" : "", d->rule ? d->rule : d->selector.text);
        for (size_t k = 0; k < d->n_equal; k++)
            buf_addf(out, "%s%s", k ? ", " : " with the same ", d->equal[k]);
        buf_addc(out, '\n');
    }
    if (r->flap.max)
        buf_addf(out, "  %-10s once that it flaps when it begins more than %u times in %s\n",
            r->n_depends ? "" : "told", r->flap.max, span(r->flap.window_ms, window));
}

static void show_text(const struct explainer *x, const struct rule_group *g,
    const struct rule *r, const struct explanation *e)
{
    struct buf *out = x->out;
    char every[NUM_TEXT_MAX], bytes[32];
    buf_addf(out, "%s%s/%s  %s, ", x->shown ? "\n" : "", g->name, r->name,
        r->kind == RULE_ALERT ? "alert" : "record");
    if (r->evaluate == EVALUATE_ARRIVAL)
        buf_addf(out, "on arrival and every %s%s\n", span(e->every_ms, every),
            r->disabled ? ", disabled" : "");
    else
        buf_addf(
            out, "every %s%s\n", span(e->every_ms, every), r->disabled ? ", disabled" : "");
    plan_text(e, out);
    evaluated_text(e, out);
    if (e->bytes >= 0)
        buf_addf(out, "  memory     about %s for 1,000 series of each of %zu selector%s%s\n",
            bytes_text(e->bytes, bytes), e->selectors, e->selectors == 1 ? "" : "s",
            r->evaluate == EVALUATE_ARRIVAL ? ", twice: on either clock" : "");
    else
        buf_adds(out, "  memory     not known: no series could be made up for its selectors\n");
    delay_text(r, e, out);
    told_text(r, out);
    if (x->live)
        live_text(live_rule(x, g, r), out);
}

// --- JSON --------------------------------------------------------------------------------------

static void json_string(struct buf *out, const char *key, const char *s)
{
    buf_addf(out, "\"%s\":", key);
    buf_add_json(out, s, strlen(s));
}

static void lines_json(const struct explanation *e, struct buf *out)
{
    for (size_t i = 0; i < e->n; i++) {
        const struct explain_line *l = &e->line[i];
        buf_addf(out, "%s{\"depth\":%d,", i ? "," : "", l->depth);
        json_string(out, "kind", l->kind);
        buf_addc(out, ',');
        json_string(out, "expr", l->text);
        buf_addf(out, ",\"reachMs\":%lld,\"bytesPerElement\":%.0f,\"incremental\":%s",
            (long long)l->reach_ms, l->bytes, l->anew ? "false" : "true");
        if (l->anew) {
            buf_addc(out, ',');
            json_string(out, "why", l->anew);
        }
        buf_addc(out, '}');
    }
}

static void show_json(const struct explainer *x, const struct rule_group *g,
    const struct rule *r, const struct explanation *e)
{
    struct buf *out = x->out;
    int64_t sure = e->hold_ms + e->offset_ms;
    buf_addf(out, "%s{", x->shown ? "," : "");
    json_string(out, "group", g->name);
    buf_addc(out, ',');
    json_string(out, "name", r->name);
    buf_addf(out,
        ",\"type\":\"%s\",\"evaluate\":\"%s\",\"intervalMs\":%lld,\"disabled\":%s,"
        "\"incremental\":%s,\"plan\":[",
        r->kind == RULE_ALERT ? "alerting" : "recording",
        r->evaluate == EVALUATE_ARRIVAL ? "arrival" : "interval", (long long)e->every_ms,
        r->disabled ? "true" : "false", e->moves ? "true" : "false");
    lines_json(e, out);
    buf_addf(out, "],\"selectors\":%zu,\"bytesPer1000Series\":", e->selectors);
    buf_addf(out, e->bytes >= 0 ? "%.0f" : "null", e->bytes);
    buf_addf(out,
        ",\"delayMs\":{\"least\":%lld,\"most\":%lld,\"sampling\":%lld,\"evaluation\":%lld,"
        "\"for\":%lld,\"queryOffset\":%lld,\"late\":%lld}",
        (long long)sure, (long long)(sure + e->wait_ms + e->look_ms), (long long)e->wait_ms,
        (long long)e->look_ms, (long long)e->hold_ms, (long long)e->offset_ms,
        (long long)e->late_ms);
    if (x->live) {
        const cJSON *rule = live_rule(x, g, r);
        char *text = rule ? cJSON_PrintUnformatted(rule) : NULL;
        buf_addf(out, ",\"now\":%s", text ? text : "null");
        cJSON_free(text);
    }
    buf_addc(out, '}');
}

// --- the verb ----------------------------------------------------------------------------------

static bool wanted(const char *only, const struct rule_group *g, const struct rule *r)
{
    size_t n = strlen(g->name);
    return !only ||
           (!strncmp(only, g->name, n) && only[n] == '/' && !strcmp(only + n + 1, r->name));
}

static int explain_all(struct explainer *x, const struct ruleset *set, struct err *err)
{
    const char *only = x->args->option[OPTION_RULE];
    int rc = 0;
    for (size_t i = 0; i < set->n_groups; i++)
        for (size_t k = 0; rc == 0 && k < set->groups[i].n_rules; k++) {
            const struct rule_group *g = &set->groups[i];
            struct explanation e;
            struct arena a;
            if (!wanted(only, g, &g->rules[k]))
                continue;
            arena_init(&a, 0);
            rc = rule_explain(g, &g->rules[k], &x->o, &a, &e);
            if (rc == 0) {
                (x->json ? show_json : show_text)(x, g, &g->rules[k], &e);
                x->shown++;
            }
            arena_done(&a);
        }
    if (rc < 0 || x->out->failed) {
        err_set(err, "out of memory");
        return CLI_NO;
    }
    if (only && !x->shown) {
        err_set(err, "no rule is called %.200s: --rule takes GROUP/NAME", only);
        return CLI_NO;
    }
    return CLI_YES;
}

static int explain_files(const struct cli *c, struct explainer *x, struct err *err)
{
    struct cli collector = *c;
    cJSON *doc = NULL;
    const cJSON *data;
    struct ruleset *set = ruleset_new();
    int rc = set ? load(set, x->args, x->out, err) : CLI_NO;
    if (!set)
        err_set(err, "out of memory");
    collector.url = x->args->option[OPTION_AGAINST];
    if (rc == CLI_YES && collector.url) {
        rc = client_get(&collector, "/api/v1/rules", &doc, &data, err);
        if (rc == CLI_YES)
            x->live = cJSON_GetObjectItemCaseSensitive(data, "groups");
    }
    if (rc == CLI_YES) {
        buf_adds(x->out, x->json ? "{\"rules\":[" : "");
        rc = explain_all(x, set, err);
        buf_adds(x->out, x->json ? "]}\n" : "");
    }
    cJSON_Delete(doc);
    ruleset_free(set);
    return rc;
}

int rules_explain_main(const struct cli *c, const struct verb_args *a, struct err *err)
{
    struct buf out;
    struct explainer x = {.args = a,
        .json = c->json,
        .out = &out,
        .o = {.sampling_ms = SAMPLING_MS,
            .interval_ms = ENGINE_INTERVAL_MS,
            .grace_ms = ENGINE_GRACE_MS,
            .arrival_gap_ms = ENGINE_ARRIVAL_GAP_MS}};
    const char *sampling = a->option[OPTION_SAMPLING];
    if (sampling && (!duration_parse(sampling, strlen(sampling), &x.o.sampling_ms) ||
                        x.o.sampling_ms <= 0)) {
        err_set(err, "--sampling takes a duration, e.g. 15s, not %.60s", sampling);
        return CLI_USAGE;
    }
    buf_init(&out, OUTPUT_MAX);
    int rc = explain_files(c, &x, err);
    if (out.len)
        fwrite(out.data, 1, out.len, c->out);
    buf_done(&out);
    return rc;
}

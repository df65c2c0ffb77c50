// SPDX-License-Identifier: Apache-2.0
// Functions given what they were not made for.
#include "base/num.h"
#include "rules/lint_flow.h"
#include "rules/lint_rule.h"
#include <stdio.h>
#include <string.h>

// --- names -----------------------------------------------------------------------------------
static bool ends_with(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);
    return n > m && !strcmp(name + n - m, suffix);
}

static bool counter_name(const char *name)
{
    return ends_with(name, "_total") || ends_with(name, "_count") || ends_with(name, "_sum") ||
           ends_with(name, "_bucket");
}

// Names that can hardly be a counter's: by what they say, or because their exporter is known.
static bool gauge_name(const char *name)
{
    static const char *const suffixes[] = {"_ratio", "_percent", "_percentage", "_celsius",
        "_info", "_timestamp", "_timestamp_seconds", "_temperature", "_utilization", "_limit",
        "_limit_bytes", "_capacity", "_capacity_bytes", "_free_bytes", "_avail_bytes",
        "_available_bytes", "_used_bytes", "_size_bytes", "_resident_memory_bytes",
        "_virtual_memory_bytes", "_heap_inuse_bytes", "_queue_length", "_in_flight",
        "_open_fds", "_goroutines"};
    static const char *const prefixes[] = {"node_load", "node_memory_", "node_filesystem_"};
    if (counter_name(name))
        return false;
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
        if (ends_with(name, suffixes[i]))
            return true;
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
        if (!strncmp(name, prefixes[i], strlen(prefixes[i])))
            return true;
    return !strcmp(name, "up");
}

// --- ranges ----------------------------------------------------------------------------------
static bool of_counters(int fn)
{
    return fn == FN_RATE || fn == FN_INCREASE || fn == FN_IRATE;
}

static bool needs_two(int fn)
{
    return of_counters(fn) || fn == FN_DELTA || fn == FN_IDELTA || fn == FN_DERIV ||
           fn == FN_PREDICT_LINEAR || fn == FN_CHANGES || fn == FN_RESETS;
}

static const char *recorded_as(const struct rule *rule)
{
    const struct expr *e = lint_bare(rule->expr.root);
    if (e->kind == EXPR_AGGREGATE && e->agg != AGG_TOPK && e->agg != AGG_BOTTOMK)
        return agg_name(e->agg);
    if (e->kind == EXPR_CALL && of_counters(e->fn->id))
        return e->fn->name;
    return NULL;
}

static void selector_rate(struct lint *l, const struct expr *call, const struct expr *selector)
{
    const char *name = selector->name;
    const struct rule *rule = name ? map_get(&l->recorded, name, strlen(name)) : NULL;
    const char *as = rule && rule->expr.root ? recorded_as(rule) : NULL;

    if (as)
        LINT_EXPR(l, "T208", call, "record the rate, then add it up: sum(rate(...))",
            "`%s` of `%.60s`, which is recorded as a `%s`: a counter's reset is no longer seen",
            call->fn->name, name, as);
    else if (name && !rule && gauge_name(name))
        LINT_EXPR(l, "T205", call, "delta(...) or deriv(...) follow a value that may fall",
            "`%s` is for counters, and by its name `%.60s` is none", call->fn->name, name);
}

static void selector_delta(struct lint *l, const struct expr *call, const struct expr *selector)
{
    const char *name = selector->name;
    if (!name || (!ends_with(name, "_total") && !ends_with(name, "_bucket")))
        return;
    LINT_EXPR(l, "T206", call,
        call->fn->id == FN_DERIV    ? "rate(...)"
        : call->fn->id == FN_IDELTA ? "irate(...)"
                                    : "increase(...)",
        "`%s` of the counter `%.60s` is wrong each time it restarts from 0", call->fn->name,
        name);
}

static void check_length(struct lint *l, const struct expr *call, const struct expr *range)
{
    bool sub = range->kind == EXPR_SUBQUERY;
    int64_t step = sub ? range->step_ms : l->options.sampling_ms;
    char have[NUM_TEXT_MAX], every[NUM_TEXT_MAX], hint[96], want[NUM_TEXT_MAX];

    if (step <= 0 || range->range_ms / 4 >= step || (sub && range->range_ms / 2 >= step))
        return;
    duration_print(range->range_ms, have);
    duration_print(step, every);
    duration_print(step * 4, want);
    snprintf(hint, sizeof(hint), "take %s or more", want);
    if (range->range_ms / 2 < step)
        LINT_EXPR(l, "T209", range, hint,
            "`%s` needs two samples, and in %s there is mostly one when they come every %s",
            call->fn->name, have, every);
    else
        LINT_EXPR(l, "T209", range, hint,
            "one lost sample empties `%s` over %s when samples come every %s", call->fn->name,
            have, every);
}

static void range_call(struct lint *l, const struct expr *e)
{
    const struct expr *range = NULL;
    for (size_t i = 0; i < e->n_args && !range; i++)
        if (e->args[i]->type == TYPE_MATRIX)
            range = lint_bare(e->args[i]);
    if (!range)
        return;
    if (needs_two(e->fn->id))
        check_length(l, e, range);
    const struct expr *inner = lint_bare(range->lhs);
    if (range->kind == EXPR_SUBQUERY) {
        bool adds = inner->kind == EXPR_AGGREGATE && inner->agg != AGG_TOPK &&
                    inner->agg != AGG_BOTTOMK;
        if (adds && of_counters(e->fn->id))
            LINT_EXPR(l, "T207", e, "rate first, then add up: sum(rate(metric[5m]))",
                "`%s` of a `%s`: a counter's reset is no longer seen, and a series that comes or goes looks like one",
                e->fn->name, agg_name(inner->agg));
        return;
    }
    if (of_counters(e->fn->id))
        selector_rate(l, e, inner);
    else if (e->fn->id == FN_DELTA || e->fn->id == FN_IDELTA || e->fn->id == FN_DERIV)
        selector_delta(l, e, inner);
}

// --- the others ------------------------------------------------------------------------------
static bool reads_buckets(const struct expr *e)
{
    if (e->kind == EXPR_SELECTOR)
        return e->name && ends_with(e->name, "_bucket");
    for (size_t i = 0; i < e->n_args; i++)
        if (reads_buckets(e->args[i]))
            return true;
    return (e->lhs && reads_buckets(e->lhs)) || (e->rhs && reads_buckets(e->rhs));
}

static void quantile_of_buckets(struct lint *l, const struct expr *e)
{
    struct label_flow flow;
    if (!label_flow(&l->arena, e->args[1], &flow)) {
        l->no_memory = true;
        return;
    }
    if (!label_flow_has(&flow, "le") && reads_buckets(e->args[1]))
        LINT_EXPR(l, "T222", e->args[1], "keep it: by (..., le)",
            "`histogram_quantile` needs the label `le`, which is lost here: it gives nothing");
}

static void check_level(struct lint *l, const struct expr *level, const char *who)
{
    const struct expr *e = lint_bare(level);
    char hint[64] = "", number[NUM_TEXT_MAX];
    if (e->kind != EXPR_NUMBER || (e->number >= 0 && e->number <= 1) || e->number != e->number)
        return;
    num_short(e->number / 100, number);
    if (e->number > 1 && e->number <= 100)
        snprintf(hint, sizeof(hint), "did you mean %s?", number);
    LINT_EXPR(l, "T223", level, hint,
        "the level of `%s` goes from 0 to 1; outside it the result is infinite", who);
}

static void absent_of(struct lint *l, const struct expr *e)
{
    const struct expr *s = lint_bare(e->args[0]);
    if (s->kind == EXPR_MATRIX)
        s = lint_bare(s->lhs);
    for (size_t i = 0; s->kind == EXPR_SELECTOR && i < s->n_matchers; i++) {
        const struct matcher *m = &s->matchers[i];
        if (m->op != MATCH_RE || !strpbrk(m->value, ".*+?|[(\\"))
            continue;
        LINT_EXPR(l, "T218", s, "one absent(...) for each value, or compare counts",
            "`%s` is silent while any one series matches `%.60s=~\"%.60s\"`, and does not say which is missing",
            e->fn->name, m->name, m->value);
        return;
    }
}

void lint_call(struct lint *l, const struct expr *e)
{
    if (e->kind == EXPR_AGGREGATE) {
        if (e->agg == AGG_QUANTILE)
            check_level(l, e->param, "quantile");
        return;
    }
    range_call(l, e);
    switch (e->fn->id) {
    case FN_HISTOGRAM_QUANTILE:
        check_level(l, e->args[0], e->fn->name);
        quantile_of_buckets(l, e);
        break;
    case FN_QUANTILE_OVER_TIME: check_level(l, e->args[0], e->fn->name); break;
    case FN_ABSENT:
    case FN_ABSENT_OVER_TIME: absent_of(l, e); break;
    default: break; // of all the functions there are
    }
}

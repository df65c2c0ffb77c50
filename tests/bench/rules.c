// SPDX-License-Identifier: Apache-2.0
// What rules cost: half thresholds, half rate[1m], each over ten of 10,000 series with one sample
// a second, evaluated every second. CPU of the engine only; the source is the one of unit tests.
//     rules [rules, 1000] [seconds, 20] [arrival: 0 or 1]
#include "rules/engine.h"
#include "rules/memory_source.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define GROUPS  500
#define MEMBERS 10
#define T0      1000000000000LL
#define WARM_S  70

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fail(const char *what)
{
    fprintf(stderr, "rules: %s\n", what);
    exit(1);
}

static struct ruleset *make_rules(int n, bool arrival)
{
    struct buf yaml, over;
    struct diags d;
    struct ruleset *set = ruleset_new();
    buf_init(&yaml, RULE_FILE_MAX);
    buf_init(&over, RULE_FILE_MAX);
    diags_init(&d);
    buf_addf(&yaml, "groups:\n");
    buf_addf(&over, "overrides:\n");
    for (int i = 0; i < n; i++) {
        if (i % 20 == 0)
            buf_addf(&yaml, "- name: g%d\n  interval: 1s\n  rules:\n", i / 20);
        buf_addf(&yaml, "  - alert: R%d\n    for: 1m\n    expr: '", i);
        if (i % 2)
            buf_addf(&yaml, "rate(c{g=\"%d\"}[1m])", i / 2 % GROUPS);
        else
            buf_addf(&yaml, "x{g=\"%d\"}", i / 2 % GROUPS);
        buf_addf(&yaml, " > 1e9'\n");
        buf_addf(&over, "- rule: g%d/R%d\n  set: {evaluate: arrival}\n", i / 20, i);
    }
    if (!set || ruleset_add(set, "bench.yml", buf_cstr(&yaml), yaml.len, &d) < 0)
        fail("the rules are not accepted");
    if (arrival && ruleset_override(set, "over.yml", buf_cstr(&over), over.len, &d) < 0)
        fail("the overrides are not accepted");
    diags_done(&d);
    buf_done(&yaml);
    buf_done(&over);
    return set;
}

static void make_series(struct memory_source *m, uint32_t *id)
{
    size_t n = 0;
    for (int g = 0; g < GROUPS; g++)
        for (int i = 0; i < 2 * MEMBERS; i++) {
            char group[12], member[12];
            snprintf(group, sizeof(group), "%d", g);
            snprintf(member, sizeof(member), "%d", i);
            const struct label l[] = {
                {LABEL_NAME, i % 2 ? "c" : "x"}, {"g", group}, {"instance", member}};
            struct labels s = {l, 3};
            if (memory_source_series(m, &s, &id[n++]) < 0)
                fail("no memory");
        }
}

static uint64_t evaluations;

static bool count(void *ctx, const struct rule_status *s)
{
    (void)ctx;
    evaluations += s->evaluations;
    if (s->missed)
        fail("an evaluation was missed");
    if (s->elements != MEMBERS)
        fail("a rule does not see its series");
    return true;
}

int main(int argc, char **argv)
{
    int n = argc > 1 ? atoi(argv[1]) : 1000, seconds = argc > 2 ? atoi(argv[2]) : 20;
    bool arrival = argc > 3 && atoi(argv[3]);
    static uint32_t id[GROUPS * MEMBERS * 2];
    size_t n_series = sizeof(id) / sizeof(id[0]);
    if (n < 1 || n > 50000 || seconds < 1 || seconds > 3600)
        fail("usage: rules [rules 1..50000] [seconds 1..3600] [arrival 0|1]");
    struct memory_source *m = memory_source_new();
    struct source src = memory_source_interface(m);
    struct engine *e = engine_new(&src, NULL);
    struct transitions ts;
    if (!e || engine_load(e, make_rules(n, arrival)) < 0)
        fail("no memory");
    make_series(m, id);
    double feed = 0, advance = 0, next = 0;
    uint64_t before = 0;
    for (int s = 0; s < WARM_S + seconds; s++) {
        int64_t t = T0 + s * 1000LL;
        if (s == WARM_S) {
            feed = advance = next = 0;
            evaluations = 0;
            engine_each_rule(e, count, NULL);
            before = evaluations;
        }
        for (size_t i = 0; i < n_series; i++)
            memory_source_add(m, id[i], t, (double)(s * (int)(i % 7)), NULL);
        double a = cpu_s();
        for (size_t i = 0; i < n_series; i++)
            engine_feed(e, id[i], t, false);
        double b = cpu_s();
        engine_watermark(e, t);
        if (engine_advance(e, t, &ts) < 0)
            fail("no memory");
        double c = cpu_s();
        for (int i = 0; i < 100; i++)
            if (engine_next(e) < t)
                fail("the engine wants to go back");
        next += cpu_s() - c;
        feed += b - a;
        advance += c - b;
    }
    evaluations = 0;
    engine_each_rule(e, count, NULL);
    evaluations -= before;
    printf("%d rules%s, %zu series, 1 s: %.2f us per rule evaluation, %.2f %% of a core; "
           "feed %.1f ns per sample; engine_next %.2f us\n",
        n, arrival ? " on arrival" : "", n_series, advance * 1e6 / (double)evaluations,
        100 * (advance + feed) / seconds, feed * 1e9 / (double)seconds / (double)n_series,
        next * 1e6 / (100.0 * seconds));
    engine_free(e);
    memory_source_free(m);
    return 0;
}

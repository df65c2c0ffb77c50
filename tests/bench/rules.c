// SPDX-License-Identifier: Apache-2.0
/*
 * What rules cost in the collector's pipeline: frames in, transitions out, on a virtual clock, so
 * that only work counts. Every service has 10 lat_bucket, 10 req_total and 10 conn.
 *
 *     rules mixed [rules, 1000] [seconds, 20] [batch|arrival]   CPU of a core, as if in real time
 *     rules delay [seconds, 20]       start of drain -> transition at 50,000 samples a second
 *     rules parts [series, 10000] [samples, 20] [word]   CPU per sample and bytes per series
 *     rules print [rules, 1000]       the rule file of `mixed`, for a peer
 *
 * Rules' cost is what the same frames cost more than without rules.
 */
#include "collector/pipeline.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define T0          1700000000000LL
#define PER_SERVICE 30
#define GROUP_RULES 100
#define AGENT_MAX   600 // services of one agent
#define SERVICES    333 // of `mixed`: 10,000 series

struct fleet {
    struct pipeline *p;
    size_t agents, services; // services of each agent
    int interval_ms;
    int64_t step; // next to send
    struct batch_sample *sample;
    double frame_s, advance_s; // CPU since fleet_reset
    size_t transitions;
};

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double mono_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fail(const char *what)
{
    fprintf(stderr, "rules: %s\n", what);
    exit(1);
}

// --- agents ------------------------------------------------------------------------------------

static void fleet_open(
    struct fleet *f, size_t agents, size_t services, int interval_ms, bool batch)
{
    struct pipeline_options o = {
        .engine = {.batch = batch, .elements_max = 4000000, .node_elements_max = 4000000},
        .store = {.retention_ms = 600000,
            .series_per_agent = (size_t)AGENT_MAX * PER_SERVICE,
            .series_max = 4000000,
            .bytes_per_agent = 1u << 30}};
    *f = (struct fleet){.agents = agents,
        .services = services,
        .interval_ms = interval_ms,
        .p = pipeline_new(&o, T0, 1000),
        .sample = calloc(services * PER_SERVICE, sizeof(*f->sample))};
    if (!f->p || !f->sample)
        fail("no memory");
}

static void fleet_close(struct fleet *f)
{
    pipeline_free(f->p);
    free(f->sample);
}

static void fleet_load(struct fleet *f, struct ruleset *set)
{
    if (pipeline_load(f->p, set) < 0)
        fail("no memory");
}

static const char *const METRIC[] = {"lat_bucket", "req_total", "conn"};
static const char *const LE[] = {
    "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "+Inf"};

static struct batch_declare *declares(struct fleet *f, size_t agent, struct arena *a)
{
    size_t n = f->services * PER_SERVICE;
    struct batch_declare *d = arena_alloc(a, n * sizeof(*d));
    for (size_t i = 0; d && i < n; i++) {
        struct wire_label *l = arena_alloc(a, 2 * sizeof(*l));
        char service[24], inst[8];
        size_t metric = i % PER_SERVICE / 10, member = i % 10;
        snprintf(service, sizeof(service), "s%05zu", agent * f->services + i / PER_SERVICE);
        snprintf(inst, sizeof(inst), "i%02zu", member);
        if (!l)
            return NULL;
        l[0] = metric ? (struct wire_label){"inst", arena_strndup(a, inst, strlen(inst))}
                      : (struct wire_label){"le", LE[member]};
        l[1] = (struct wire_label){"service", arena_strndup(a, service, strlen(service))};
        d[i] = (struct batch_declare){
            .id = (uint32_t)i + 1, .name = METRIC[metric], .labels = l, .n_labels = 2};
    }
    return d;
}

static uint64_t seed = 1;
static double noise(void)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (double)(seed >> 40) / (1 << 24);
}

// One agent's samples of a step. high: how many of its conn are above 1000.
static void values(struct fleet *f, size_t high)
{
    double step = (double)f->step;
    for (size_t i = 0; i < f->services * PER_SERVICE; i++) {
        size_t metric = i % PER_SERVICE / 10, member = i % 10;
        double v = noise();
        if (metric == 0)
            v = (step * 20 + v) * (double)(member + 1);
        else if (metric == 1)
            v = step * 50 + 50 * v;
        else if (high && high--)
            v += 2000;
        f->sample[i] = (struct batch_sample){
            .id = (uint32_t)i + 1, .kind = SAMPLE_VALUE, .value = 100 * v};
    }
}

static void frame(struct fleet *f, size_t agent, int64_t now_ms)
{
    struct batch_group g = {.interval_ms = (uint32_t)f->interval_ms,
        .tick = f->step,
        .stamp_ms = now_ms,
        .samples = f->sample,
        .n = f->services * PER_SERVICE};
    struct frame x = {.epoch = 1,
        .nonce = 1,
        .host = "host",
        .version = "1",
        .received_ms = now_ms,
        .batch = {
            .seq = (uint64_t)f->step + 1, .wall_ms = now_ms, .groups = &g, .n_groups = 1}};
    char host[24];
    snprintf(host, sizeof(host), "h%zu", agent);
    x.host = host;
    memcpy(x.agent_id, &agent, sizeof(agent));
    arena_init(&x.arena, 0);
    if (f->step == 0) {
        x.batch.declares = declares(f, agent, &x.arena);
        x.batch.n_declares = g.n;
        if (!x.batch.declares)
            fail("no memory");
    }
    double start = cpu_s();
    pipeline_frame(f->p, &x, now_ms, now_ms - T0 + 1000);
    f->frame_s += cpu_s() - start;
    arena_done(&x.arena);
}

static void on_notice(void *ctx, struct notice *n)
{
    ((struct fleet *)ctx)->transitions++;
    notice_free(n);
}

static void advance(struct fleet *f, int64_t now_ms)
{
    double start = cpu_s();
    pipeline_advance(f->p, now_ms, now_ms - T0 + 1000, on_notice, f);
    f->advance_s += cpu_s() - start;
}

// All agents at one instant, as scraped by a peer, and what is due then.
static void fleet_step(struct fleet *f)
{
    int64_t now_ms = T0 + f->step * f->interval_ms;
    for (size_t i = 0; i < f->agents; i++) {
        values(f, 0);
        frame(f, i, now_ms);
    }
    advance(f, now_ms);
    f->step++;
}

static void fleet_run(struct fleet *f, int steps)
{
    for (int i = 0; i < steps; i++)
        fleet_step(f);
}

static void fleet_reset(struct fleet *f)
{
    f->frame_s = f->advance_s = 0;
    f->transitions = 0;
}

// --- rules -------------------------------------------------------------------------------------

static void expression(struct buf *b, int i)
{
    char s[16];
    snprintf(s, sizeof(s), "s%05d", i / 10 % SERVICES);
    switch (i % 10) {
    case 0: buf_addf(b, "conn{service=\"%s\"}", s); break;
    case 1:
        buf_addf(b,
            "rate(req_total{service=\"%s\",inst=\"i00\"}[5m]) / on (service)"
            " rate(req_total{service=\"%s\",inst=\"i01\"}[5m])",
            s, s);
        break;
    case 2: buf_addf(b, "avg_over_time(conn{service=\"%s\"}[5m])", s); break;
    case 3: buf_addf(b, "max_over_time(conn{service=\"%s\"}[5m])", s); break;
    case 4:
        buf_addf(b, "quantile_over_time(0.95, conn{service=\"%s\",inst=\"i00\"}[5m])", s);
        break;
    case 5:
        buf_addf(b,
            "histogram_quantile(0.95, sum by (le) (rate(lat_bucket{service=\"%s\"}[5m])))", s);
        break;
    case 6: buf_addf(b, "sum by (service) (rate(req_total{service=\"%s\"}[5m]))", s); break;
    case 7: buf_addf(b, "sum(rate(req_total{service=\"%s\"}[1m]))", s); break;
    case 8:
        buf_addf(b, "conn{service=\"%s\"} / on (service, inst) (req_total{service=\"%s\"} + 1)",
            s, s);
        break;
    default: buf_addf(b, "-rate(req_total{service=\"%s\"}[1m])", s); break;
    }
}

// Every tenth is a recording rule; the alerts never hold, and no two have one threshold.
static void rule_text(struct buf *b, int n, bool arrival, struct buf *over)
{
    buf_addf(b, "groups:\n");
    buf_addf(over, "overrides:\n");
    for (int i = 0; i < n; i++) {
        if (i % GROUP_RULES == 0)
            buf_addf(b, "- name: g%d\n  interval: 1s\n  rules:\n", i / GROUP_RULES);
        if (i % 10 == 7)
            buf_addf(
                b, "  - record: service:req:rate1m\n    labels: {n: \"%d\"}\n    expr: '", i);
        else
            buf_addf(b, "  - alert: R%d\n    for: 1m\n    expr: '", i);
        expression(b, i);
        buf_addf(b, i % 10 == 7 ? "'\n" : " > 1e12 + %d'\n", i);
        if (arrival && i % 10 != 7)
            buf_addf(over, "- rule: g%d/R%d\n  set: {evaluate: arrival}\n", i / GROUP_RULES, i);
    }
}

static struct ruleset *ruleset_of(const char *text, size_t len, const struct buf *over)
{
    struct diags d;
    struct ruleset *set = ruleset_new();
    diags_init(&d);
    if (!set || ruleset_add(set, "bench.yml", text, len, &d) < 0 || d.errors)
        fail("the rules are not accepted");
    if (over && ruleset_override(set, "over.yml", (const char *)over->data, over->len, &d) < 0)
        fail("the overrides are not accepted");
    diags_done(&d);
    return set;
}

struct counts {
    uint64_t evaluations, missed;
    size_t wrong;
};
static bool count(void *ctx, const struct rule_status *s)
{
    struct counts *c = ctx;
    c->evaluations += s->evaluations;
    c->missed += s->missed;
    if (*s->error) {
        c->wrong++;
        fprintf(stderr, "rules: %s\n", s->error);
    }
    c->wrong += !s->elements;
    return c->wrong < 3;
}

static struct counts counted(const struct fleet *f)
{
    struct counts c = {0};
    engine_each_rule(pipeline_engine(f->p), count, &c);
    return c;
}

static void mixed(int n, int seconds, const char *how)
{
    struct fleet bare, f;
    struct buf text, over;
    bool arrival = !strcmp(how, "arrival");
    buf_init(&text, RULE_FILE_MAX);
    buf_init(&over, RULE_FILE_MAX);
    rule_text(&text, n, arrival, &over);
    fleet_open(&bare, 9, SERVICES / 9, 1000, false);
    fleet_run(&bare, 30);
    fleet_reset(&bare);
    fleet_run(&bare, seconds);
    fleet_open(&f, 9, SERVICES / 9, 1000, !strcmp(how, "batch"));
    fleet_load(&f, ruleset_of(buf_cstr(&text), text.len, arrival ? &over : NULL));
    fleet_run(&f, 310);
    fleet_reset(&f);
    struct counts before = counted(&f);
    fleet_run(&f, seconds);
    struct counts after = counted(&f);
    if (after.wrong)
        fail("a rule has no result");
    struct plan_stats st;
    engine_plan_stats(pipeline_engine(f.p), &st);
    double told = f.frame_s - bare.frame_s, ran = f.advance_s - bare.advance_s;
    double evaluations = (double)(after.evaluations - before.evaluations);
    printf("%d mixed rules%s%s, %zu series, 1 s: %.2f %% of a core (marking %.2f, evaluation "
           "%.2f; storing the frames %.2f besides), %.2f us per rule evaluation, %llu missed, "
           "%zu leaves of %zu nodes, %.1f MiB\n",
        n, *how ? ", " : "", how, f.agents * f.services * PER_SERVICE,
        100 * (told + ran) / seconds, 100 * told / seconds, 100 * ran / seconds,
        100 * (bare.frame_s + bare.advance_s) / seconds, 1e6 * (told + ran) / evaluations,
        (unsigned long long)after.missed, st.leaves, st.nodes, (double)st.bytes / (1 << 20));
    buf_done(&text);
    buf_done(&over);
    fleet_close(&bare);
    fleet_close(&f);
}

// --- delay -------------------------------------------------------------------------------------

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct drains {
    double wall[20000], cpu[20000];
    size_t n;
};

static void print_drains(const char *what, struct drains *d)
{
    if (!d->n)
        fail("nothing was measured");
    qsort(d->wall, d->n, sizeof(d->wall[0]), by_value);
    qsort(d->cpu, d->n, sizeof(d->cpu[0]), by_value);
    printf("  %-44s %.3f  %.3f  %.3f      %.3f  %.3f   (%zu)\n", what, d->wall[d->n / 2],
        d->wall[d->n * 99 / 100], d->wall[d->n - 1], d->cpu[d->n / 2], d->cpu[d->n * 99 / 100],
        d->n);
}

// 50 agents of 990 series, a frame each 20 ms; 1,000 mixed rules, and on arrival a threshold over
// all conn. In every frame of each other second other elements of it begin to hold.
static void delay(int seconds)
{
    static struct drains arrival, tick;
    static const char ALERT[] =
        "- name: own\n  interval: 1s\n  rules:\n"
        "  - alert: Now\n    expr: conn > 100000\n"
        "    annotations: {summary: '{{ $labels.inst }} {{ $value }}'}\n";
    static const char OVER[] = "overrides:\n- rule: own/Now\n  set: {evaluate: arrival}\n";
    struct fleet f;
    struct buf text, over;
    buf_init(&text, RULE_FILE_MAX);
    buf_init(&over, RULE_FILE_MAX);
    rule_text(&text, 1000, false, &over);
    buf_reset(&over);
    buf_addf(&text, "%s", ALERT);
    buf_addf(&over, "%s", OVER);
    fleet_open(&f, 50, 33, 1000, false);
    fleet_load(&f, ruleset_of(buf_cstr(&text), text.len, &over));
    for (int s = 0; s < seconds + 310; s++) {
        for (size_t a = 0; a < f.agents; a++) {
            int64_t now_ms = T0 + s * 1000LL + (int64_t)a * 20;
            values(&f, s > 5 && s % 2 ? 3 : 0);
            double start = mono_s();
            fleet_reset(&f);
            frame(&f, a, now_ms);
            if (pipeline_next(f.p) <= now_ms)
                advance(&f, now_ms);
            double took = (mono_s() - start) * 1e3;
            // No agent's frame is at a full second but the first's: the grid waits for its grace.
            struct drains *d = a == 13 ? &tick : f.transitions ? &arrival : NULL;
            if (s < 310 || !d || d->n == 20000)
                continue;
            d->wall[d->n] = took;
            d->cpu[d->n++] = (f.frame_s + f.advance_s) * 1e3;
        }
        f.step++;
    }
    printf("start of drain -> transition, ms; 50 agents, 49,500 samples/s, 1,001 rules\n"
           "  %-44s %s\n",
        "", "median p99    max, wall   median p99, CPU");
    print_drains("a frame of 990 samples, on arrival", &arrival);
    print_drains("a frame and the tick of all rules", &tick);
    buf_done(&text);
    buf_done(&over);
    fleet_close(&f);
}

// --- parts -------------------------------------------------------------------------------------

static void part(const char *expr, size_t reads, struct fleet *bare, int steps)
{
    struct fleet f;
    struct buf text;
    struct plan_stats st;
    buf_init(&text, RULE_FILE_MAX);
    buf_addf(&text,
        "groups:\n- name: g\n  interval: %dms\n  rules:\n  - alert: A\n    expr: '%s'\n",
        bare->interval_ms, expr);
    fleet_open(&f, bare->agents, bare->services, bare->interval_ms, false);
    fleet_load(&f, ruleset_of(buf_cstr(&text), text.len, NULL));
    fleet_run(&f, 300000 / f.interval_ms + 3);
    fleet_reset(&f);
    fleet_run(&f, steps);
    if (counted(&f).wrong)
        fail("a rule has no result");
    engine_plan_stats(pipeline_engine(f.p), &st);
    double told = f.frame_s - bare->frame_s, ran = f.advance_s - bare->advance_s;
    double per = 1e9 / steps / (double)reads;
    printf("  %-64s %6.0f %6.0f %7.0f\n", expr, told * per, ran * per,
        (double)st.bytes / (double)reads);
    fflush(stdout);
    buf_done(&text);
    fleet_close(&f);
}

static void parts(int n, int steps, const char *only)
{
    static const char *const EXPR[] = {"conn > 1e12",
        "rate(req_total{inst=~\"i0[0-4]\"}[5m]) / on (service, inst) "
        "rate(req_total{inst=~\"i0[0-4]\"}[5m] offset 1s) > 1e12",
        "avg_over_time(conn[5m]) > 1e12", "max_over_time(conn[5m]) > 1e12",
        "quantile_over_time(0.95, conn[5m]) > 1e12",
        "histogram_quantile(0.95, sum by (le, service) (rate(lat_bucket[5m]))) > 1e12",
        "sum by (service) (rate(req_total[5m])) > 1e12"};
    size_t services = (size_t)n / PER_SERVICE, agents = services / AGENT_MAX + 1;
    int interval_ms = n > 200000 ? 10000 : 1000; // or five minutes of it do not fit into memory
    struct fleet bare;
    fleet_open(&bare, agents, services / agents, interval_ms, false);
    fleet_run(&bare, 10);
    fleet_reset(&bare);
    fleet_run(&bare, steps);
    services = bare.services * agents;
    printf(
        "%zu series every %d s: ns of CPU per sample read, marking and evaluation; bytes per "
        "series read\n",
        services * PER_SERVICE, interval_ms / 1000);
    for (size_t i = 0; i < sizeof(EXPR) / sizeof(EXPR[0]); i++)
        if (strstr(EXPR[i], only))
            part(EXPR[i], services * 10, &bare, steps);
    fleet_close(&bare);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    int a = argc > 2 ? atoi(argv[2]) : 0, b = argc > 3 ? atoi(argv[3]) : 20;
    if (b < 1 || b > 3600 || a < 0 || a > 3000000)
        fail("a number is out of range");
    if (!strcmp(what, "mixed"))
        mixed(a ? a : 1000, b, argc > 4 ? argv[4] : "");
    else if (!strcmp(what, "delay"))
        delay(a ? a : 20);
    else if (!strcmp(what, "parts"))
        parts(a ? a : 10000, b, argc > 4 ? argv[4] : "");
    else if (!strcmp(what, "print")) {
        struct buf text, over;
        buf_init(&text, RULE_FILE_MAX);
        buf_init(&over, RULE_FILE_MAX);
        rule_text(&text, a ? a : 1000, false, &over);
        fwrite(text.data, 1, text.len, stdout);
        buf_done(&text);
        buf_done(&over);
    } else {
        fail("usage: rules mixed|delay|parts|print [number] [seconds] [batch|arrival]");
    }
    return 0;
}

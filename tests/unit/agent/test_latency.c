// SPDX-License-Identifier: Apache-2.0
// Buckets against the wire's own definition, reading of memory that the test writes, kernels without
// the tracepoints, then a real service with planted delays.
#include "agent/demand.h"
#include "agent/kernel.h"
#include "agent/latency.h"
#include "agent/latency_table.h"
#include "agent/listen.h"
#include "tests/lib/run.h"
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int32_t wire_index(long double s)
{
    return (int32_t)ceill(log2l(s) * (1 << WIRE_SCALE));
}

static void buckets(void)
{
    uint64_t wrong = 0, seed = 1;

    for (int i = 0; i < 2000000; i++) {
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        uint64_t ns = seed >> (25 + seed % 31);
        if (ns < LATENCY_SHORTEST || ns > LATENCY_LONGEST)
            continue;
        wrong += LATENCY_INDEX + (int32_t)latency_bucket(ns) != wire_index(ns / 1e9L);
    }
    CU_ASSERT_EQUAL(wrong, 0);
    // Both sides of every bound.
    for (int i = LATENCY_INDEX; i < 9 * 16; i++) {
        uint64_t ns = (uint64_t)floorl(exp2l(i / 16.0L) * 1e9L);
        if (ns <= LATENCY_SHORTEST)
            continue;
        CU_ASSERT_EQUAL(LATENCY_INDEX + (int32_t)latency_bucket(ns), i);
        CU_ASSERT_EQUAL(LATENCY_INDEX + (int32_t)latency_bucket(ns + 1), i + 1);
    }
    CU_ASSERT_EQUAL(latency_bucket(0), latency_bucket(LATENCY_SHORTEST));
    CU_ASSERT_EQUAL(latency_bucket(UINT64_MAX), latency_bucket(LATENCY_LONGEST));
    CU_ASSERT_TRUE(latency_bucket(LATENCY_LONGEST) < LATENCY_BUCKETS);
    CU_ASSERT_EQUAL(LATENCY_INDEX + (int32_t)latency_bucket(1000000000), 0); // one second
}

static void reading(void)
{
    static struct latency_slot slot;
    int32_t index[LATENCY_BUCKETS];
    uint64_t count[LATENCY_BUCKETS];
    struct wire_histogram h;

    CU_ASSERT_EQUAL(latency_read(&slot, index, count, &h), 0);
    CU_ASSERT_EQUAL(h.n, 0);
    slot.count[latency_bucket(2000000)] = 5;
    slot.count[latency_bucket(1000000000)] = 2;
    slot.sum_ns = 2010000000;
    CU_ASSERT_EQUAL(latency_read(&slot, index, count, &h), 7);
    CU_ASSERT_EQUAL(h.n, 2);
    CU_ASSERT_EQUAL(h.scale, WIRE_SCALE);
    CU_ASSERT_EQUAL(h.index[0], wire_index(0.002L));
    CU_ASSERT_EQUAL(h.count[0], 5);
    CU_ASSERT_EQUAL(h.index[1], 0);
    CU_ASSERT_DOUBLE_EQUAL(h.sum, 2.01, 1e-12);
}

static void old_kernel(void)
{
    // A description of types with none in it: magic, version, length of the header, no types, and a
    // string section of one byte.
    static const uint8_t none[] = {
        0x9f, 0xeb, 1, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0};
    char path[300], why[160] = "";
    snprintf(path, sizeof(path), "%s/vmlinux", test_tmpdir());
    int rc = kernel_check(path, KERNEL_LATENCY, why, sizeof(why));

    CU_ASSERT_NOT_EQUAL(why[0], '\0');
    if (rc == -ENOTSUP) { // a build without eBPF says so, and nothing else
        printf("    skipped: %s\n", why);
        return;
    }
    CU_ASSERT_EQUAL(rc, -ENOENT);
    FILE *f = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fwrite(none, 1, sizeof(none), f);
    fclose(f);
    CU_ASSERT_EQUAL(kernel_check(path, KERNEL_LATENCY, why, sizeof(why)), -ENOSYS);
    CU_ASSERT_PTR_NOT_NULL(strstr(why, "no tracepoint sk_data_ready"));
    CU_ASSERT_EQUAL(truncate(path, 10), 0);
    CU_ASSERT_EQUAL(kernel_check(path, KERNEL_LATENCY, why, sizeof(why)), -EINVAL);
}

// --- with services -------------------------------------------------------------------------------

struct world {
    struct env env;
    struct sampler listen, latency;
    int fd;
    uint16_t port;
    uint64_t seq;
    uint32_t duration, exchanges;
    bool ended; // a stale marker of the histogram
    uint64_t count;
    double value, sum;
    struct wire_histogram hist;
    int32_t index[LATENCY_BUCKETS];
    uint64_t counts[LATENCY_BUCKETS];
    uint32_t le_ids[3];
    double le[3]; // 0.05, 0.3, +Inf
};

static bool world_open(struct world *w)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);

    *w = (struct world){.env = {.loop = loop_new(),
                            .out = output_new(),
                            .clock = clock_system(),
                            .proc = "/proc",
                            .sys = "/sys",
                            .cgroup = test_tmpdir()}};
    w->listen = (struct sampler){.ops = &listen_sampler, .env = &w->env};
    w->latency = (struct sampler){.ops = &latency_sampler, .env = &w->env};
    w->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL_FATAL(bind(w->fd, (struct sockaddr *)&a, len), 0);
    CU_ASSERT_EQUAL_FATAL(listen(w->fd, 16), 0);
    getsockname(w->fd, (struct sockaddr *)&a, &len);
    w->port = ntohs(a.sin_port);
    if (listen_sampler.open(&w->listen) != 0) {
        printf("    skipped: %s\n", w->listen.reason);
        return false;
    }
    int64_t until = clock_mono_ns(&w->env.clock) + 5 * NS_PER_S;
    while (clock_mono_ns(&w->env.clock) < until && !listen_service(w->env.listen, w->port))
        loop_once(w->env.loop, 50);
    CU_ASSERT_PTR_NOT_NULL_FATAL(listen_service(w->env.listen, w->port));
    return true;
}

static void world_close(struct world *w)
{
    latency_sampler.close(&w->latency);
    listen_sampler.close(&w->listen);
    kernel_close(w->env.kernel);
    if (w->fd != -1)
        close(w->fd);
    output_free(w->env.out);
    loop_free(w->env.loop);
}

static void world_tick(struct world *w, int64_t now_ns)
{
    struct tick t = {.interval_ms = 1000, .now_ns = now_ns};
    char port[8];

    snprintf(port, sizeof(port), "%u", w->port);
    output_group(w->env.out, 1000, (int64_t)++w->seq, 0);
    latency_sampler.tick(&w->latency, &t);
    const struct batch *b = output_take(w->env.out, w->seq, 0, 0);
    for (size_t i = 0; i < b->n_declares; i++) {
        const struct batch_declare *d = &b->declares[i];
        bool mine = false;
        for (size_t k = 0; k < d->n_labels; k++)
            mine |= strcmp(d->labels[k].value, port) == 0;
        if (mine && strcmp(d->name, "tocsin_service_request_duration_seconds") == 0)
            w->duration = d->id;
        if (mine && strcmp(d->name, "tocsin_service_exchanges_total") == 0)
            w->exchanges = d->id;
        static const char *const bounds[] = {"0.05", "0.3", "+Inf"};
        for (size_t k = 0; mine && k < d->n_labels * 3; k++)
            if (strcmp(d->labels[k / 3].name, "le") == 0 &&
                strcmp(d->labels[k / 3].value, bounds[k % 3]) == 0)
                w->le_ids[k % 3] = d->id;
    }
    for (size_t g = 0; g < b->n_groups; g++)
        for (size_t i = 0; i < b->groups[g].n; i++) {
            const struct batch_sample *s = &b->groups[g].samples[i];
            if (s->id == w->exchanges && s->kind == SAMPLE_VALUE)
                w->value = s->value;
            for (int k = 0; k < 3; k++)
                if (w->le_ids[k] && s->id == w->le_ids[k] && s->kind == SAMPLE_VALUE)
                    w->le[k] = s->value;
            if (s->id != w->duration || !w->duration)
                continue;
            w->ended |= s->kind == SAMPLE_STALE;
            if (s->kind != SAMPLE_HISTOGRAM)
                continue;
            w->hist = *s->hist;
            memcpy(w->index, s->hist->index, s->hist->n * sizeof(*w->index));
            memcpy(w->counts, s->hist->count, s->hist->n * sizeof(*w->counts));
        }
}

static void follows_services(void)
{
    static struct latency_shared memory;
    struct world w;

    if (!world_open(&w))
        goto out;
    CU_ASSERT_EQUAL_FATAL(latency_attach(&w.latency, &memory), 0);
    world_tick(&w, NS_PER_S);
    struct stat st;
    CU_ASSERT_EQUAL_FATAL(stat("/proc/self/ns/net", &st), 0);
    uint64_t key = latency_port_key((uint32_t)st.st_ino, w.port);
    struct latency_port *place = latency_port_find(&memory, key);
    CU_ASSERT_PTR_NOT_NULL_FATAL(place);
    unsigned slot = place->slot;
    CU_ASSERT_EQUAL(w.duration, 0); // no traffic, no series
    memory.slots[slot].count[latency_bucket(20000000)] = 3;
    memory.slots[slot].sum_ns = 60000000;
    world_tick(&w, 2 * NS_PER_S);
    CU_ASSERT_NOT_EQUAL(w.duration, 0);
    CU_ASSERT_EQUAL(w.value, 3);
    CU_ASSERT_EQUAL(w.hist.n, 1);
    CU_ASSERT_EQUAL(w.index[0], wire_index(0.02L));
    CU_ASSERT_PTR_EQUAL(latency_port_find(&memory, key), place);
    CU_ASSERT_FALSE(w.ended);

    // Rules name two bounds: from then on what the kernel counts at them is shown, and all since.
    struct wire_threshold wanted[] = {
        {.name = "tocsin_service_request_duration_seconds", .value = 0.3},
        {.name = "tocsin_service_request_duration_seconds", .value = 0.05}};
    struct demand demand = {.version = 1, .thresholds = wanted, .n_thresholds = 2};
    w.env.demand = &demand;
    world_tick(&w, 3 * NS_PER_S);
    CU_ASSERT_EQUAL(memory.thresholds_ns[0], 50000000);
    CU_ASSERT_EQUAL(memory.thresholds_ns[1], 300000000);
    CU_ASSERT_EQUAL(memory.thresholds_ns[2], LATENCY_NO_THRESHOLD);
    CU_ASSERT_EQUAL(w.le[0] + w.le[1] + w.le[2], 0);
    memory.slots[slot].at_most[0] = 4;
    memory.slots[slot].at_most[1] = 5;
    memory.slots[slot].count[latency_bucket(40000000)] = 4;
    memory.slots[slot].count[latency_bucket(250000000)] = 5;
    memory.slots[slot].count[latency_bucket(400000000)] = 6;
    world_tick(&w, 4 * NS_PER_S);
    CU_ASSERT_EQUAL(w.le[0], 4);
    CU_ASSERT_EQUAL(w.le[1], 9);
    CU_ASSERT_EQUAL(w.le[2], 15); // +Inf; the three of before do not count

    // Two seconds of CPU in ten: more than is allowed.
    memory.cost.sampled_runs = 1;
    memory.cost.sampled_ns = 2 * NS_PER_S / KERNEL_SAMPLED;
    world_tick(&w, 11 * NS_PER_S);
    CU_ASSERT_TRUE(w.ended);
    CU_ASSERT_PTR_NULL(latency_port_find(&memory, key));
    CU_ASSERT_FALSE(w.latency.available);
    CU_ASSERT_PTR_NOT_NULL(strstr(w.latency.reason, "20.0 % of a core"));
    CU_ASSERT_TRUE(w.latency.cpu_ns >= 2 * NS_PER_S);
out:
    world_close(&w);
}

// A byte n is answered after n milliseconds.
static void *serve(void *ctx)
{
    struct world *w = ctx;
    int fd = accept(w->fd, NULL, NULL);
    uint8_t n;

    while (recv(fd, &n, 1, 0) == 1) {
        usleep(n * 1000u);
        send(fd, &n, 1, MSG_NOSIGNAL);
    }
    close(fd);
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

#define MANY 500
static double percentile(double *v, size_t n, double q)
{
    qsort(v, n, sizeof(*v), by_value);
    return v[(size_t)(q * (double)(n - 1))];
}

static int32_t hist_percentile(
    const struct world *w, const uint64_t *before, size_t n, double q)
{
    uint64_t rank = (uint64_t)(q * (double)(n - 1)) + 1, seen = 0;

    for (uint32_t i = 0; i < w->hist.n; i++) {
        seen += w->counts[i] - before[w->index[i] - LATENCY_INDEX];
        if (seen >= rank)
            return w->index[i];
    }
    return INT32_MAX;
}

static void planted(struct world *w, int fd, uint8_t ms, size_t n)
{
    uint64_t before[LATENCY_BUCKETS] = {0};
    static double took[MANY];
    double had = w->value;

    for (uint32_t i = 0; i < w->hist.n; i++)
        before[w->index[i] - LATENCY_INDEX] = w->counts[i];
    for (size_t i = 0; i < n; i++) {
        uint8_t got = ms;
        int64_t begun = clock_mono_ns(&w->env.clock);
        CU_ASSERT_EQUAL_FATAL(send(fd, &got, 1, 0), 1);
        CU_ASSERT_EQUAL_FATAL(recv(fd, &got, 1, 0), 1);
        took[i] = (double)(clock_mono_ns(&w->env.clock) - begun) / 1e9;
    }
    // The last reply may be here before the program that counts it ran.
    int64_t until = clock_mono_ns(&w->env.clock) + 2 * NS_PER_S;
    do
        world_tick(w, clock_mono_ns(&w->env.clock));
    while (w->value < had + (double)n && clock_mono_ns(&w->env.clock) < until);
    CU_ASSERT_EQUAL(w->value, had + (double)n);
    double p50 = percentile(took, n, 0.5), p99 = percentile(took, n, 0.99);
    int32_t k50 = hist_percentile(w, before, n, 0.5), k99 = hist_percentile(w, before, n, 0.99);
    printf("    %u ms: client p50 %.6f p99 %.6f s = buckets %d %d; kernel %d %d\n", ms, p50,
        p99, wire_index(p50), wire_index(p99), k50, k99);
    // The client's p99 is as much its own wait for a CPU, which this host may not have free.
    // And where nothing is planted, half of what it sees is its own half of the way.
    CU_ASSERT_TRUE(ms == 0 || abs(k50 - wire_index(p50)) <= (ms < 20 ? 2 : 1));
    CU_ASSERT_TRUE(k50 <= wire_index(p50) + 1);
    CU_ASSERT_TRUE(k99 <= wire_index(p99) + 1);
}

static void real_service(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct world w;
    pthread_t server;

    if (!world_open(&w))
        goto out;
    w.env.kernel = kernel_open(&w.env);
    if (latency_sampler.open(&w.latency) != 0) {
        CU_ASSERT_NOT_EQUAL(w.latency.reason[0], '\0');
        printf("    skipped: %s\n", w.latency.reason);
        goto out;
    }
    world_tick(&w, clock_mono_ns(&w.env.clock));
    CU_ASSERT_EQUAL_FATAL(pthread_create(&server, NULL, serve, &w), 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    a.sin_port = htons(w.port);
    CU_ASSERT_EQUAL_FATAL(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    planted(&w, fd, 0, MANY);
    planted(&w, fd, 2, 200);
    planted(&w, fd, 20, 40);
    planted(&w, fd, 200, 4);
    close(fd);
    pthread_join(server, NULL);
out:
    world_close(&w);
}

static const struct test TESTS[] = {
    {"the kernel's buckets are the wire's", buckets}, {"memory becomes a histogram", reading},
    {"a kernel without the tracepoints is a reason", old_kernel},
    {"slots follow services, and too dear is taken out", follows_services},
    {"planted delays of a real service", real_service}, // last: it gives up capabilities
};

int main(void)
{
    return test_main("latency", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}

// SPDX-License-Identifier: Apache-2.0
// The sampler on memory that the test writes as the kernel would: slots and who gets them, one writer
// for each series, destinations that come, share a name, make room; then the kernel itself.
#include "agent/carried.h"
#include "agent/demand.h"
#include "agent/dependency.h"
#include "agent/kernel.h"
#include "agent/listen.h"
#include "agent/turnover.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define OWN   4026531840u
#define OTHER 4026532777u
#define DESTS 8
#define SEEN  512

// --- what the sampler writes ---------------------------------------------------------------------

struct seen {
    char name[300]; // metric{label=value,...}
    double value;   // of a histogram its count
    double sum;
    int64_t last; // the tick it was written in
    bool ended;
};

struct world {
    struct env env;
    struct sampler sampler;
    struct connection_memory memory;
    struct seen seen[SEEN]; // by id
    int64_t tick;
};

static void world_init(struct world *w, uint32_t n_dests)
{
    *w = (struct world){.env = {.out = output_new(),
                            .clock = clock_system(),
                            .proc = "/proc",
                            .sys = "/sys",
                            .cgroup = test_tmpdir()},
        .memory = {.head = calloc(1, sizeof(struct connection_head)),
            .ports = calloc(CONNECTION_PORTS, sizeof(struct connection_port)),
            .dests = calloc(n_dests + 1, sizeof(struct connection_dest)),
            .n_dests = n_dests,
            .own_netns = OWN}};
    w->sampler = (struct sampler){.ops = &turnover_sampler, .env = &w->env, .available = true};
    CU_ASSERT_EQUAL_FATAL(turnover_attach(&w->sampler, &w->memory), 0);
}

static void world_done(struct world *w)
{
    turnover_sampler.close(&w->sampler);
    CU_ASSERT_PTR_NULL(w->env.turnover);
    output_free(w->env.out);
    free(w->memory.head);
    free(w->memory.ports);
    free(w->memory.dests);
}

static void read_batch(struct world *w)
{
    const struct batch *b = output_take(w->env.out, (uint64_t)w->tick, 0, 0);

    for (size_t i = 0; i < b->n_declares; i++) {
        const struct batch_declare *d = &b->declares[i];
        CU_ASSERT_FATAL(d->id < SEEN);
        struct seen *s = &w->seen[d->id];
        *s = (struct seen){0};
        int n = snprintf(s->name, sizeof(s->name), "%s", d->name);
        for (size_t k = 0; k < d->n_labels; k++)
            n += snprintf(s->name + n, sizeof(s->name) - (size_t)n, " %s=%s", d->labels[k].name,
                d->labels[k].value);
    }
    for (size_t g = 0; g < b->n_groups; g++)
        for (size_t i = 0; i < b->groups[g].n; i++) {
            const struct batch_sample *s = &b->groups[g].samples[i];
            struct seen *at = &w->seen[s->id];
            at->ended |= s->kind == SAMPLE_STALE;
            if (s->kind == SAMPLE_STALE)
                continue;
            at->last = w->tick;
            at->value = s->value;
            if (s->kind != SAMPLE_HISTOGRAM)
                continue;
            at->value = 0;
            at->sum = s->hist->sum;
            for (uint32_t k = 0; k < s->hist->n; k++)
                at->value += (double)s->hist->count[k];
        }
}

static void world_tick(struct world *w, int64_t seconds)
{
    for (int64_t i = 0; i < seconds; i++) {
        struct tick t = {.interval_ms = 1000, .now_ns = ++w->tick * NS_PER_S};
        output_group(w->env.out, 1000, w->tick, w->tick * 1000);
        w->sampler.ops->tick(&w->sampler, &t);
        read_batch(w);
    }
}

// The series alive whose name has all of these words; NULL = none.
static const struct seen *find(const struct world *w, const char *name, const char *labels)
{
    for (size_t i = 0; i < SEEN; i++) {
        const struct seen *s = &w->seen[i];
        if (!s->ended && strncmp(s->name, name, strlen(name)) == 0 &&
            s->name[strlen(name)] == ' ' && strstr(s->name, labels))
            return s;
    }
    return NULL;
}

static double value(const struct world *w, const char *name, const char *labels)
{
    const struct seen *s = find(w, name, labels);

    return s ? s->value : NAN;
}

#define OPENED "tocsin_service_connections_opened_total"
#define CLOSED "tocsin_service_connections_closed_total"
#define LIFE   "tocsin_service_connection_duration_seconds"
#define DEST   "tocsin_dependency_connections_opened_total"
#define FAILED "tocsin_dependency_connect_failures_total"

// --- as the kernel does --------------------------------------------------------------------------

static struct connection_port *port_at(struct world *w, uint32_t netns, uint16_t port)
{
    int slot = connection_port_slot(w->memory.head, connection_port_key(netns, port), 1);

    return slot < 0 ? NULL : &w->memory.ports[slot];
}

static struct connection_dest *dest_at(
    struct world *w, uint32_t slot, uint32_t address, uint16_t port)
{
    struct connection_dest *d = &w->memory.dests[slot + 1];

    w->memory.head->dests[slot] = (uint64_t)address << 16 | port;
    d->address[2] = htonl(0xffff);
    d->address[3] = htonl(address);
    d->port = port;
    d->named = 1;
    return d;
}

// --- tests ---------------------------------------------------------------------------------------

static void buckets(void)
{
    static __u64 counts[CONNECTION_BUCKETS];
    int32_t index[CONNECTION_BUCKETS];
    uint64_t count[CONNECTION_BUCKETS], last = 0;
    struct wire_histogram h;

    for (int low = CONNECTION_CONNECT_LOW; low <= CONNECTION_LIFE_LOW; low += 6)
        for (uint64_t ns = 1; ns < UINT64_MAX / 3; ns += 1 + ns / 7) {
            uint32_t at = connection_bucket(ns, (uint32_t)low);
            CU_ASSERT_FATAL(at < CONNECTION_BUCKETS);
            if (ns >= 1ull << low && ns <= 1ull << (low + CONNECTION_OCTAVES)) {
                int32_t wanted = (int32_t)ceill(log2l(ns / 1e9L) * (1 << WIRE_SCALE));
                last += (int32_t)at + BUCKET_INDEX(low) != wanted;
            }
        }
    CU_ASSERT_EQUAL(last, 0);
    CU_ASSERT_EQUAL(connection_bucket(0, 16), connection_bucket(1 << 16, 16));
    counts[connection_bucket(1000000000, CONNECTION_LIFE_LOW)] = 3;
    connection_read(counts, 3000000000, CONNECTION_LIFE_LOW, index, count, &h);
    CU_ASSERT_EQUAL(h.n, 1);
    CU_ASSERT_EQUAL(h.index[0], 0); // one second
    CU_ASSERT_EQUAL(h.count[0], 3);
    CU_ASSERT_EQUAL(h.sum, 3);
}

static void port_slots(void)
{
    static struct connection_head h;
    int taken = 0;

    int first = connection_port_slot(&h, connection_port_key(OWN, 80), 0);
    CU_ASSERT_EQUAL(first, -1);
    first = connection_port_slot(&h, connection_port_key(OWN, 80), 1);
    CU_ASSERT_TRUE(first >= 0);
    CU_ASSERT_EQUAL(connection_port_slot(&h, connection_port_key(OWN, 80), 1), first);
    CU_ASSERT_NOT_EQUAL(connection_port_slot(&h, connection_port_key(OTHER, 80), 1), first);
    for (uint16_t port = 1000; port < 1000 + 2 * CONNECTION_PORTS; port++)
        taken += connection_port_slot(&h, connection_port_key(OWN, port), 1) >= 0;
    CU_ASSERT_TRUE(taken > CONNECTION_PORTS / 2 && taken <= CONNECTION_PORTS - 2);
    CU_ASSERT_EQUAL(connection_port_slot(&h, connection_port_key(OWN, 80), 1), first);
}

static void other_namespace(void)
{
    struct world w;
    char netns[32];

    world_init(&w, 0);
    snprintf(netns, sizeof(netns), "netns=%u", OTHER);
    struct connection_port *p = port_at(&w, OTHER, 5432);
    p->opened = 5;
    p->closed[CONNECTION_FIN] = 2;
    p->closed[CONNECTION_TIMEOUT] = 1;
    p->resets_received = 1;
    p->life[connection_bucket(2000000, CONNECTION_LIFE_LOW)] = 3;
    p->life_ns = 6000000;
    world_tick(&w, 1);
    CU_ASSERT_EQUAL(value(&w, OPENED, netns), 5);
    CU_ASSERT_PTR_NOT_NULL(find(&w, OPENED, "port=5432"));
    CU_ASSERT_PTR_NOT_NULL(find(&w, OPENED, "service="));
    CU_ASSERT_EQUAL(value(&w, CLOSED, "how=fin"), 2);
    CU_ASSERT_EQUAL(value(&w, CLOSED, "how=reset"), 0);
    CU_ASSERT_EQUAL(value(&w, CLOSED, "how=timeout"), 1);
    CU_ASSERT_EQUAL(value(&w, LIFE, netns), 3);
    CU_ASSERT_EQUAL(find(&w, LIFE, netns)->sum, 0.006);
    CU_ASSERT_EQUAL(value(&w, "tocsin_service_resets_received_total", netns), 1);
    CU_ASSERT_EQUAL(value(&w, "tocsin_service_resets_sent_total", netns), 0);

    // Quiet for a day, it ends, and what was open of it is nobody's.
    int slot = connection_port_slot(w.memory.head, connection_port_key(OTHER, 5432), 0);
    w.tick += TURNOVER_KEEP_NS / NS_PER_S - 2;
    world_tick(&w, 1);
    CU_ASSERT_PTR_NOT_NULL(find(&w, OPENED, netns));
    w.tick += 5;
    world_tick(&w, 1);
    CU_ASSERT_PTR_NULL(find(&w, OPENED, netns));
    CU_ASSERT_PTR_NULL(find(&w, CLOSED, netns));
    CU_ASSERT_PTR_NULL(find(&w, LIFE, netns));
    CU_ASSERT_EQUAL(w.memory.head->ports[slot], 0);
    CU_ASSERT_EQUAL(w.memory.head->port_turns[slot], 1);
    CU_ASSERT_EQUAL(w.memory.ports[slot].opened, 0);
    world_done(&w);
}

static void short_of_slots(void)
{
    struct world w;

    world_init(&w, 0);
    port_at(&w, OTHER, 1)->opened = 1;
    port_at(&w, OTHER, 2)->opened = 1;
    world_tick(&w, 50);
    port_at(&w, OTHER, 2)->opened++;
    world_tick(&w, 20);
    CU_ASSERT_PTR_NOT_NULL(find(&w, OPENED, "port=1 "));
    w.memory.head->refused++; // somebody found none
    world_tick(&w, 1);
    CU_ASSERT_EQUAL(value(&w, "tocsin_agent_events_lost_total", "source=tcp.connections"), 1);
    CU_ASSERT_PTR_NULL(find(&w, OPENED, "port=1 "));
    CU_ASSERT_PTR_NOT_NULL(find(&w, OPENED, "port=2 "));
    world_done(&w);
}

static void what_no_program_was_told_of(void)
{
    struct world w;
    const char *const lost = "tocsin_agent_events_lost_total";

    world_init(&w, 0);
    struct connection_head *h = w.memory.head;
    h->accepted = 7;
    turnover_compare(w.env.turnover, 7, 1000);
    h->accepted = 17;
    turnover_compare(w.env.turnover, 17, 1013);
    world_tick(&w, 1);
    CU_ASSERT_EQUAL(value(&w, lost, "source=tcp.connections"), 0); // one look is none
    h->accepted = 20;
    turnover_compare(w.env.turnover, 18, 1020); // some came between the two readings
    turnover_compare(w.env.turnover, 20, 1017); // four now: three are sure
    world_tick(&w, 1);
    CU_ASSERT_EQUAL(value(&w, lost, "source=tcp.connections"), 3);
    h->lost = 2;
    h->refused = 1;
    world_tick(&w, 1);
    CU_ASSERT_EQUAL(value(&w, lost, "source=tcp.connections"), 6);
    world_done(&w);
}

static void one_writer(void)
{
    struct world w;
    struct service service = {.port = 80, .name = "web"};
    struct carried c = {.service = &service};
    uint64_t opened, closed[CLOSED_HOWS];

    world_init(&w, 0);
    // Without tcp.listen and nobody to carry it, a port of our own is written here, after a moment.
    struct connection_port *p = port_at(&w, OWN, 80);
    p->opened = 10;
    CU_ASSERT_FALSE(turnover_take(w.env.turnover, 0, 80, &opened, closed)); // before a tick
    world_tick(&w, 2);
    CU_ASSERT_PTR_NULL(find(&w, OPENED, "port=80"));
    world_tick(&w, 3);
    CU_ASSERT_EQUAL(value(&w, OPENED, "port=80"), 10);

    // Somebody carries it: it takes the counts, and we do not write them any more.
    c.traffic.opened = 12; // two more than the kernel knows of
    c.traffic.closed[CLOSED_UNKNOWN] = 1;
    p->closed[CONNECTION_RESET] = 4;
    carried_count(&c, w.env.turnover, 0);
    CU_ASSERT_EQUAL(c.opened_shown, 12);
    CU_ASSERT_EQUAL(c.closed_shown[CLOSED_RESET], 4);
    CU_ASSERT_EQUAL(c.closed_shown[CLOSED_UNKNOWN], 1);
    world_tick(&w, 1);
    CU_ASSERT_NOT_EQUAL(find(&w, OPENED, "port=80")->last, w.tick);
    CU_ASSERT_EQUAL(find(&w, LIFE, "port=80")->last, w.tick);
    c.traffic.opened += 3; // it hears of some of them
    p->opened = 15;
    p->closed[CONNECTION_FIN] = 7;
    carried_count(&c, w.env.turnover, 0);
    CU_ASSERT_EQUAL(c.opened_shown, 17);
    CU_ASSERT_EQUAL(c.closed_shown[CLOSED_FIN], 7);
    // Now the kernel missed some: the larger of both.
    c.traffic.opened = 20;
    c.traffic.closed[CLOSED_FIN] = 9;
    c.traffic.closed[CLOSED_RESET] = 5;
    carried_count(&c, w.env.turnover, 0);
    CU_ASSERT_EQUAL(c.opened_shown, 20);
    CU_ASSERT_EQUAL(c.closed_shown[CLOSED_FIN], 9);
    CU_ASSERT_EQUAL(c.closed_shown[CLOSED_RESET], 5);
    CU_ASSERT_EQUAL(c.closed_shown[CLOSED_UNKNOWN], 1);

    // Too dear, the programs go: what is carried goes on from there.
    w.memory.head->cost.sampled_runs = 1;
    w.memory.head->cost.sampled_ns = 3 * NS_PER_S / KERNEL_SAMPLED;
    world_tick(&w, 20);
    CU_ASSERT_FALSE(w.sampler.available);
    CU_ASSERT_PTR_NOT_NULL(strstr(w.sampler.reason, "taken out of the kernel"));
    CU_ASSERT_PTR_NULL(find(&w, LIFE, "port=80"));
    carried_count(&c, w.env.turnover, 0);
    CU_ASSERT_EQUAL(c.opened_shown, 20);
    c.traffic.opened++;
    c.traffic.closed[CLOSED_RESET]++;
    carried_count(&c, w.env.turnover, 0);
    CU_ASSERT_EQUAL(c.opened_shown, 21);
    CU_ASSERT_EQUAL(c.closed_shown[CLOSED_RESET], 6);
    world_done(&w);
}

static void destinations(void)
{
    struct world w;

    world_init(&w, DESTS);
    struct connection_dest *d = dest_at(&w, 3, 0x0a000001, 5432);
    d->opened = 7;
    d->connect[connection_bucket(500000, CONNECTION_CONNECT_LOW)] = 7;
    d->connect_ns = 3500000;
    d->failed[CONNECTION_REFUSED] = 2;
    world_tick(&w, 1);
    CU_ASSERT_EQUAL(value(&w, DEST, "dest=10.0.0.1:5432"), 7);
    CU_ASSERT_EQUAL(value(&w, FAILED, "error=refused"), 2);
    CU_ASSERT_EQUAL(value(&w, FAILED, "error=timeout"), 0); // there before its first
    CU_ASSERT_PTR_NULL(find(&w, FAILED, "error=no_port"));
    CU_ASSERT_EQUAL(
        value(&w, "tocsin_dependency_connect_duration_seconds", "dest=10.0.0.1:5432"), 7);
    CU_ASSERT_PTR_NULL(find(&w, DEST, "dest=other"));

    // A key whose name is not written yet waits.
    w.memory.head->dests[5] = 99;
    d = dest_at(&w, 6, INADDR_LOOPBACK, 8080); // nobody known listens there
    d->opened = 1;
    d->failed[CONNECTION_NO_PORT] = 1;
    w.memory.dests[0].opened = 3;
    world_tick(&w, 5);
    CU_ASSERT_EQUAL(value(&w, DEST, "dest=127.0.0.1:8080"), 1);
    CU_ASSERT_EQUAL(value(&w, FAILED, "error=no_port"), 1);
    CU_ASSERT_EQUAL(value(&w, DEST, "dest=other"), 3);
    world_done(&w);
}

static void exact_at_bounds(void)
{
    struct wire_threshold asked[] = {
        {"tocsin_service_connection_duration_seconds", 0.3},
        {"tocsin_service_connection_duration_seconds", 0.1},
        {"tocsin_dependency_connect_duration_seconds", 0.001},
    };
    struct demand demand;
    struct world w;

    world_init(&w, DESTS);
    demand_init(&demand);
    struct connection_port *p = port_at(&w, OTHER, 80);
    struct connection_dest *d = dest_at(&w, 1, 0x0a000001, 80);
    p->opened = d->opened = 1;
    p->le[0] = 5; // before anybody asked
    world_tick(&w, 1);
    CU_ASSERT_PTR_NULL(find(&w, "tocsin_service_connection_duration_seconds_bucket", "le="));

    demand.thresholds = asked;
    demand.n_thresholds = 3;
    demand.version = 1;
    w.env.demand = &demand;
    world_tick(&w, 1);
    struct connection_head *h = w.memory.head;
    CU_ASSERT_EQUAL(h->connect_le_ns[0], 1000000);
    CU_ASSERT_EQUAL(connection_le_place(h->life_le_ns, 100000000), 0);
    CU_ASSERT_EQUAL(connection_le_place(h->life_le_ns, 100000001), 1);
    CU_ASSERT_EQUAL(connection_le_place(h->life_le_ns, 300000000), 1);
    CU_ASSERT_EQUAL(connection_le_place(h->life_le_ns, 300000001), 2);
    p->le[0] += 3;
    p->le[1] += 2;
    p->le[2] += 1;
    d->le[1] += 7;
    world_tick(&w, 1);
    const char *life = "tocsin_service_connection_duration_seconds_bucket";
    CU_ASSERT_EQUAL(value(&w, life, "le=0.1"), 3);
    CU_ASSERT_EQUAL(value(&w, life, "le=0.3"), 5);
    CU_ASSERT_EQUAL(value(&w, life, "le=+Inf"), 6);
    CU_ASSERT_EQUAL(value(&w, "tocsin_service_connection_duration_seconds_count", ""), 6);
    CU_ASSERT_EQUAL(
        value(&w, "tocsin_dependency_connect_duration_seconds_bucket", "le=0.001"), 0);
    CU_ASSERT_EQUAL(value(&w, "tocsin_dependency_connect_duration_seconds_count", ""), 7);

    // Other bounds of one: it begins anew, the other goes on.
    demand.thresholds = &asked[1];
    demand.n_thresholds = 2;
    demand.version = 2;
    world_tick(&w, 1);
    CU_ASSERT_PTR_NULL(find(&w, life, "le=0.3"));
    CU_ASSERT_EQUAL(value(&w, life, "le=0.1"), 0);
    CU_ASSERT_EQUAL(value(&w, "tocsin_dependency_connect_duration_seconds_count", ""), 7);
    world_done(&w);
}

static uint32_t moved_from, moved_to;
static void on_move(void *ctx, uint32_t from, uint32_t to)
{
    (void)ctx;
    moved_from = from;
    moved_to = to;
}

static double all_opened(const struct world *w)
{
    double sum = 0;

    for (size_t i = 0; i < SEEN; i++)
        if (!w->seen[i].ended && w->seen[i].last == w->tick &&
            strncmp(w->seen[i].name, DEST, strlen(DEST)) == 0)
            sum += w->seen[i].value;
    return sum;
}

static void dests_tick(struct world *w, struct dependencies *d, int64_t now_ns)
{
    w->tick++;
    output_group(w->env.out, 1000, w->tick, 0);
    dependencies_tick(d, &w->env, now_ns);
    read_batch(w);
}

static void making_room(void)
{
    struct world w;
    struct wire_label labels[DEPENDENCY_LABELS];

    world_init(&w, 0);
    struct dependencies *d;
    w.memory.n_dests = DESTS;
    w.memory.dests = realloc(w.memory.dests, (DESTS + 1) * sizeof(*w.memory.dests));
    memset(w.memory.dests, 0, (DESTS + 1) * sizeof(*w.memory.dests));
    d = dependencies_new(&w.memory, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(d);
    dependency_on_move(d, on_move, NULL);
    for (uint32_t i = 0; i < DESTS; i++)
        dest_at(&w, i, 0x0a000000 + i, 80)->opened = 100 + i;
    int64_t now = NS_PER_S;
    for (int i = 0; i < 2; i++, now += (DEPENDENCY_PERIOD_S + 1) * NS_PER_S) {
        dests_tick(&w, d, now);
    }
    // All are taken, but nobody waits.
    CU_ASSERT_EQUAL(all_opened(&w), 8 * 100 + 28);
    CU_ASSERT_TRUE(dependency_row(d, 1) > 0);
    CU_ASSERT_EQUAL(dependency_labels(d, dependency_row(d, 1), labels), 2);
    CU_ASSERT_STRING_EQUAL(labels[1].value, "10.0.0.0:80");

    // Somebody did not fit. 10.0.0.2 has no connects but is busy; 10.0.0.5 is the idle one.
    w.memory.dests[0].opened = 9;
    for (uint32_t i = 0; i < DESTS; i++)
        w.memory.dests[i + 1].opened += i == 2 || i == 5 ? 0 : 10;
    dependency_active(d, 3, 1000);
    struct connection_socket s = {.slot = 6, .turn = w.memory.head->dest_turns[5]};
    CU_ASSERT_EQUAL(connection_dest_index(w.memory.head, &s), 6);
    dests_tick(&w, d, now);
    CU_ASSERT_EQUAL(moved_from, 6);
    CU_ASSERT_EQUAL(moved_to, 0);
    CU_ASSERT_EQUAL(w.memory.head->dests[5], 0);
    CU_ASSERT_EQUAL(connection_dest_index(w.memory.head, &s), 0); // its connections are other's
    CU_ASSERT_PTR_NULL(find(&w, DEST, "dest=10.0.0.5:80"));
    CU_ASSERT_EQUAL(value(&w, DEST, "dest=10.0.0.2:80"), 102);
    CU_ASSERT_EQUAL(value(&w, DEST, "dest=other"), 9 + 105);
    CU_ASSERT_EQUAL(all_opened(&w), 8 * 100 + 28 + 60 + 9); // nothing is lost
    CU_ASSERT_EQUAL(dependency_row(d, 6), -1);

    // Of two addresses with one name (here: twice the same) the one that leaves moves to the other.
    dest_at(&w, 5, 0x0a000001, 80)->opened = 1;
    for (uint32_t i = 0; i < DESTS; i++)
        w.memory.dests[i + 1].opened += i == 5 ? 0 : 10;
    w.memory.dests[0].opened++;
    dests_tick(&w, d, now + NS_PER_S);
    CU_ASSERT_EQUAL(dependency_row(d, 6), dependency_row(d, 2));
    CU_ASSERT_EQUAL(value(&w, DEST, "dest=10.0.0.1:80"), 121 + 1);
    for (int i = 0; i < 2; i++) {
        now += (DEPENDENCY_PERIOD_S + 1) * NS_PER_S;
        w.memory.dests[0].opened++;
        for (uint32_t k = 0; k < DESTS; k++)
            w.memory.dests[k + 1].opened += k == 5 ? 0 : 1;
        dests_tick(&w, d, now);
    }
    CU_ASSERT_EQUAL(moved_from, 6);
    CU_ASSERT_EQUAL(moved_to, 2);
    CU_ASSERT_TRUE(value(&w, DEST, "dest=10.0.0.1:80") >= 122);

    w.tick++;
    output_group(w.env.out, 1000, w.tick, 0);
    dependencies_end(d, w.env.out);
    read_batch(&w);
    CU_ASSERT_PTR_NULL(find(&w, DEST, "dest="));
    CU_ASSERT_PTR_NULL(find(&w, FAILED, "dest="));
    dependencies_free(d);
    world_done(&w);
}

static void out_of_memory(void)
{
    struct world w;

    world_init(&w, DESTS);
    for (int nth = 1;; nth++) {
        struct sampler s = {.ops = &turnover_sampler, .env = &w.env};
        oom_fail_at(nth);
        int rc = turnover_attach(&s, &w.memory);
        bool hit = oom_stop();
        turnover_sampler.close(&s);
        if (!hit) {
            CU_ASSERT_EQUAL(rc, 0);
            break;
        }
        CU_ASSERT_EQUAL(rc, -ENOMEM);
        CU_ASSERT_NOT_EQUAL(s.reason[0], '\0');
    }
    w.env.turnover = NULL;
    world_done(&w);
}

// A description of types that names these tracepoints and nothing else, as a kernel without the others has.
static void types_write(const char *path, const char *const *names, size_t n)
{
    struct {
        uint16_t magic;
        uint8_t version, flags;
        uint32_t header, types, types_bytes, strings, strings_bytes;
    } h = {.magic = 0xeb9f, .version = 1, .header = 24};
    struct {
        uint32_t name, info, type;
    } types[8] = {0};
    char strings[512] = "";
    uint32_t at = 1;

    for (size_t i = 0; i < n; i++) {
        types[i].name = at;
        types[i].info = 8u << 24; // a typedef
        at += (uint32_t)snprintf(strings + at, sizeof(strings) - at, "btf_trace_%s", names[i]);
        at++;
    }
    h.types_bytes = (uint32_t)(n * sizeof(types[0]));
    h.strings = h.types_bytes;
    h.strings_bytes = at;
    FILE *f = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fwrite(&h, sizeof(h), 1, f);
    fwrite(types, sizeof(types[0]), n, f);
    fwrite(strings, 1, at, f);
    fclose(f);
}

static void old_kernels(void)
{
    static const char *const ALL[] = {"inet_sock_set_state", "tcp_send_reset", "sk_data_ready"};
    char path[300], why[160] = "";

    snprintf(path, sizeof(path), "%s/vmlinux", test_tmpdir());
    for (size_t n = 0; n < 2; n++) {
        types_write(path, ALL, n);
        int rc = kernel_check(path, KERNEL_CONNECTIONS, why, sizeof(why));
        if (rc == -ENOTSUP) { // a build without eBPF
            printf("    skipped: %s\n", why);
            return;
        }
        CU_ASSERT_EQUAL(rc, -ENOSYS);
        CU_ASSERT_PTR_NOT_NULL(strstr(why, ALL[n]));
        CU_ASSERT_PTR_NOT_NULL(strstr(why, "Linux 4.16"));
    }
    // As Linux 6.1: these are all there, and request latency is not, which is no hindrance.
    types_write(path, ALL, 2);
    CU_ASSERT_EQUAL(kernel_check(path, KERNEL_CONNECTIONS, why, sizeof(why)), 0);
    CU_ASSERT_EQUAL(kernel_check(path, KERNEL_LATENCY, why, sizeof(why)), -ENOSYS);
    CU_ASSERT_PTR_NOT_NULL(strstr(why, "sk_data_ready"));
}

static void the_kernel(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    struct world w;
    uint64_t opened = 0, closed[CLOSED_HOWS] = {0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    world_init(&w, 0);
    turnover_sampler.close(&w.sampler);
    w.env.kernel = kernel_open(&w.env);
    if (turnover_sampler.open(&w.sampler) != 0) {
        CU_ASSERT_NOT_EQUAL(w.sampler.reason[0], '\0');
        printf("    skipped: %s\n", w.sampler.reason);
        goto out;
    }
    CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&a, len), 0);
    CU_ASSERT_EQUAL_FATAL(listen(fd, 16), 0);
    getsockname(fd, (struct sockaddr *)&a, &len);
    for (int i = 0; i < 100; i++) {
        struct linger l = {.l_onoff = i >= 90, .l_linger = 0};
        int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CU_ASSERT_EQUAL_FATAL(connect(client, (struct sockaddr *)&a, sizeof(a)), 0);
        int server = accept(fd, NULL, NULL);
        setsockopt(client, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
        close(client);
        char byte;
        recv(server, &byte, 1, 0); // until it is here
        close(server);
    }
    world_tick(&w, 1);
    CU_ASSERT_TRUE(turnover_take(w.env.turnover, 0, ntohs(a.sin_port), &opened, closed));
    // An end's last packets may be under way still.
    int64_t until = clock_mono_ns(&w.env.clock) + 2 * NS_PER_S;
    while (
        closed[CLOSED_FIN] + closed[CLOSED_RESET] < 100 && clock_mono_ns(&w.env.clock) < until)
        turnover_take(w.env.turnover, 0, ntohs(a.sin_port), &opened, closed);
    CU_ASSERT_EQUAL(opened, 100);
    CU_ASSERT_EQUAL(closed[CLOSED_FIN], 90);
    CU_ASSERT_EQUAL(closed[CLOSED_RESET], 10);
    CU_ASSERT_EQUAL(closed[CLOSED_TIMEOUT], 0);
out:
    close(fd);
    turnover_sampler.close(&w.sampler);
    kernel_close(w.env.kernel);
    world_done(&w);
}

static const struct test TESTS[] = {
    {"both kinds of duration have the wire's buckets", buckets},
    {"a port has one slot, and there are only so many", port_slots},
    {"ports of another network namespace have series of their own", other_namespace},
    {"when slots are short the quiet ones are given back", short_of_slots},
    {"connections that no program was told of are told as lost", what_no_program_was_told_of},
    {"one writer for each series, and it goes on without the kernel", one_writer},
    {"destinations and why connecting failed", destinations},
    {"exact counts at the bounds that rules name", exact_at_bounds},
    {"the least busy destinations make room and nothing is lost", making_room},
    {"out of memory", out_of_memory},
    {"a kernel without the tracepoints is a reason, for each file its own", old_kernels},
    {"the kernel counts what was done", the_kernel}, // last: it gives up capabilities
};

int main(void)
{
    return test_main("turnover", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}

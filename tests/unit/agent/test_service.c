// SPDX-License-Identifier: Apache-2.0
// The whole life of services on a clock that only moves when told.
#include "agent/service.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define MS 1000000LL
#define S  1000000000LL

// Changes as one line of text: "+web:80 " appeared, "web:80>crashed(killed by signal 9) ", "-web:80 ".
struct world {
    struct services m;
    char log[2000];
    int64_t now;
    struct service_listener there[16];
    size_t n;
};

static void on_change(void *ctx, struct service *s, enum service_change change,
    enum service_state from, const char *detail)
{
    struct world *w = ctx;
    size_t at = strlen(w->log);
    char *to = w->log + at;
    size_t room = sizeof(w->log) - at;

    (void)from;
    switch (change) {
    case SERVICE_APPEARED: snprintf(to, room, "+%s:%u ", s->name, s->port); break;
    case SERVICE_ENDED: snprintf(to, room, "-%s:%u ", s->name, s->port); break;
    case SERVICE_TURNED:
        snprintf(to, room, "%s:%u>%s%s%s%s ", s->name, s->port, service_state_name(s->state),
            *detail ? "(" : "", detail, *detail ? ")" : "");
        break;
    }
}

static void open_world(struct world *w)
{
    *w = (struct world){.now = 1000 * S};
    services_init(&w->m, on_change, w);
}

// One whole look at the sockets that are there now.
static void look(struct world *w)
{
    services_begin(&w->m);
    for (size_t i = 0; i < w->n; i++)
        if (!services_seen(&w->m, w->there[i].cookie))
            services_up(&w->m, &w->there[i], w->now);
    services_end(&w->m, w->now);
    services_advance(&w->m, w->now);
}

static void add(struct world *w, uint64_t cookie, const char *name, uint16_t port)
{
    w->there[w->n++] = (struct service_listener){.cookie = cookie, .name = name, .port = port};
}

static void take(struct world *w, uint64_t cookie)
{
    for (size_t i = 0; i < w->n; i++)
        if (w->there[i].cookie == cookie) {
            w->there[i] = w->there[--w->n];
            return;
        }
}

static void pass(struct world *w, int64_t ns)
{
    for (int64_t until = w->now + ns; w->now < until;) {
        w->now += until - w->now < 50 * MS ? until - w->now : 50 * MS;
        if (w->now >=
            w->m.due_ns) // as tcp.listen does: what was not due would have changed nothing
            services_advance(&w->m, w->now);
    }
}

static bool dies(struct world *w, int pid, int parent, int sig, int code)
{
    struct service_exit e = {.pid = pid, .parent = parent, .signal = sig, .code = code};
    return services_exit(&w->m, &e, w->now);
}

// A settled service "web" on port 80, cookie 1, held by process 100; the log is empty.
static struct service *settled(struct world *w)
{
    open_world(w);
    add(w, 1, "web", 80);
    look(w);
    struct service *s = services_port(&w->m, 80);
    service_owner(s, 100, 1);
    pass(w, SERVICE_SETTLE_NS);
    CU_ASSERT_TRUE(s->settled);
    w->log[0] = '\0';
    return s;
}

#define LOG(w, text)                                                                           \
    do {                                                                                       \
        if (strcmp((w).log, text) != 0)                                                        \
            printf("    got \"%s\"\n", (w).log);                                               \
        CU_ASSERT_STRING_EQUAL((w).log, text);                                                 \
        (w).log[0] = '\0';                                                                     \
    } while (0)

static void death_first(void)
{
    struct world w;
    settled(&w);
    CU_ASSERT_TRUE(dies(&w, 100, 1, SIGKILL, 0));
    LOG(w, "");
    w.now += 1900 * MS;
    take(&w, 1);
    look(&w);
    LOG(w, "web:80>crashed(killed by signal 9) ");
    services_done(&w.m);
}

static void death_last(void)
{
    struct world w;
    settled(&w);
    take(&w, 1);
    look(&w);
    LOG(w, "web:80>starting ");
    w.now += 1900 * MS;
    CU_ASSERT_FALSE(dies(&w, 100, 1, SIGSEGV, 0));
    LOG(w, "web:80>crashed(killed by signal 11) ");
    pass(&w, 3 * S);
    LOG(w, "");
    services_done(&w.m);
}

static void death_too_old(void)
{
    struct world w;
    settled(&w);
    dies(&w, 100, 1, SIGKILL, 0);
    pass(&w, SERVICE_GRACE_NS + MS);
    take(&w, 1);
    look(&w);
    pass(&w, SERVICE_GRACE_NS);
    LOG(w, "web:80>starting web:80>stopped ");
    services_done(&w.m);
}

static void planned(void)
{
    static const int asked[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};
    for (size_t i = 0; i < 4; i++) {
        struct world w;
        settled(&w);
        dies(&w, 100, 1, asked[i], 0);
        take(&w, 1);
        look(&w);
        pass(&w, SERVICE_GRACE_NS - MS);
        LOG(w, "web:80>starting ");
        pass(&w, MS);
        LOG(w, "web:80>stopped ");
        services_done(&w.m);
    }
}

static void quit_with_core(void)
{
    struct world w;
    settled(&w);
    take(&w, 1);
    look(&w);
    struct service_exit e = {.pid = 100, .signal = SIGQUIT, .core = true};
    services_exit(&w.m, &e, w.now);
    LOG(w, "web:80>starting web:80>crashed(killed by signal 3 (core dumped)) ");
    services_done(&w.m);
}

static void codes(void)
{
    static const struct {
        int code;
        const char *log;
    } cases[] = {
        {0, "web:80>starting web:80>stopped "},
        {143, "web:80>starting web:80>stopped "},
        {1, "web:80>starting web:80>crashed(exited with code 1) "},
        {139, "web:80>starting web:80>crashed(exited with code 139) "},
    };
    for (size_t i = 0; i < 4; i++) {
        struct world w;
        settled(&w);
        dies(&w, 100, 1, 0, cases[i].code);
        take(&w, 1);
        look(&w);
        pass(&w, SERVICE_GRACE_NS);
        LOG(w, cases[i].log);
        services_done(&w.m);
    }
}

static void restart(void)
{
    struct world w;
    struct service *s = settled(&w);
    take(&w, 1);
    look(&w);
    pass(&w, SERVICE_GRACE_NS - 50 * MS);
    add(&w, 2, "web", 80);
    look(&w);
    LOG(w, "web:80>starting web:80>up ");
    pass(&w, 10 * S);
    LOG(w, "");
    // The old process's death comes late and says nothing about the new one.
    dies(&w, 100, 1, SIGKILL, 0);
    CU_ASSERT_EQUAL(s->state, SERVICE_UP);
    take(&w, 2);
    look(&w);
    pass(&w, SERVICE_GRACE_NS);
    LOG(w, "web:80>starting web:80>stopped ");
    add(&w, 3, "web", 80);
    look(&w);
    LOG(w, "web:80>up ");
    services_done(&w.m);
}

static void same_look(void)
{
    struct world w;
    settled(&w);
    take(&w, 1);
    add(&w, 2, "web", 80); // a reload that opens anew before anybody looked
    look(&w);
    look(&w);
    LOG(w, "");
    services_done(&w.m);
}

static void workers(void)
{
    struct world w;
    struct service *s = settled(&w);
    service_owner(s, 101, 100);
    service_owner(s, 102, 100);
    CU_ASSERT_FALSE(dies(&w, 101, 100, SIGSEGV, 0)); // the master starts another
    take(&w, 1);
    look(&w);
    dies(&w, 100, 1, SIGTERM, 0);
    dies(&w, 102, 100, SIGTERM, 0);
    pass(&w, SERVICE_GRACE_NS);
    LOG(w, "web:80>starting web:80>stopped ");
    services_done(&w.m);

    s = settled(&w); // everybody at once, the master first
    service_owner(s, 101, 100);
    CU_ASSERT_TRUE(dies(&w, 100, 1, SIGKILL, 0));
    look(&w);
    LOG(w, ""); // a worker still holds it
    CU_ASSERT_TRUE(dies(&w, 101, 100, SIGKILL, 0));
    take(&w, 1);
    look(&w);
    LOG(w, "web:80>crashed(killed by signal 9) ");
    services_done(&w.m);

    s = settled(&w); // the master is killed, its workers see it and leave on their own
    service_owner(s, 101, 100);
    dies(&w, 100, 1, SIGKILL, 0);
    w.now += S;
    dies(&w, 101, 1, 0, 0);
    take(&w, 1);
    look(&w);
    LOG(w, "web:80>crashed(killed by signal 9) ");
    services_done(&w.m);
}

static void strangers(void)
{
    struct world w;
    struct service *s = settled(&w);
    CU_ASSERT_FALSE(dies(&w, 555, 1, SIGSEGV, 0));
    take(&w, 1);
    look(&w);
    dies(&w, 556, 100, SIGKILL, 0);
    LOG(w, "web:80>starting ");
    services_oom(&w.m, s, w.now);
    LOG(w, "web:80>crashed(killed for want of memory) ");
    services_done(&w.m);
}

static void several_sockets(void)
{
    struct world w;
    struct service *s = settled(&w);
    add(&w, 2, "web", 80); // SO_REUSEPORT, or 0.0.0.0 and ::
    look(&w);
    service_owner(s, 200, 1);
    dies(&w, 100, 1, SIGKILL, 0);
    take(&w, 1);
    look(&w);
    LOG(w, "");
    pass(&w, 3 * S);
    dies(&w, 200, 1, SIGKILL, 0);
    take(&w, 2);
    look(&w);
    LOG(w, "web:80>crashed(killed by signal 9) ");
    services_done(&w.m);
}

static void owners_asked_for(void)
{
    struct world w;
    struct service *s = settled(&w);
    CU_ASSERT_FALSE(service_owners_unknown(s));
    dies(&w, 100, 1, 0, 0); // it handed the socket on and left
    CU_ASSERT_TRUE(service_owners_unknown(s));
    service_owners_clear(s);
    CU_ASSERT_FALSE(service_owners_unknown(s)); // asked once
    for (int i = 0; i < SERVICE_OWNERS + 5; i++)
        service_owner(s, 300 + i, 1);
    CU_ASSERT_EQUAL(s->n_owners, SERVICE_OWNERS);
    services_done(&w.m);
}

static void unsettled(void)
{
    struct world w;
    open_world(&w);
    add(&w, 1, "web", 80);
    look(&w);
    LOG(w, "+web:80 ");
    pass(&w, 5 * S);
    take(&w, 1);
    look(&w);
    pass(&w, SERVICE_GRACE_NS);
    LOG(w, "web:80>starting -web:80 ");
    CU_ASSERT_EQUAL(w.m.n, 0);
    add(&w, 2, "web", 80);
    look(&w);
    service_owner(services_port(&w.m, 80), 100, 1);
    take(&w, 2);
    look(&w);
    dies(&w, 100, 1, SIGABRT, 0);
    LOG(w, "+web:80 web:80>starting web:80>crashed(killed by signal 6) ");
    services_done(&w.m);
}

static void ephemeral(void)
{
    struct world w;
    open_world(&w);
    add(&w, 1, "test", 40000);
    w.there[0].loopback = w.there[0].ephemeral_port = true;
    look(&w);
    take(&w, 1);
    look(&w);
    LOG(w, ""); // never said to be there
    CU_ASSERT_EQUAL(w.m.n, 0);
    add(&w, 2, "test", 40000);
    w.there[0].loopback = w.there[0].ephemeral_port = w.there[0].present = true;
    look(&w);
    pass(&w, SERVICE_ANNOUNCE_NS);
    LOG(w, "+test:40000 ");
    pass(&w, 60 * S);
    take(&w, 2);
    look(&w);
    pass(&w, SERVICE_GRACE_NS);
    LOG(w, "test:40000>starting -test:40000 ");
    services_done(&w.m);
}

static void there_before_us(void)
{
    struct world w;
    open_world(&w);
    add(&w, 1, "web", 80);
    w.there[0].present = true;
    look(&w);
    take(&w, 1);
    look(&w);
    pass(&w, SERVICE_GRACE_NS);
    LOG(w, "+web:80 web:80>starting web:80>stopped ");
    services_done(&w.m);
}

static void a_day(void)
{
    struct world w;
    settled(&w);
    take(&w, 1);
    look(&w);
    pass(&w, SERVICE_GRACE_NS);
    w.log[0] = '\0';
    w.now += SERVICE_KEEP_NS - SERVICE_GRACE_NS - S;
    services_advance(&w.m, w.now);
    LOG(w, "");
    pass(&w, S);
    LOG(w, "-web:80 ");
    CU_ASSERT_EQUAL(w.m.n, 0);
    services_done(&w.m);
}

static void another_name(void)
{
    struct world w;
    settled(&w);
    take(&w, 1);
    look(&w);
    pass(&w, SERVICE_GRACE_NS);
    add(&w, 2, "other", 80);
    look(&w);
    LOG(w, "web:80>starting web:80>stopped +other:80 ");
    pass(&w, 60 * S);
    LOG(w, ""); // web stays stopped beside it
    add(&w, 3, "web", 8080);
    look(&w);
    LOG(w, "+web:8080 -web:80 ");
    services_done(&w.m);
}

static void other_port_stays_down(void)
{
    struct world w;
    settled(&w);
    take(&w, 1);
    look(&w);
    pass(&w, SERVICE_GRACE_NS);
    add(&w, 2, "web", 443);
    look(&w);
    LOG(w, "web:80>starting web:80>stopped +web:443 "); // nobody else has 80: still missed
    services_done(&w.m);
}

static void flapping(void)
{
    struct world w;
    settled(&w);
    for (uint64_t i = 0; i < 50; i++) {
        take(&w, i + 1);
        look(&w);
        pass(&w, 500 * MS);
        add(&w, i + 2, "web", 80);
        look(&w);
        LOG(w, "web:80>starting web:80>up ");
        pass(&w, 500 * MS);
    }
    CU_ASSERT_EQUAL(w.m.n, 1);
    services_done(&w.m);
}

static void lost_messages(void)
{
    struct world w;
    settled(&w);
    add(&w, 5, "db", 5432);
    look(&w);
    w.log[0] = '\0';
    // Many things happened unseen; one look puts them right, and a look that broke off says nothing.
    take(&w, 1);
    add(&w, 6, "mail", 25);
    services_begin(&w.m);
    LOG(w, "");
    look(&w);
    LOG(w, "+mail:25 web:80>starting ");
    services_done(&w.m);
}

static void limits(void)
{
    struct world w;
    char name[16];
    open_world(&w);
    services_begin(&w.m);
    for (unsigned i = 0; i < SERVICES_MAX + 10; i++) {
        struct service_listener l = {.cookie = i + 1, .name = name, .port = (uint16_t)(i + 1)};
        snprintf(name, sizeof(name), "s%u", i);
        CU_ASSERT_EQUAL(services_up(&w.m, &l, w.now) != NULL, i < SERVICES_MAX);
        w.log[0] = '\0';
    }
    CU_ASSERT_EQUAL(w.m.refused, 10);
    CU_ASSERT_EQUAL(w.m.n, SERVICES_MAX);
    services_done(&w.m);
}

static void quiet(void *ctx, struct service *s, enum service_change change,
    enum service_state from, const char *detail)
{
    (void)ctx, (void)s, (void)change, (void)from, (void)detail;
}

static void without_memory(void)
{
    for (int nth = 1;; nth++) {
        struct services m;
        struct service_listener l = {.cookie = 7, .name = "web", .port = 80};
        services_init(&m, quiet, NULL);
        oom_fail_at(nth);
        struct service_socket *k = services_up(&m, &l, 1);
        bool hit = oom_stop();
        CU_ASSERT_EQUAL(k == NULL, hit);
        CU_ASSERT_EQUAL(m.refused, hit);
        CU_ASSERT_EQUAL(m.n, !hit);
        services_done(&m);
        if (!hit)
            break;
    }
}

static const struct test TESTS[] = {
    {"a death before the listener goes is a crash at once", death_first},
    {"a death after the listener went is a crash at once", death_last},
    {"a death long before is not evidence", death_too_old},
    {"signals that stop a service are no crash", planned},
    {"a core is a crash whatever the signal", quit_with_core},
    {"an error code is a crash only after the grace", codes},
    {"a restart within the grace is silent, after it is up again", restart},
    {"a socket replaced within one look is nothing", same_look},
    {"a worker's death is no crash, the master's or the last holder's is", workers},
    {"strangers' deaths say nothing, want of memory does", strangers},
    {"several sockets are one service until the last goes", several_sockets},
    {"owners are asked for once when all known have died", owners_asked_for},
    {"an unsettled listener ends without a word unless it crashed", unsettled},
    {"an ephemeral loopback listener is announced late and never pages", ephemeral},
    {"what was there before the agent is settled", there_before_us},
    {"a stopped service is kept for a day", a_day},
    {"a port under another name keeps the old service until that listens elsewhere",
        another_name},
    {"listening on another port does not excuse the old one", other_port_stays_down},
    {"flapping within the grace never stops", flapping},
    {"one whole look repairs what was lost", lost_messages},
    {"services are bounded and refusals counted", limits},
    {"a view without memory refuses, counts it and leaks nothing", without_memory},
};

int main(void)
{
    return test_main("service", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}

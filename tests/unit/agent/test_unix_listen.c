// SPDX-License-Identifier: Apache-2.0
// Messages of unix_diag by hand, then real UNIX listeners and the real kernel. Where netlink is not
// permitted the tests say so and pass.
#include "agent/listen.h"
#include "agent/sockdiag.h"
#include "agent/unix_listen.h"
#include "agent/unixdiag.h"
#include "tests/lib/run.h"
#include "wire/tocsin.pb-c.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static size_t message(uint8_t *to, const uint8_t *name, uint16_t len)
{
    // family, type, state, pad, inode, cookie; then the attributes name and queue lengths.
    static const uint8_t head[16] = {
        AF_UNIX, SOCK_STREAM, SOCKDIAG_LISTEN, 0, 7, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0};
    static const uint8_t queue[12] = {12, 0, 4, 0, 3, 0, 0, 0, 128, 0, 0, 0};
    uint16_t length = (uint16_t)(4 + len);
    memcpy(to, head, sizeof(head));
    memset(to + 16, 0, 4);
    memcpy(to + 16, &length, 2);
    memcpy(to + 20, name, len);
    size_t at = 16 + (size_t)(length + 3) / 4 * 4;
    memcpy(to + at, queue, sizeof(queue));
    return at + sizeof(queue);
}

static void parses(void)
{
    uint8_t m[256];
    struct unixdiag a, b;
    size_t n = message(m, (const uint8_t *)"/run/x y.sock", 14);

    CU_ASSERT_EQUAL(unixdiag_parse(m, n, &a), 0);
    CU_ASSERT_STRING_EQUAL(a.path, "/run/x?y.sock");
    CU_ASSERT_EQUAL(a.cookie, 1ull << 32 | 9);
    CU_ASSERT_EQUAL(a.inode, 7);
    CU_ASSERT_EQUAL(a.waiting, 3);
    CU_ASSERT_EQUAL(a.limit, 128);
    CU_ASSERT_EQUAL(a.state, SOCKDIAG_LISTEN);
    // With and without its NUL it is one name.
    n = message(m, (const uint8_t *)"/run/x y.sock", 13);
    CU_ASSERT_EQUAL(unixdiag_parse(m, n, &b), 0);
    CU_ASSERT_EQUAL(a.name_hash, b.name_hash);
    n = message(m, (const uint8_t *)"\0run", 4);
    CU_ASSERT_EQUAL(unixdiag_parse(m, n, &b), 0);
    CU_ASSERT_STRING_EQUAL(b.path, "@run");
    CU_ASSERT_NOT_EQUAL(a.name_hash, b.name_hash);
    // Cut anywhere: an error or a shorter truth, never beyond the bytes.
    for (size_t cut = 0; cut < n; cut++) {
        uint8_t *exact = malloc(cut + 1);
        memcpy(exact, m, cut);
        unixdiag_parse(exact, cut, &b);
        free(exact);
    }
    CU_ASSERT_EQUAL(unixdiag_parse(m, 15, &b), -EBADMSG);
    m[0] = AF_INET;
    CU_ASSERT_EQUAL(unixdiag_parse(m, n, &b), -EBADMSG);
}

static void lasting(void)
{
    CU_ASSERT_TRUE(unix_listen_lasting("/run/php/fpm.sock"));
    CU_ASSERT_TRUE(unix_listen_lasting("/var/run/docker.sock"));
    CU_ASSERT_FALSE(unix_listen_lasting("/run/user/1000/bus"));
    CU_ASSERT_FALSE(unix_listen_lasting("/var/tmp/x"));
    CU_ASSERT_FALSE(unix_listen_lasting("/tmp/ssh-x/agent.1"));
    CU_ASSERT_FALSE(unix_listen_lasting("@abstract"));
    CU_ASSERT_FALSE(unix_listen_lasting("relative"));
}

// --- the real kernel -------------------------------------------------------------------------------

struct world {
    struct env env;
    struct sampler sampler;
    struct sockaddr_un address;
    int fd;
    uint64_t seq;
    uint32_t queue, limit, listening, connections;
    double queue_is, limit_is, listening_is, connections_is;
    bool ended;
    int stopped, crashed, again;
    int64_t passed_ns; // added to the clock
};

static int64_t mono(void *ctx)
{
    const struct world *w = ctx;
    struct clock real = clock_system();
    return clock_mono_ns(&real) + w->passed_ns;
}

static int64_t wall(void *ctx)
{
    (void)ctx;
    struct clock real = clock_system();
    return real.wall_ns(real.ctx);
}

static bool world_open(struct world *w)
{
    *w = (struct world){.env = {.loop = loop_new(),
                            .out = output_new(),
                            .proc = "/proc",
                            .sys = "/sys",
                            .cgroup = test_tmpdir()},
        .fd = -1};
    w->env.clock = (struct clock){.mono_ns = mono, .wall_ns = wall, .ctx = w};
    w->sampler = (struct sampler){.ops = &unix_listen_sampler, .env = &w->env};
    if (unix_listen_sampler.open(&w->sampler) == 0)
        return true;
    printf("    skipped: %s\n", w->sampler.reason);
    return false;
}

static void world_close(struct world *w)
{
    unix_listen_sampler.close(&w->sampler);
    if (w->fd != -1)
        close(w->fd);
    unlink(w->address.sun_path);
    output_free(w->env.out);
    loop_free(w->env.loop);
}

static void world_listen(struct world *w, const char *path)
{
    w->address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(w->address.sun_path, sizeof(w->address.sun_path), "%s", path);
    unlink(path);
    w->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL_FATAL(bind(w->fd, (struct sockaddr *)&w->address, sizeof(w->address)), 0);
    CU_ASSERT_EQUAL_FATAL(listen(w->fd, 17), 0);
}

static void note(struct world *w, const struct batch *b)
{
    for (size_t i = 0; i < b->n_declares; i++) {
        const struct batch_declare *d = &b->declares[i];
        bool mine = false;
        for (size_t k = 0; k < d->n_labels; k++)
            mine |= strcmp(d->labels[k].value, w->address.sun_path) == 0;
        if (!mine)
            continue;
        if (strcmp(d->name, "tocsin_service_accept_queue_length") == 0)
            w->queue = d->id;
        if (strcmp(d->name, "tocsin_service_accept_queue_limit") == 0)
            w->limit = d->id;
        if (strcmp(d->name, "tocsin_service_listening") == 0)
            w->listening = d->id;
        if (strcmp(d->name, "tocsin_service_connections") == 0)
            w->connections = d->id;
    }
    for (size_t g = 0; g < b->n_groups; g++)
        for (size_t i = 0; i < b->groups[g].n; i++) {
            const struct batch_sample *s = &b->groups[g].samples[i];
            if (s->kind == SAMPLE_STALE && w->listening && s->id == w->listening)
                w->ended = true;
            if (s->kind != SAMPLE_VALUE || !s->id)
                continue;
            if (s->id == w->queue)
                w->queue_is = s->value;
            if (s->id == w->limit)
                w->limit_is = s->value;
            if (s->id == w->listening)
                w->listening_is = s->value;
            if (s->id == w->connections)
                w->connections_is = s->value;
        }
    for (size_t i = 0; i < b->n_events; i++) {
        if (!strstr(b->events[i].detail, w->address.sun_path) &&
            b->events[i].kind != TOCSIN__V1__EVENT_KIND__EVENT_SERVICE_CRASHED)
            continue;
        w->stopped += b->events[i].kind == TOCSIN__V1__EVENT_KIND__EVENT_SERVICE_STOPPED;
        w->crashed += b->events[i].kind == TOCSIN__V1__EVENT_KIND__EVENT_SERVICE_CRASHED;
        w->again += b->events[i].kind == TOCSIN__V1__EVENT_KIND__EVENT_LISTENER_UP &&
                    strstr(b->events[i].detail, " again") != NULL;
    }
}

static void turn(struct world *w)
{
    struct tick t = {.interval_ms = 1000, .n = (int64_t)++w->seq};

    output_group(w->env.out, 1000, t.n, 0);
    unix_listen_sampler.tick(&w->sampler, &t);
    loop_once(w->env.loop, 1);
    note(w, output_take(w->env.out, w->seq, 0, 0));
    w->passed_ns += NS_PER_S; // nothing of it waits for the real one
}

// A search through a large /proc takes real time, and the next one waits for longer.
#define PATIENCE_NS (20 * NS_PER_S)
static bool patient(int64_t begun_ns)
{
    struct clock real = clock_system();
    return clock_mono_ns(&real) - begun_ns < PATIENCE_NS;
}

#define UNTIL(w, what)                                                                         \
    do {                                                                                       \
        struct clock real_ = clock_system();                                                   \
        int64_t begun_ = clock_mono_ns(&real_);                                                \
        while (!(what) && patient(begun_))                                                     \
            turn(w);                                                                           \
        CU_ASSERT_TRUE_FATAL(what);                                                            \
    } while (0)

static void finds(void)
{
    struct world w;
    char path[100];

    if (!world_open(&w))
        goto out;
    turn(&w);
    // Relative names are names too; this one ends without a word.
    snprintf(path, sizeof(path), "%s/s", test_tmpdir());
    world_listen(&w, path);
    UNTIL(&w, w.listening);
    turn(&w);
    CU_ASSERT_EQUAL(w.listening_is, 1);
    CU_ASSERT_EQUAL(w.limit_is, 17);
    int a = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int b = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL(connect(a, (struct sockaddr *)&w.address, sizeof(w.address)), 0);
    CU_ASSERT_EQUAL(connect(b, (struct sockaddr *)&w.address, sizeof(w.address)), 0);
    turn(&w);
    CU_ASSERT_EQUAL(w.queue_is, 2);
    int c = accept(w.fd, NULL, NULL);
    turn(&w);
    CU_ASSERT_EQUAL(w.queue_is, 1);
    UNTIL(&w, w.connections_is == 1); // the kernel does not tell of those in the queue
    close(a);
    close(b);
    close(c);
    close(w.fd);
    w.fd = -1;
    UNTIL(&w, w.ended);
    CU_ASSERT_EQUAL(w.stopped, 0);
out:
    world_close(&w);
}

static void stops(void)
{
    struct world w;

    if (!world_open(&w))
        goto out;
    if (access("/run", W_OK) != 0) {
        printf("    skipped: /run is not ours\n");
        goto out;
    }
    turn(&w);
    char path[64];
    snprintf(path, sizeof(path), "/run/tocsin-test-%d.sock", (int)getpid());
    world_listen(&w, path);
    UNTIL(&w, w.listening);
    int a = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL(connect(a, (struct sockaddr *)&w.address, sizeof(w.address)), 0);
    int b = accept(w.fd, NULL, NULL);
    UNTIL(&w, w.connections_is == 1);
    close(a);
    close(b);
    for (int i = 0; i < 12; i++) // settled
        turn(&w);
    // Killed, as procevents would say it.
    close(w.fd);
    struct service_exit e = {.pid = getpid(), .signal = SIGKILL};
    unix_listen_exit(w.env.unix_listen, &e);
    turn(&w);
    CU_ASSERT_EQUAL(w.crashed, 1);
    CU_ASSERT_EQUAL(w.listening_is, 0);
    world_listen(&w, path); // back: the same series
    UNTIL(&w, w.listening_is == 1);
    CU_ASSERT_EQUAL(w.again, 1);
    for (int i = 0; i < 12; i++)
        turn(&w);
    close(w.fd);
    w.fd = -1;
    UNTIL(&w, w.stopped == 1);
    CU_ASSERT_EQUAL(w.crashed, 1);
out:
    world_close(&w);
}

static const struct test TESTS[] = {
    {"messages of the kernel are read", parses},
    {"paths that last are those of the system", lasting},
    {"a listener is found, its queue and connections counted, and its end known", finds},
    {"one that lasts is told as stopped, and as crashed with evidence", stops},
};

int main(void)
{
    return test_main("unix_listen", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}

// SPDX-License-Identifier: Apache-2.0
// Real listeners on loopback and the real kernel. Where netlink is not permitted the tests say so
// and pass; the state machine itself is tested without a kernel in test_service.c.
#include "agent/listen.h"
#include "agent/procevents.h"
#include "tests/lib/run.h"
#include "wire/tocsin.pb-c.h"
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_NS (5 * NS_PER_S)

// The agent's loop with the two samplers, and a /proc in which no port is ephemeral and only the
// processes that a test shows exist.
struct world {
    struct env env;
    struct sampler listen, deaths;
    char proc[256];
    int flushes;
    uint16_t wanted; // port whose turns are counted
    int turns, flushes_before;
    // Events so far, newest kept.
    int kind[64];
    char service[64][64], detail[64][96];
    int64_t at_ns[64];
    int n;
    uint64_t seq;
};

static void on_flush(void *core)
{
    struct world *w = core;
    w->flushes++;
}

static int64_t now(const struct world *w)
{
    return clock_mono_ns(&w->env.clock);
}

static void show_process(struct world *w, int pid)
{
    char from[300], to[64];

    snprintf(from, sizeof(from), "%s/%d", w->proc, pid);
    snprintf(to, sizeof(to), "/proc/%d", pid);
    unlink(from);
    CU_ASSERT_EQUAL(symlink(to, from), 0);
}

static bool world_open(struct world *w)
{
    static int serial;
    char path[400];

    *w = (struct world){
        .listen = {.ops = &listen_sampler}, .deaths = {.ops = &procevents_sampler}};
    snprintf(w->proc, sizeof(w->proc), "%s/proc%d", test_tmpdir(), serial++);
    mkdir(w->proc, 0755);
    static const char *const parts[] = {"sys", "sys/net", "sys/net/ipv4"};
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "%s/%s", w->proc, parts[i]);
        mkdir(path, 0755);
    }
    snprintf(path, sizeof(path), "%s/sys/net/ipv4/ip_local_port_range", w->proc);
    FILE *f = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fputs("1\t2\n", f);
    fclose(f);
    w->env = (struct env){
        .loop = loop_new(),
        .out = output_new(),
        .clock = clock_system(),
        .proc = w->proc,
        .sys = "/sys",
        .cgroup = test_tmpdir(), // no cgroups: names come from the process
        .flush = on_flush,
        .core = w,
    };
    w->listen.env = w->deaths.env = &w->env;
    if (listen_sampler.open(&w->listen) != 0) {
        printf("    skipped: %s\n", w->listen.reason);
        output_free(w->env.out);
        loop_free(w->env.loop);
        return false;
    }
    return true;
}

static void world_close(struct world *w)
{
    procevents_sampler.close(&w->deaths);
    listen_sampler.close(&w->listen);
    output_free(w->env.out);
    loop_free(w->env.loop);
}

static void turn(struct world *w)
{
    loop_once(w->env.loop, 100);
    const struct batch *b = output_take(w->env.out, ++w->seq, 0, 0);
    for (size_t i = 0; b && i < b->n_events && w->n < 64; i++) {
        // Our processes have our name; what the rest of the machine listens on has none here.
        if (strcmp(b->events[i].service, "test_listen") != 0)
            continue;
        w->kind[w->n] = b->events[i].kind;
        snprintf(w->service[w->n], 64, "%s", b->events[i].service);
        snprintf(w->detail[w->n], 96, "%s", b->events[i].detail);
        w->at_ns[w->n++] = now(w);
    }
}

static int event(const struct world *w, int kind)
{
    for (int i = 0; i < w->n; i++)
        if (w->kind[i] == kind)
            return i;
    return -1;
}

static struct service *wait_service(struct world *w, uint16_t port)
{
    int64_t until = now(w) + PATIENCE_NS;
    struct service *s = NULL;

    while (now(w) < until && !(s = listen_service(w->env.listen, port)))
        turn(w);
    return s;
}

static bool wait_state(struct world *w, const struct service *s, enum service_state state)
{
    int64_t until = now(w) + PATIENCE_NS;

    while (now(w) < until && s->state != state)
        turn(w);
    return s->state == state;
}

static int listener(int family, uint16_t *port)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(*port)};
    struct sockaddr_in four = {.sin_family = AF_INET,
        .sin_port = htons(*port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr *a = family == AF_INET ? (struct sockaddr *)&four : (struct sockaddr *)&six;
    socklen_t len = family == AF_INET ? sizeof(four) : sizeof(six);
    int one = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (fd == -1 || bind(fd, a, len) == -1 || listen(fd, 8) == -1 ||
        getsockname(fd, a, &len) == -1) {
        if (fd != -1)
            close(fd);
        return -1;
    }
    *port = ntohs(family == AF_INET ? four.sin_port : six.sin6_port);
    return fd;
}

// Waits until the first view is taken, so that what comes now is new.
static void first_view(struct world *w)
{
    turn(w);
    turn(w);
}

static void a_new_listener(void)
{
    struct world w;
    uint16_t port = 0;

    if (!world_open(&w))
        return;
    show_process(&w, getpid());
    first_view(&w);
    int64_t begun = now(&w);
    int fd = listener(AF_INET, &port);
    CU_ASSERT_NOT_EQUAL_FATAL(fd, -1);
    struct service *s = wait_service(&w, port);
    CU_ASSERT_PTR_NOT_NULL(s);
    if (s) {
        int i = event(&w, TOCSIN__V1__EVENT_KIND__EVENT_LISTENER_UP);
        CU_ASSERT_NOT_EQUAL_FATAL(i, -1);
        printf("    new listener seen after %.1f ms as %s\n",
            (double)(w.at_ns[i] - begun) / 1e6, s->name);
        CU_ASSERT_STRING_EQUAL(s->name, w.service[i]);
        CU_ASSERT_STRING_NOT_EQUAL(s->name, "");
        // Held for a moment when somebody else's listener has just gone.
        for (int64_t until = now(&w) + PATIENCE_NS; now(&w) < until && w.flushes == 0;)
            turn(&w);
        CU_ASSERT_TRUE(w.flushes > 0);
        CU_ASSERT_EQUAL(s->n_owners, 1);
        CU_ASSERT_EQUAL(s->owners[0].pid, getpid());
    }
    close(fd);
    world_close(&w);
}

static void a_closed_listener(void)
{
    struct world w;
    uint16_t port = 0;
    int fd = listener(AF_INET, &port);

    CU_ASSERT_NOT_EQUAL_FATAL(fd, -1);
    if (!world_open(&w)) {
        close(fd);
        return;
    }
    show_process(&w, getpid());
    struct service *s = wait_service(&w, port);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    CU_ASSERT_TRUE(s->settled);
    CU_ASSERT_EQUAL(event(&w, TOCSIN__V1__EVENT_KIND__EVENT_LISTENER_UP), -1);
    turn(&w); // right after a poll: what follows within 60 ms comes from the multicast
    int64_t begun = now(&w);
    close(fd);
    CU_ASSERT_TRUE(wait_state(&w, s, SERVICE_STARTING));
    int i = event(&w, TOCSIN__V1__EVENT_KIND__EVENT_LISTENER_DOWN);
    CU_ASSERT_NOT_EQUAL_FATAL(i, -1);
    printf("    closed listener seen after %.2f ms\n", (double)(w.at_ns[i] - begun) / 1e6);
    // It comes back within the grace: up, and not a word.
    int before = w.n;
    fd = listener(AF_INET, &port);
    CU_ASSERT_NOT_EQUAL(fd, -1);
    CU_ASSERT_TRUE(wait_state(&w, s, SERVICE_UP));
    CU_ASSERT_EQUAL(w.n, before);
    close(fd);
    world_close(&w);
}

static void on_turn(void *ctx, uint16_t port)
{
    struct world *w = ctx;

    if (port == w->wanted) {
        w->turns++;
        w->flushes_before = w->flushes;
    }
}

// Soon, that is: listeners of others go all the time.
static bool nothing_went(struct world *w)
{
    int64_t until = now(w) + PATIENCE_NS;

    while (listen_check(w->env.listen) && now(w) < until)
        turn(w);
    return now(w) < until;
}

static void a_port_that_turns(void)
{
    struct world w;
    uint16_t port = 0;
    int fd = listener(AF_INET, &port);

    CU_ASSERT_NOT_EQUAL_FATAL(fd, -1);
    if (!world_open(&w)) {
        close(fd);
        return;
    }
    show_process(&w, getpid());
    struct service *s = wait_service(&w, port);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    turn(&w);
    w.wanted = port;
    listen_on_turn(w.env.listen, on_turn, &w);
    CU_ASSERT_TRUE(nothing_went(&w));
    close(fd);
    // Whoever is refused before the loop turns learns why, and nothing is sent in between.
    int before = w.flushes;
    CU_ASSERT_TRUE(listen_check(w.env.listen));
    CU_ASSERT_EQUAL(s->state, SERVICE_STARTING);
    CU_ASSERT_EQUAL(w.flushes, before);
    CU_ASSERT_EQUAL(w.turns, 0);
    int64_t until = now(&w) + PATIENCE_NS;
    while (now(&w) < until && w.turns == 0)
        turn(&w);
    CU_ASSERT_EQUAL(w.turns, 1);
    CU_ASSERT_TRUE(w.flushes_before > before); // the news first, then the question
    CU_ASSERT_TRUE(nothing_went(&w));
    fd = listener(AF_INET, &port);
    CU_ASSERT_NOT_EQUAL(fd, -1);
    CU_ASSERT_TRUE(wait_state(&w, s, SERVICE_UP));
    // With what is held back because somebody else's listener has just gone.
    until = now(&w) + PATIENCE_NS;
    while (now(&w) < until && w.turns == 1)
        turn(&w);
    CU_ASSERT_EQUAL(w.turns, 2);
    listen_on_turn(w.env.listen, NULL, NULL);
    close(fd);
    CU_ASSERT_TRUE(wait_state(&w, s, SERVICE_STARTING));
    turn(&w);
    CU_ASSERT_EQUAL(w.turns, 2);
    world_close(&w);
}

static pid_t fork_server(int fd, int *hold)
{
    int pipes[2];
    char byte;

    if (pipe(pipes) == -1)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        close(pipes[1]);
        // Ends with the test whatever happens to it.
        (void)!read(pipes[0], &byte, 1);
        _exit(0);
    }
    close(pipes[0]);
    close(fd);
    *hold = pipes[1];
    return pid;
}

static void a_killed_server(void)
{
    struct world w;
    uint16_t port = 0;
    int hold, fd = listener(AF_INET, &port);
    pid_t pid = fork_server(fd, &hold);

    CU_ASSERT_TRUE_FATAL(pid > 0);
    if (!world_open(&w))
        goto out;
    if (procevents_sampler.open(&w.deaths) != 0) {
        printf("    skipped: %s\n", w.deaths.reason);
        world_close(&w);
        goto out;
    }
    show_process(&w, pid);
    struct service *s = wait_service(&w, port);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    turn(&w);
    int64_t begun = now(&w);
    kill(pid, SIGKILL);
    CU_ASSERT_TRUE(wait_state(&w, s, SERVICE_CRASHED));
    int i = event(&w, TOCSIN__V1__EVENT_KIND__EVENT_SERVICE_CRASHED);
    CU_ASSERT_NOT_EQUAL_FATAL(i, -1);
    CU_ASSERT_STRING_EQUAL(w.detail[i], "killed by signal 9");
    CU_ASSERT_STRING_EQUAL(w.service[i], s->name);
    printf("    killed server known after %.2f ms\n", (double)(w.at_ns[i] - begun) / 1e6);
    world_close(&w);
out:
    close(hold);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void a_terminated_server(void)
{
    struct world w;
    uint16_t port = 0;
    int hold, fd = listener(AF_INET, &port);
    pid_t pid = fork_server(fd, &hold);

    CU_ASSERT_TRUE_FATAL(pid > 0);
    if (!world_open(&w))
        goto out;
    procevents_sampler.open(&w.deaths);
    show_process(&w, pid);
    struct service *s = wait_service(&w, port);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    kill(pid, SIGTERM);
    CU_ASSERT_TRUE(wait_state(&w, s, SERVICE_STARTING));
    CU_ASSERT_TRUE(wait_state(&w, s, SERVICE_STOPPED));
    CU_ASSERT_EQUAL(event(&w, TOCSIN__V1__EVENT_KIND__EVENT_SERVICE_CRASHED), -1);
    CU_ASSERT_NOT_EQUAL(event(&w, TOCSIN__V1__EVENT_KIND__EVENT_SERVICE_STOPPED), -1);
    world_close(&w);
out:
    close(hold);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

// One tick's samples of a series that was declared with this name, summed over its label sets.
static bool sampled(struct world *w, const char *name, uint16_t port, double *ret)
{
    static uint32_t ids[16];
    static char names[16][64];
    static size_t n_ids;
    char text[8];
    struct tick t = {.interval_ms = 1000};

    snprintf(text, sizeof(text), "%u", port);
    output_group(w->env.out, 1000, (int64_t)w->seq, 0);
    listen_sampler.tick(&w->listen, &t);
    const struct batch *b = output_take(w->env.out, ++w->seq, 0, 0);
    for (size_t i = 0; i < b->n_declares; i++)
        for (size_t k = 0; k < b->declares[i].n_labels; k++)
            if (strcmp(b->declares[i].labels[k].name, "port") == 0 &&
                strcmp(b->declares[i].labels[k].value, text) == 0 && n_ids < 16) {
                snprintf(names[n_ids], sizeof(names[0]), "%s", b->declares[i].name);
                ids[n_ids++] = b->declares[i].id;
            }
    for (size_t g = 0; g < b->n_groups; g++)
        for (size_t i = 0; i < b->groups[g].n; i++)
            for (size_t k = 0; k < n_ids; k++)
                if (b->groups[g].samples[i].id == ids[k] && strcmp(names[k], name) == 0) {
                    *ret = b->groups[g].samples[i].value;
                    return true;
                }
    return false;
}

static void a_burst_in_the_queue(void)
{
    struct world w;
    uint16_t port = 0;
    int fd = listener(AF_INET6, &port), clients[6];
    double value = -1;

    if (fd == -1) {
        printf("    skipped: no IPv6\n");
        return;
    }
    if (!world_open(&w)) {
        close(fd);
        return;
    }
    // Polled by hand from here: the events of turn() would take the declarations away.
    int64_t until = now(&w) + PATIENCE_NS;
    while (now(&w) < until && !listen_service(w.env.listen, port))
        loop_once(w.env.loop, 100);
    CU_ASSERT_PTR_NOT_NULL(listen_service(w.env.listen, port));
    // IPv4 clients of the dual-stack listener wait to be accepted.
    struct sockaddr_in to = {.sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int i = 0; i < 6; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CU_ASSERT_EQUAL(connect(clients[i], (struct sockaddr *)&to, sizeof(to)), 0);
    }
    CU_ASSERT_TRUE(sampled(&w, "tocsin_service_accept_queue_limit", port, &value));
    CU_ASSERT_EQUAL(value, 8);
    until = now(&w) + 200 * NS_PER_MS;
    while (now(&w) < until)
        loop_once(w.env.loop, 20);
    for (int i = 0; i < 6; i++)
        close(accept(fd, NULL, NULL));
    until = now(&w) + 200 * NS_PER_MS;
    while (now(&w) < until)
        loop_once(w.env.loop, 20);
    // The queue is empty again, but its peak was seen between the ticks.
    CU_ASSERT_TRUE(sampled(&w, "tocsin_service_accept_queue_length_max", port, &value));
    CU_ASSERT_EQUAL(value, 6);
    CU_ASSERT_TRUE(sampled(&w, "tocsin_service_accept_queue_length", port, &value));
    CU_ASSERT_EQUAL(value, 0);
    CU_ASSERT_TRUE(sampled(&w, "tocsin_service_listening", port, &value));
    CU_ASSERT_EQUAL(value, 1);
    for (int i = 0; i < 6; i++)
        close(clients[i]);
    close(fd);
    world_close(&w);
}

static const struct test TESTS[] = {
    {"a new listener appears with its name within one poll", a_new_listener},
    {"a closed listener is seen by the multicast and its return is silent", a_closed_listener},
    {"a port is asked when its listener went or came, after the news of it", a_port_that_turns},
    {"a killed server has crashed, with its signal", a_killed_server},
    {"a terminated server is stopped after the grace, without a crash", a_terminated_server},
    {"a burst in the accept queue stays visible in the maximum", a_burst_in_the_queue},
};

int main(void)
{
    return test_main("listen", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}

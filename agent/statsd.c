// SPDX-License-Identifier: Apache-2.0
#include "agent/statsd.h"
#include "agent/intake.h"
#include "agent/parts.h"
#include "agent/statsd_line.h"
#include "agent/tally.h"
#include "base/log.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define RETRY_NS (5 * NS_PER_S)
// Beyond the limit of the intake series go on in `other`; the tally has an end too.
#define TALLY_FACTOR 4

static const struct wire_label LABELS[] = {{"job", "statsd"}};

// One way in: UDP or UNIX.
struct door {
    struct statsd *s;
    int fd; // -1: closed
    struct loop_io *io;
    uint32_t drops_seen; // the kernel's counter wraps
    uint64_t drops;
};

struct statsd {
    struct env *env;
    struct schedule *schedule;
    struct sampler *sampler;
    struct statsd_config config; // text borrowed
    struct door udp, unix_;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; // of the UNIX socket, to take away
    struct intake *intake;                                  // NULL: never applied
    struct tally tally;
    bool tally_open;
    int64_t retry_ns, turn_ns;
    uint64_t datagrams, samples, faults[STATSD_FAULTS];
    uint32_t ids_up[2], ids_datagrams, ids_samples, ids_drops, ids_faults[STATSD_FAULTS];
    struct mmsghdr messages[STATSD_BATCH];
    struct iovec vectors[STATSD_BATCH];
    char *room; // of STATSD_BATCH datagrams; pages none has ever filled are not resident
};

// --- lines ---------------------------------------------------------------------------------------

static enum tally_kind tally_kind_of(enum statsd_type t)
{
    switch (t) {
    case STATSD_COUNTER: return TALLY_COUNTER;
    case STATSD_GAUGE: return TALLY_GAUGE;
    case STATSD_TIMER: return TALLY_TIMER;
    case STATSD_SET: return TALLY_SET;
    }
    return TALLY_GAUGE;
}

static void on_sample(void *ctx, const struct statsd_sample *m)
{
    struct statsd *s = ctx;
    enum tally_kind kind = tally_kind_of(m->type);
    struct tally_entry *e = tally_at(&s->tally, m->key, m->key_len, kind);
    int rc = e ? 0 : -ENOBUFS;
    if (e && e->kind != kind) {
        s->faults[STATSD_CONFLICT]++;
        return;
    }
    if (e) {
        e->touched_ns = loop_now_ns(s->env->loop);
        switch (m->type) {
        case STATSD_COUNTER: e->value += m->value; break;
        case STATSD_GAUGE: e->value = m->relative ? e->value + m->value : m->value; break;
        case STATSD_TIMER: rc = expo_observe(&e->expo, m->value, m->times); break;
        case STATSD_SET: rc = tally_member(&s->tally, e, m->member, m->member_len); break;
        }
    }
    if (rc < 0)
        s->faults[STATSD_LIMIT]++;
    else
        s->samples++;
}

static void read_datagram(struct statsd *s, const char *at, size_t len, bool cut)
{
    const char *end = at + len;
    s->datagrams++;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop && cut) { // half a line says something else than the whole
            s->faults[STATSD_TOO_LONG]++;
            return;
        }
        size_t n = (size_t)((stop ? stop : end) - at);
        while (n && (at[n - 1] == '\r' || at[n - 1] == ' '))
            n--;
        statsd_line(at, n, s->faults, on_sample, s);
        at = stop ? stop + 1 : end;
    }
}

static void on_datagrams(void *ctx, int fd, uint32_t events)
{
    struct door *d = ctx;
    struct statsd *s = d->s;
    int64_t begun = sampler_cpu_begin();
    (void)events;
    for (int round = 0; round < STATSD_ROUNDS; round++) {
        int n = recvmmsg(fd, s->messages, STATSD_BATCH, MSG_DONTWAIT, NULL);
        for (int i = 0; i < n; i++)
            read_datagram(s, s->vectors[i].iov_base, s->messages[i].msg_len,
                s->messages[i].msg_hdr.msg_flags & MSG_TRUNC);
        if (n < STATSD_BATCH)
            break;
    }
    sampler_cpu_end(s->sampler, begun);
}

// --- the sockets ---------------------------------------------------------------------------------

static void door_close(struct door *d)
{
    loop_io_del(d->io);
    d->io = NULL;
    if (d->fd != -1)
        close(d->fd);
    d->fd = -1;
    d->drops_seen = 0;
}

static int door_open(struct door *d, const struct sockaddr *a, socklen_t len)
{
    int size = STATSD_BUFFER;
    d->fd = socket(a->sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (d->fd == -1)
        return -errno;
    // More than rmem_max where allowed.
    if (setsockopt(d->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) == -1)
        setsockopt(d->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    int rc = bind(d->fd, a, len) == -1 ? -errno : 0;
    if (rc == 0 && !(d->io = loop_io_add(d->s->env->loop, d->fd, EPOLLIN, on_datagrams, d)))
        rc = -ENOMEM;
    if (rc < 0)
        door_close(d);
    return rc;
}

static int open_udp(struct statsd *s)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(s->config.port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(s->config.port)};
    if (inet_pton(AF_INET, s->config.host, &in.sin_addr) == 1)
        return door_open(&s->udp, (const struct sockaddr *)&in, sizeof(in));
    if (inet_pton(AF_INET6, s->config.host, &in6.sin6_addr) == 1)
        return door_open(&s->udp, (const struct sockaddr *)&in6, sizeof(in6));
    return -EINVAL;
}

// What an agent before us left behind is taken away; a socket somebody answers on is not.
static bool left_behind(const struct sockaddr_un *un)
{
    struct stat st;
    if (lstat(un->sun_path, &st) == -1 || !S_ISSOCK(st.st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool dead = fd != -1 && connect(fd, (const struct sockaddr *)un, sizeof(*un)) == -1 &&
                errno == ECONNREFUSED;
    if (fd != -1)
        close(fd);
    return dead;
}

static int open_unix(struct statsd *s)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path, sizeof(un.sun_path), "%s", s->config.socket); // fits: config
    if (left_behind(&un))
        unlink(un.sun_path);
    int rc = door_open(&s->unix_, (const struct sockaddr *)&un, sizeof(un));
    // Whoever runs on this host may tell us numbers, as over loopback.
    if (rc == 0)
        (void)chmod(un.sun_path, 0666);
    return rc;
}

// One that cannot be opened is tried again, as long as it is wanted.
static void open_doors(struct statsd *s, int64_t now_ns)
{
    const struct statsd_config *c = &s->config;
    int udp = c->host && s->udp.fd == -1 ? open_udp(s) : 0;
    int unix_ = c->socket && s->unix_.fd == -1 ? open_unix(s) : 0;
    char *reason = s->sampler->reason;
    const size_t size = sizeof(s->sampler->reason);
    bool told = reason[0] != '\0';
    reason[0] = '\0';
    s->retry_ns = now_ns + RETRY_NS;
    if (udp < 0)
        snprintf(reason, size, "%s:%u: %s", c->host, c->port, strerror(-udp));
    else if (unix_ < 0)
        snprintf(reason, size, "%.100s: %s", c->socket, strerror(-unix_));
    if (reason[0] && !told)
        log_warn("statsd_not_listening", "error=%s", log_q(reason));
}

static void look_at_drops(struct door *d)
{
    uint32_t info[SK_MEMINFO_VARS] = {0};
    socklen_t len = sizeof(info);
    if (d->fd == -1 || getsockopt(d->fd, SOL_SOCKET, SO_MEMINFO, info, &len) == -1)
        return;
    d->drops += (uint32_t)(info[SK_MEMINFO_DROPS] - d->drops_seen);
    d->drops_seen = info[SK_MEMINFO_DROPS];
}

// --- once a second -------------------------------------------------------------------------------

static uint32_t declare(struct statsd *s, const void *key, size_t len, enum series_kind kind)
{
    struct wire_label l[STATSD_TAGS_MAX];
    const char *at = key, *end = at + len;
    size_t n = 0;
    for (at += strlen(at) + 1; at < end && n < STATSD_TAGS_MAX; n++) {
        l[n].name = at;
        at += strlen(at) + 1;
        l[n].value = at;
        at += strlen(at) + 1;
    }
    return intake_add(s->intake, key, len, key, l, n, kind, "", NULL);
}

static void write_entry(
    struct statsd *s, const void *key, size_t len, const struct tally_entry *e)
{
    static const enum series_kind KINDS[] = {[TALLY_COUNTER] = SERIES_COUNTER,
        [TALLY_GAUGE] = SERIES_GAUGE,
        [TALLY_TIMER] = SERIES_HISTOGRAM,
        [TALLY_SET] = SERIES_GAUGE};
    uint32_t series = intake_find(s->intake, key, len);
    if (!series)
        series = declare(s, key, len, KINDS[e->kind]);
    if (e->kind == TALLY_TIMER) {
        struct wire_histogram h = expo_wire(&e->expo);
        intake_set_histogram(s->intake, series, &h, 0);
    } else {
        intake_set(s->intake, series, e->value, 0);
    }
}

static uint32_t own_series(
    struct statsd *s, const char *name, const char *label, const char *value)
{
    struct wire_label l[] = {{"job", "tocsin"}, {label, value}};
    return output_series(s->env->out, name, l, value ? 2 : 1, SERIES_COUNTER, "1");
}

static uint32_t up_series(struct statsd *s, const char *door)
{
    struct wire_label l[] = {{"job", "tocsin"}, {"socket", door}};
    return output_series(s->env->out, "tocsin_agent_statsd_listening", l, 2, SERIES_STATE, "1");
}

static void write_self(struct statsd *s)
{
    struct output *o = s->env->out;
    if (!s->ids_datagrams) {
        s->ids_datagrams = own_series(s, "tocsin_agent_statsd_datagrams_total", "", NULL);
        s->ids_samples = own_series(s, "tocsin_agent_statsd_samples_total", "", NULL);
        s->ids_drops = own_series(s, "tocsin_agent_statsd_kernel_drops_total", "socket", "udp");
        if (s->config.host)
            s->ids_up[0] = up_series(s, "udp");
        if (s->config.socket)
            s->ids_up[1] = up_series(s, "unix");
    }
    output_set(o, s->ids_up[0], s->udp.fd != -1);
    output_set(o, s->ids_up[1], s->unix_.fd != -1);
    output_set(o, s->ids_datagrams, (double)s->datagrams);
    output_set(o, s->ids_samples, (double)s->samples);
    output_set(o, s->ids_drops, (double)s->udp.drops);
    for (int i = 0; i < STATSD_FAULTS; i++) {
        // A reason has its series from the first such line on.
        if (s->faults[i] && !s->ids_faults[i])
            s->ids_faults[i] = own_series(s, "tocsin_agent_statsd_bad_lines_total", "reason",
                statsd_fault_name((enum statsd_fault)i));
        output_set(o, s->ids_faults[i], (double)s->faults[i]); // id 0 is ignored
    }
}

static void statsd_tick(struct sampler *sampler, const struct tick *t)
{
    struct statsd *s = sampler->state;
    struct intake_round round;
    size_t it = 0, len;
    const void *key;
    struct tally_entry *e;
    if (t->now_ns >= s->retry_ns)
        open_doors(s, t->now_ns);
    look_at_drops(&s->udp);
    write_self(s);
    if (t->now_ns - s->turn_ns >= STATSD_SET_SPAN_MS * NS_PER_MS) {
        tally_turn(&s->tally);
        s->turn_ns = t->now_ns;
    }
    tally_sweep(&s->tally, t->now_ns - s->config.age_ms * NS_PER_MS);
    intake_begin(s->intake, t->wall_ms);
    while (tally_next(&s->tally, &it, &key, &len, &e))
        write_entry(s, key, len, e);
    intake_end(s->intake, true, &round);
}

static const struct sampler_ops SAMPLER_STATSD = {
    .name = "statsd", .interval_ms = 1000, .tick = statsd_tick};

// --- the part ------------------------------------------------------------------------------------

static void end_series(struct statsd *s)
{
    struct output *o = s->env->out;
    for (int i = 0; i < 2; i++)
        output_end(o, s->ids_up[i]);
    output_end(o, s->ids_datagrams);
    output_end(o, s->ids_samples);
    output_end(o, s->ids_drops);
    for (int i = 0; i < STATSD_FAULTS; i++)
        output_end(o, s->ids_faults[i]);
}

// wall_ms 0: the agent ends.
static void statsd_close(struct statsd *s, int64_t wall_ms)
{
    door_close(&s->udp);
    if (s->unix_.fd != -1)
        unlink(s->path);
    door_close(&s->unix_);
    intake_free(s->intake, wall_ms);
    s->intake = NULL;
    if (s->tally_open)
        tally_done(&s->tally);
    s->tally_open = false;
    free(s->room);
    s->room = NULL;
    if (s->sampler)
        schedule_drop(s->schedule, s->sampler);
    s->sampler = NULL;
    if (wall_ms)
        end_series(s);
}

static void statsd_free(void *state)
{
    statsd_close(state, 0);
    free(state);
}

static void *statsd_open(struct env *env, struct schedule *schedule, struct transfers *m)
{
    struct statsd *s = calloc(1, sizeof(*s));
    (void)m;
    if (!s)
        return NULL;
    s->env = env;
    s->schedule = schedule;
    s->udp = (struct door){.s = s, .fd = -1};
    s->unix_ = s->udp;
    return s;
}

static int start(struct statsd *s, const struct statsd_config *c)
{
    struct intake_options o = {
        .source = "statsd", .labels = LABELS, .n_labels = 1, .series_limit = c->series_limit};
    s->config = *c;
    s->tally_open = tally_init(&s->tally, c->series_limit * TALLY_FACTOR) == 0;
    s->room = malloc((size_t)STATSD_BATCH * STATSD_DATAGRAM);
    s->intake = intake_new(s->env->out, &o);
    s->sampler = schedule_add(s->schedule, &SAMPLER_STATSD, SAMPLER_STATSD.interval_ms, s);
    if (!s->tally_open || !s->room || !s->intake || !s->sampler)
        return -ENOMEM;
    for (int i = 0; i < STATSD_BATCH; i++) {
        s->vectors[i] = (struct iovec){s->room + (size_t)i * STATSD_DATAGRAM, STATSD_DATAGRAM};
        s->messages[i].msg_hdr = (struct msghdr){.msg_iov = &s->vectors[i], .msg_iovlen = 1};
    }
    if (c->socket)
        snprintf(s->path, sizeof(s->path), "%s", c->socket);
    s->turn_ns = clock_mono_ns(&s->env->clock);
    open_doors(s, s->turn_ns);
    return 0;
}

// Whoever changes it starts anew: sums of counters begin at zero, which a rate takes for a restart.
static int statsd_apply(void *state, const struct agent_config *c)
{
    struct statsd *s = state;
    const struct statsd_config *next = &c->statsd;
    bool same =
        s->intake && next->wanted && config_same_text(s->config.host, next->host) &&
        s->config.port == next->port && config_same_text(s->config.socket, next->socket) &&
        s->config.age_ms == next->age_ms && s->config.series_limit == next->series_limit;
    if (same) {
        s->config = *next; // its text is borrowed
        return 0;
    }
    if (s->intake) {
        int64_t wall_ms = clock_wall_ms(&s->env->clock);
        output_group(s->env->out, 0, 0, wall_ms);
        statsd_close(s, wall_ms);
        struct statsd *fresh = statsd_open(s->env, s->schedule, NULL);
        if (!fresh)
            return -ENOMEM;
        *s = *fresh;
        s->udp.s = s->unix_.s = s;
        free(fresh);
    }
    int rc = next->wanted ? start(s, next) : 0;
    if (rc < 0)
        statsd_close(s, 0);
    return rc;
}

static bool statsd_wanted(const struct agent_config *c)
{
    return c->statsd.wanted;
}

const struct part_ops statsd_part = {.name = "statsd",
    .wanted = statsd_wanted,
    .open = statsd_open,
    .apply = statsd_apply,
    .free = statsd_free};

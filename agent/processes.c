// SPDX-License-Identifier: Apache-2.0
#include "agent/processes.h"
#include "agent/config.h"
#include "agent/host.h"
#include "agent/identity.h"
#include "agent/process_group.h"
#include "agent/schedule.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define INTERVAL_MS   10000
#define SLICE_NS      (2 * NS_PER_MS)
#define PROCESSES_MAX 65536

static const char STATES[] = "RSDZTtXIPKW";
enum { N_STATES = sizeof(STATES) - 1 };

// What was seen of a process in the last round, by pid.
struct process {
    int32_t pid;
    uint32_t group;
    uint64_t start;
    struct process_use used; // since it began
};

struct processes {
    struct sampler *sampler;
    struct loop_timer *slice;
    int fd;                    // the folder /proc
    struct process *old, *now; // of the last round and of the one under way, by pid
    size_t n_old, at_old, n_now, cap_old, cap_now;
    struct groups groups;
    struct group_units units;
    struct host_number max_processes, max_threads;
    bool rounds; // there was one: who began later than `newest` is new
    uint64_t newest,
        latest; // start of the youngest process: of earlier rounds, of this one too
    bool sorted;
    bool done; // the round is over, and not shown yet
    bool under_way;
    int64_t cost_ns; // of the round
    uint64_t states[N_STATES], threads, pids;
    uint32_t state_ids[N_STATES], threads_id, pids_id;
};

// --- a round -------------------------------------------------------------------------------------

static bool service_of(const struct processes *p, int32_t pid, char name[IDENTITY_NAME_MAX])
{
    char path[32], text[4096], cgroup[IDENTITY_PATH_MAX];

    snprintf(path, sizeof(path), "%d/cgroup", pid);
    int len = host_read_text(p->fd, path, text, sizeof(text));
    return len > 0 && identity_cgroup_line(text, (size_t)len, cgroup) &&
           identity_cgroup_name(cgroup, name);
}

static struct process *now_add(struct processes *p)
{
    if (p->n_now == p->cap_now) {
        size_t cap = p->cap_now ? p->cap_now * 2 : 128;
        struct process *grown =
            cap <= PROCESSES_MAX ? realloc(p->now, cap * sizeof(*grown)) : NULL;
        if (!grown)
            return NULL;
        p->now = grown;
        p->cap_now = cap;
    }
    return &p->now[p->n_now++];
}

static int by_pid(const void *a, const void *b)
{
    const struct process *x = a, *y = b;
    return (x->pid > y->pid) - (x->pid < y->pid);
}

// The kernel lists pids in their order, so it is nearly always the next one.
static const struct process *last_round(struct processes *p, int32_t pid)
{
    struct process want = {.pid = pid};
    const struct process *one = NULL;

    if (p->at_old < p->n_old && p->old[p->at_old].pid == pid)
        one = &p->old[p->at_old];
    else if (p->n_old)
        one = bsearch(&want, p->old, p->n_old, sizeof(want), by_pid);
    if (one)
        p->at_old = (size_t)(one - p->old) + 1;
    return one;
}

static uint64_t more(uint64_t now, uint64_t before)
{
    return now > before ? now - before : 0;
}

static void look_at(struct processes *p, int32_t pid)
{
    char path[32], text[1024], service[IDENTITY_NAME_MAX];
    struct process_stat s;

    snprintf(path, sizeof(path), "%d/stat", pid);
    int len = host_read_text(p->fd, path, text, sizeof(text));
    if (len <= 0 || !process_stat_parse(text, (size_t)len, &s))
        return; // it ended meanwhile
    const struct process *before = last_round(p, pid);
    if (before && before->start != s.start)
        before = NULL; // another one of the same number
    struct process_use use = {s.user, s.system, s.minor_faults, s.major_faults}, since = use;
    uint32_t group = before ? before->group : GROUP_NONE;
    if (before)
        since = (struct process_use){more(use.user, before->used.user),
            more(use.system, before->used.system),
            more(use.minor_faults, before->used.minor_faults),
            more(use.major_faults, before->used.major_faults)};
    else if (p->rounds && s.start <= p->newest)
        since = (struct process_use){
            0}; // it was there and could not be looked at: not counted twice
    if (group == GROUP_NONE || strcmp(p->groups.list[group].comm, s.comm) != 0)
        group = groups_find(
            &p->groups, s.comm, !s.kernel && service_of(p, pid, service) ? service : NULL);
    struct process *one = group == GROUP_NONE ? NULL : now_add(p);
    if (!one)
        return;
    p->sorted = p->sorted && (one == p->now || one[-1].pid < pid);
    p->latest = s.start > p->latest ? s.start : p->latest;
    *one = (struct process){.pid = pid, .group = group, .start = s.start, .used = use};
    group_add(&p->groups.list[group], &s, &since);
    if (!before && !p->rounds)
        p->groups.list[group].spent = 0; // of its whole life, not of now
    p->pids++;
    p->threads += s.threads;
    const char *state = strchr(STATES, s.state);
    if (state && *state)
        p->states[state - STATES]++;
}

static void round_begin(struct processes *p)
{
    struct process *swap = p->old;
    size_t cap = p->cap_old;

    p->old = p->now;
    p->n_old = p->n_now;
    p->cap_old = p->cap_now;
    p->now = swap;
    p->cap_now = cap;
    p->n_now = p->at_old = 0;
    if (!p->sorted && p->n_old) // no kernel's /proc
        qsort(p->old, p->n_old, sizeof(*p->old), by_pid);
    p->sorted = true;
    p->newest = p->latest;
    p->pids = p->threads = 0;
    p->cost_ns = 0;
    memset(p->states, 0, sizeof(p->states));
    groups_begin(&p->groups);
    p->under_way = lseek(p->fd, 0, SEEK_SET) == 0;
}

// Slices are not in the tick's cost, by which the core stretches intervals: we do it, as it would.
static void round_over(struct processes *p, bool whole)
{
    int64_t interval_ns = INTERVAL_MS * NS_PER_MS, stretch = 1;

    while (stretch < SCHEDULE_STRETCH_MAX &&
           (double)p->cost_ns > SCHEDULE_SHARE * (double)(stretch * interval_ns))
        stretch *= 2;
    p->sampler->interval_ms = p->sampler->wanted_ms = (uint32_t)(INTERVAL_MS * stretch);
    p->under_way = false;
    p->done = whole;
    p->rounds = p->rounds || whole;
}

// Looks at processes until the slice is over; the rest after the loop has turned.
static void round_slice(struct processes *p)
{
    const struct clock *clock = &p->sampler->env->clock;
    int64_t until = clock_mono_ns(clock) + SLICE_NS, begun = sampler_cpu_begin();
    // A name of /proc takes up to 32 bytes: what one call reads is less than a slice.
    union {
        struct dirent64 align;
        char bytes[2048];
    } names;
    long n;

    while ((n = syscall(SYS_getdents64, p->fd, names.bytes, sizeof(names.bytes))) > 0) {
        for (long at = 0; at < n;) {
            const struct dirent64 *e =
                (const struct dirent64 *)(const void *)(names.bytes + at);
            at += e->d_reclen;
            if (e->d_name[0] >= '1' && e->d_name[0] <= '9')
                look_at(p, (int32_t)strtol(e->d_name, NULL, 10));
        }
        if (clock_mono_ns(clock) >= until)
            break;
    }
    p->cost_ns += sampler_cpu_begin() - begun;
    if (n > 0)
        loop_timer_set(p->slice, clock_mono_ns(clock));
    else
        round_over(p, n == 0 && p->pids > 0); // without even ourselves it is no /proc
}

static void on_slice(void *ctx, int64_t due_ns, int64_t now_ns)
{
    struct processes *p = ctx;
    int64_t begun = sampler_cpu_begin();

    (void)due_ns;
    (void)now_ns;
    round_slice(p);
    sampler_cpu_end(p->sampler, begun);
}

// --- the sampler ---------------------------------------------------------------------------------

static void show(struct processes *p, struct output *o, size_t top, int64_t now_ns)
{
    if (!p->pids_id) {
        p->pids_id = host_series(o, "node_processes_pids", SERIES_GAUGE, "1", NULL);
        p->threads_id = host_series(o, "node_processes_threads", SERIES_GAUGE, "1", NULL);
    }
    output_set(o, p->pids_id, (double)p->pids);
    output_set(o, p->threads_id, (double)p->threads);
    for (int i = 0; i < N_STATES; i++) {
        char name[2] = {STATES[i], 0};
        if (p->states[i] && !p->state_ids[i])
            p->state_ids[i] = host_series(o, "node_processes_state", SERIES_GAUGE, "1",
                (struct wire_label[]){{"state", name}, {NULL, NULL}});
        output_set(o, p->state_ids[i], (double)p->states[i]);
    }
    groups_show(&p->groups, o, top, now_ns, &p->units);
}

static void turn_off(struct processes *p, struct output *o)
{
    loop_timer_stop(p->slice);
    groups_hide(&p->groups, o);
    groups_done(&p->groups);
    free(p->old);
    free(p->now);
    p->old = p->now = NULL;
    p->n_old = p->n_now = p->cap_old = p->cap_now = 0;
    p->rounds = p->done = p->under_way = false;
    p->newest = p->latest = 0;
    for (int i = 0; i < N_STATES; i++)
        output_end(o, p->state_ids[i]);
    memset(p->state_ids, 0, sizeof(p->state_ids));
    output_end(o, p->pids_id);
    output_end(o, p->threads_id);
    p->pids_id = p->threads_id = 0;
}

static void processes_tick(struct sampler *s, const struct tick *t)
{
    struct processes *p = s->state;
    struct output *o = s->env->out;
    size_t top = s->env->config ? s->env->config->processes_top : PROCESSES_TOP_DEFAULT;

    if (!top) {
        if (p->rounds || p->under_way)
            turn_off(p, o);
        return;
    }
    host_number_tick(&p->max_processes, o);
    host_number_tick(&p->max_threads, o);
    // A round that is not over in one slice is shown when the next one begins.
    if (!p->under_way && !p->done) {
        round_begin(p);
        if (p->under_way)
            round_slice(p);
    }
    if (!p->done)
        return;
    show(p, o, top, t->now_ns);
    p->done = false;
}

static void processes_close(struct sampler *s)
{
    struct processes *p = s->state;

    if (!p)
        return;
    turn_off(p, s->env->out);
    loop_timer_free(p->slice);
    host_number_done(&p->max_processes);
    host_number_done(&p->max_threads);
    if (p->fd != -1)
        close(p->fd);
    free(p);
    s->state = NULL;
}

static double boot_seconds(const char *proc)
{
    struct procfile stat;
    uint64_t v = 0;

    procfile_init(&stat);
    if (procfile_open(&stat, proc, "stat") == 0 && procfile_read(&stat) == 0) {
        const char *at = strstr(stat.text, "\nbtime ");
        if (at)
            scan_u64(at + 7, &v);
    }
    procfile_done(&stat);
    return (double)v;
}

static int processes_open(struct sampler *s)
{
    char path[300];
    struct processes *p = s->state = calloc(1, sizeof(*p));

    if (!p)
        return host_unavailable(s, "processes", -ENOMEM);
    p->sampler = s;
    p->max_processes.fd = p->max_threads.fd = -1;
    p->fd = open(s->env->proc, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (p->fd == -1)
        return host_unavailable(s, "/proc", -errno);
    p->slice = loop_timer_new(s->env->loop, on_slice, p);
    if (!p->slice)
        return host_unavailable(s, "processes", -ENOMEM);
    p->units = (struct group_units){.hz = (double)sysconf(_SC_CLK_TCK),
        .page_bytes = (double)sysconf(_SC_PAGESIZE),
        .boot_s = boot_seconds(s->env->proc)};
    host_number_open(&p->max_processes, s->env->proc, "sys/kernel/pid_max", s->env->out,
        "node_processes_max_processes", SERIES_GAUGE);
    host_number_open(&p->max_threads, s->env->proc, "sys/kernel/threads-max", s->env->out,
        "node_processes_max_threads", SERIES_GAUGE);
    snprintf(path, sizeof(path), "%.256s/self/stat", s->env->proc);
    if (access(path, R_OK) == -1)
        return host_unavailable(s, "/proc/self/stat", -errno);
    snprintf(path, sizeof(path), "%.256s/1/stat", s->env->proc);
    if (access(path, R_OK) == -1) {
        snprintf(s->reason, sizeof(s->reason),
            "/proc hides other users' processes (hidepid): only our own are seen");
        s->lacks = 1ull << CAP_SYS_PTRACE;
        s->fix = "or mount -o remount,hidepid=0 /proc";
    }
    return 0;
}

const struct sampler_ops sampler_host_processes = {.name = "host.processes",
    .interval_ms = INTERVAL_MS,
    .open = processes_open,
    .tick = processes_tick,
    .close = processes_close};

// SPDX-License-Identifier: Apache-2.0
// CPU time by mode, and the counters that stand in the same file: /proc/stat.
#include "agent/host.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Columns of a cpu line. guest is part of user and guest_nice of nice, as the kernel counts.
static const char *const MODES[] = {
    "user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"};
enum { N_MODES = 8, N_COLUMNS = 10, IDLE = 3 };
// Idle and iowait go back now and then, by some ticks: they are computed when they are read. A rule would
// take that for a counter that began anew, and its whole value for growth. Further back than this, all
// columns did begin anew: the CPU was away.
#define IDLE_BACK_S 3

// The lines behind the cpus, by their first word.
static const struct {
    const char *word, *name, *unit;
    enum series_kind kind;
} SINGLES[] = {
    {"intr", "node_intr_total", "1", SERIES_COUNTER},
    {"ctxt", "node_context_switches_total", "1", SERIES_COUNTER},
    {"btime", "node_boot_time_seconds", "s", SERIES_GAUGE},
    {"processes", "node_forks_total", "1", SERIES_COUNTER},
    {"procs_running", "node_procs_running", "1", SERIES_GAUGE},
    {"procs_blocked", "node_procs_blocked", "1", SERIES_GAUGE},
};
enum { N_SINGLES = sizeof(SINGLES) / sizeof(SINGLES[0]) };

struct cpu {
    struct procfile stat;
    struct host_rows cpus;
    uint32_t singles[N_SINGLES];
    double hz;
};

static void cpu_close(struct sampler *s)
{
    struct cpu *c = s->state;
    if (!c)
        return;
    procfile_done(&c->stat);
    host_rows_done(&c->cpus);
    free(c);
    s->state = NULL;
}

static int cpu_open(struct sampler *s)
{
    struct cpu *c = s->state = calloc(1, sizeof(*c));
    if (!c)
        return host_unavailable(s, "stat", -ENOMEM);
    procfile_init(&c->stat);
    c->hz = (double)sysconf(_SC_CLK_TCK);
    int rc = procfile_open(&c->stat, s->env->proc, "stat");
    if (rc < 0)
        return host_unavailable(s, "/proc/stat", rc);
    for (int i = 0; i < N_SINGLES; i++)
        c->singles[i] =
            host_series(s->env->out, SINGLES[i].name, SINGLES[i].kind, SINGLES[i].unit, NULL);
    return 0;
}

static void cpu_intern(struct output *o, struct host_row *row)
{
    for (int m = 0; m < N_MODES; m++)
        row->ids[m] = host_series(o, "node_cpu_seconds_total", SERIES_COUNTER, "s",
            (struct wire_label[]){{"cpu", row->name}, {"mode", MODES[m]}, {NULL, NULL}});
    for (int g = 0; g < 2; g++)
        row->ids[N_MODES + g] =
            host_series(o, "node_cpu_guest_seconds_total", SERIES_COUNTER, "s",
                (struct wire_label[]){
                    {"cpu", row->name}, {"mode", g ? "nice" : "user"}, {NULL, NULL}});
}

// The columns of one CPU, none of them lower than before. *p is behind the name.
static void cpu_columns(struct output *o, struct host_row *row, const char *p, double hz)
{
    uint64_t now[N_COLUMNS], *last = row->own;

    for (int k = 0; k < N_COLUMNS; k++)
        p = scan_u64(p, &now[k]);
    if (!last && !(last = row->own = calloc(N_COLUMNS, sizeof(*last))))
        return;
    bool anew = now[IDLE] < last[IDLE] && (double)(last[IDLE] - now[IDLE]) > IDLE_BACK_S * hz;
    for (int k = 0; k < N_COLUMNS; k++) {
        if (anew || now[k] > last[k])
            last[k] = now[k];
        if (anew)
            output_reset(o, row->ids[k], (double)last[k] / hz);
        else
            output_set(o, row->ids[k], (double)last[k] / hz);
    }
}

static void cpu_tick(struct sampler *s, const struct tick *t)
{
    struct cpu *c = s->state;
    struct output *o = s->env->out;
    int single = 0;
    (void)t;

    if (procfile_read(&c->stat) < 0) {
        for (int i = 0; i < N_SINGLES; i++)
            output_absent(o, c->singles[i]);
        return;
    }
    host_rows_begin(&c->cpus);
    for (const char *p = c->stat.text; *p; p = scan_line(p)) {
        uint64_t v;
        if (strncmp(p, "cpu", 3) == 0) {
            p += 3;
            if (*p == ' ') // the sum over all
                continue;
            size_t len;
            const char *name = scan_word(&p, &len);
            bool is_new;
            struct host_row *row = host_rows_find(&c->cpus, name, len, &is_new);
            if (!row)
                continue;
            if (is_new)
                cpu_intern(o, row);
            cpu_columns(o, row, p, c->hz);
            continue;
        }
        size_t len;
        const char *word = scan_word(&p, &len);
        // In file order, so usually the next one; a kernel without one of them costs a lap.
        for (int k = 0; k < N_SINGLES; k++) {
            int at = (single + k) % N_SINGLES;
            if (strlen(SINGLES[at].word) == len && memcmp(SINGLES[at].word, word, len) == 0) {
                scan_u64(p, &v);
                output_set(o, c->singles[at], (double)v);
                single = at + 1;
                break;
            }
        }
    }
    host_rows_sweep(&c->cpus, o);
}

const struct sampler_ops sampler_host_cpu = {.name = "host.cpu",
    .interval_ms = 1000,
    .open = cpu_open,
    .tick = cpu_tick,
    .close = cpu_close};

// SPDX-License-Identifier: Apache-2.0
// Pressure stall information: how long tasks waited for CPU, memory and disk. /proc/pressure.
#include "agent/host.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const FILES[] = {"pressure/cpu", "pressure/io", "pressure/memory"};
static const char *const WAITING[] = {"node_pressure_cpu_waiting_seconds_total",
    "node_pressure_io_waiting_seconds_total", "node_pressure_memory_waiting_seconds_total"};
static const char *const STALLED[] = {NULL, "node_pressure_io_stalled_seconds_total",
    "node_pressure_memory_stalled_seconds_total"};

struct pressure {
    struct procfile files[3];
    uint32_t waiting[3], stalled[3];
};

static void pressure_close(struct sampler *s)
{
    struct pressure *p = s->state;
    if (!p)
        return;
    for (int i = 0; i < 3; i++)
        procfile_done(&p->files[i]);
    free(p);
    s->state = NULL;
}

static int pressure_open(struct sampler *s)
{
    struct pressure *p = s->state = calloc(1, sizeof(*p));
    if (!p)
        return host_unavailable(s, "pressure", -ENOMEM);
    for (int i = 0; i < 3; i++)
        procfile_init(&p->files[i]);
    for (int i = 0; i < 3; i++) {
        int rc = procfile_open(&p->files[i], s->env->proc, FILES[i]);
        // Where it is compiled in and turned off the files are there and a read says so.
        if (rc == 0)
            rc = procfile_read(&p->files[i]);
        if (rc < 0) {
            s->fix = "boot with psi=1; the kernel needs CONFIG_PSI";
            return host_unavailable(s, "/proc/pressure", rc);
        }
        p->waiting[i] = host_series(s->env->out, WAITING[i], SERIES_COUNTER, "s", NULL);
        if (STALLED[i])
            p->stalled[i] = host_series(s->env->out, STALLED[i], SERIES_COUNTER, "s", NULL);
    }
    return 0;
}

// "some avg10=0.00 avg60=0.00 avg300=0.00 total=5749507\nfull ...", total in microseconds.
static void pressure_tick(struct sampler *s, const struct tick *t)
{
    struct pressure *p = s->state;
    (void)t;
    for (int i = 0; i < 3; i++) {
        if (procfile_read(&p->files[i]) < 0) {
            output_absent(s->env->out, p->waiting[i]);
            output_absent(s->env->out, p->stalled[i]);
            continue;
        }
        for (const char *q = p->files[i].text; *q; q = scan_line(q)) {
            uint32_t id = *q == 's' ? p->waiting[i] : p->stalled[i];
            const char *total = strstr(q, "total=");
            uint64_t us;
            if (!total)
                break;
            q = scan_u64(total + 6, &us);
            output_set(s->env->out, id, (double)us / 1000 / 1000);
        }
    }
}

const struct sampler_ops sampler_host_pressure = {.name = "host.pressure",
    .interval_ms = 1000,
    .open = pressure_open,
    .tick = pressure_tick,
    .close = pressure_close};

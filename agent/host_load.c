// SPDX-License-Identifier: Apache-2.0
// Load averages, open files of the whole host, the host's clock and what it runs.
#include "agent/host.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/utsname.h>

struct load {
    struct procfile loadavg, filenr;
    uint32_t load[3], allocated, maximum, time, uname;
};

static void load_close(struct sampler *s)
{
    struct load *l = s->state;
    if (!l)
        return;
    procfile_done(&l->loadavg);
    procfile_done(&l->filenr);
    free(l);
    s->state = NULL;
}

static int load_open(struct sampler *s)
{
    static const char *const LOAD[] = {"node_load1", "node_load5", "node_load15"};
    struct output *o = s->env->out;
    struct utsname u;
    struct load *l = s->state = calloc(1, sizeof(*l));
    if (!l)
        return host_unavailable(s, "loadavg", -ENOMEM);
    procfile_init(&l->loadavg);
    procfile_init(&l->filenr);
    int rc = procfile_open(&l->loadavg, s->env->proc, "loadavg");
    if (rc < 0)
        return host_unavailable(s, "/proc/loadavg", rc);
    for (int i = 0; i < 3; i++)
        l->load[i] = host_series(o, LOAD[i], SERIES_GAUGE, "1", NULL);
    l->time = host_series(o, "node_time_seconds", SERIES_GAUGE, "s", NULL);
    if (uname(&u) == 0)
        l->uname = host_series(o, "node_uname_info", SERIES_GAUGE, "1",
            (struct wire_label[]){{"domainname", u.domainname}, {"machine", u.machine},
                {"nodename", u.nodename}, {"release", u.release}, {"sysname", u.sysname},
                {"version", u.version}, {NULL, NULL}});
    rc = procfile_open(&l->filenr, s->env->proc, "sys/fs/file-nr");
    if (rc < 0) {
        host_unavailable(s, "/proc/sys/fs/file-nr", rc);
        return 0;
    }
    l->allocated = host_series(o, "node_filefd_allocated", SERIES_GAUGE, "1", NULL);
    l->maximum = host_series(o, "node_filefd_maximum", SERIES_GAUGE, "1", NULL);
    return 0;
}

static void load_tick(struct sampler *s, const struct tick *t)
{
    struct load *l = s->state;
    struct output *o = s->env->out;

    output_set(o, l->time, (double)t->wall_ms / 1000);
    output_set(o, l->uname, 1);
    const char *p = procfile_read(&l->loadavg) == 0 ? l->loadavg.text : NULL;
    for (int i = 0; i < 3; i++) {
        uint64_t whole, hundredths = 0;
        if (!p) {
            output_absent(o, l->load[i]);
            continue;
        }
        p = scan_u64(p, &whole);
        if (*p == '.')
            p = scan_u64(p + 1, &hundredths);
        output_set(o, l->load[i], (double)(whole * 100 + hundredths) / 100);
    }
    if (l->filenr.fd == -1)
        return;
    if (procfile_read(&l->filenr) < 0) {
        output_absent(o, l->allocated);
        output_absent(o, l->maximum);
        return;
    }
    uint64_t v;
    p = scan_u64(l->filenr.text, &v);
    output_set(o, l->allocated, (double)v);
    p = scan_u64(p, &v);
    scan_u64(p, &v);
    output_set(o, l->maximum, (double)v);
}

const struct sampler_ops sampler_host_load = {.name = "host.load",
    .interval_ms = 1000,
    .open = load_open,
    .tick = load_tick,
    .close = load_close};

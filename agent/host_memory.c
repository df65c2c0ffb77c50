// SPDX-License-Identifier: Apache-2.0
// /proc/meminfo, every line, and the counters of /proc/vmstat that tell of pressure.
#include "agent/host.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINES_MAX 128

// In the order of the file.
static const char *const VMSTAT[] = {
    "pgpgin", "pgpgout", "pswpin", "pswpout", "pgfault", "pgmajfault", "oom_kill"};
enum { N_VMSTAT = sizeof(VMSTAT) / sizeof(VMSTAT[0]) };

struct memory {
    struct procfile meminfo, vmstat;
    size_t n_lines;
    struct {
        uint32_t id;
        bool kib;
    } lines[LINES_MAX];
    uint32_t vm[N_VMSTAT];
};

static void memory_close(struct sampler *s)
{
    struct memory *m = s->state;
    if (!m)
        return;
    procfile_done(&m->meminfo);
    procfile_done(&m->vmstat);
    free(m);
    s->state = NULL;
}

// "Active(anon):  1560 kB" is node_memory_Active_anon_bytes; a line without unit has no _bytes.
static void intern_lines(struct sampler *s, struct memory *m)
{
    m->n_lines = 0;
    for (const char *p = m->meminfo.text; *p && m->n_lines < LINES_MAX; p = scan_line(p)) {
        char name[96] = "node_memory_";
        size_t n = strlen(name);
        const char *q = p;
        for (; *q && *q != ':' && *q != '\n' && n < 64; q++)
            if (*q == '(')
                name[n++] = '_';
            else if (*q != ')')
                name[n++] = *q;
        name[n] = 0;
        uint64_t v;
        if (*q == ':')
            q = scan_u64(q + 1, &v);
        bool kib = strncmp(q, " kB", 3) == 0;
        if (kib)
            strcpy(name + n, "_bytes");
        m->lines[m->n_lines].kib = kib;
        m->lines[m->n_lines++].id =
            host_series(s->env->out, name, SERIES_GAUGE, kib ? "By" : "1", NULL);
    }
}

static int memory_open(struct sampler *s)
{
    struct memory *m = s->state = calloc(1, sizeof(*m));
    if (!m)
        return host_unavailable(s, "meminfo", -ENOMEM);
    procfile_init(&m->meminfo);
    procfile_init(&m->vmstat);
    int rc = procfile_open(&m->meminfo, s->env->proc, "meminfo");
    if (rc == 0)
        rc = procfile_read(&m->meminfo);
    if (rc < 0)
        return host_unavailable(s, "/proc/meminfo", rc);
    intern_lines(s, m);
    rc = procfile_open(&m->vmstat, s->env->proc, "vmstat");
    if (rc < 0) { // degraded: memory alone is worth having
        host_unavailable(s, "/proc/vmstat", rc);
        return 0;
    }
    for (int i = 0; i < N_VMSTAT; i++) {
        char name[64];
        snprintf(name, sizeof(name), "node_vmstat_%s", VMSTAT[i]);
        m->vm[i] = host_series(s->env->out, name, SERIES_COUNTER, "1", NULL);
    }
    return 0;
}

static void memory_tick(struct sampler *s, const struct tick *t)
{
    struct memory *m = s->state;
    struct output *o = s->env->out;
    uint64_t v;
    (void)t;

    if (procfile_read(&m->meminfo) < 0) {
        for (size_t i = 0; i < m->n_lines; i++)
            output_absent(o, m->lines[i].id);
    } else {
        size_t at = 0;
        for (const char *p = m->meminfo.text; *p && at < m->n_lines; p = scan_line(p), at++) {
            while (*p && *p != ':' && *p != '\n')
                p++;
            if (*p != ':')
                continue;
            p = scan_u64(p + 1, &v);
            output_set(o, m->lines[at].id, (double)v * (m->lines[at].kib ? 1024 : 1));
        }
    }
    if (m->vmstat.fd == -1 || procfile_read(&m->vmstat) < 0)
        return;
    int at = 0;
    for (const char *p = m->vmstat.text; *p && at < N_VMSTAT; p = scan_line(p)) {
        size_t len;
        const char *word = scan_word(&p, &len);
        // In the kernel's order, but not all are everywhere: without swap there is no pswpin.
        for (int k = at; k < N_VMSTAT; k++)
            if (strlen(VMSTAT[k]) == len && memcmp(VMSTAT[k], word, len) == 0) {
                scan_u64(p, &v);
                output_set(o, m->vm[k], (double)v);
                at = k + 1;
                break;
            }
    }
}

const struct sampler_ops sampler_host_memory = {.name = "host.memory",
    .interval_ms = 1000,
    .open = memory_open,
    .tick = memory_tick,
    .close = memory_close};

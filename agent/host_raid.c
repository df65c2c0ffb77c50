// SPDX-License-Identifier: Apache-2.0
/*
 * Software RAID, from /proc/mdstat. Where the kernel has none the file is not there, which is no
 * fault: nothing is sampled, and a module that is loaded later is seen.
 *
 *     md0 : active raid1 sdb1[2] sda1[0](F)
 *           979840 blocks super 1.2 [2/1] [U_]
 *           [=>....]  recovery =  8.5% (83520/979840) finish=0.3min speed=41760K/sec
 */
#include "agent/host.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DISKS_ACTIVE,
    DISKS_FAILED,
    DISKS_SPARE,
    REQUIRED,
    BLOCKS,
    SYNCED,
    STATE_ACTIVE,
    STATE_INACTIVE,
    STATE_RECOVERING,
    STATE_RESYNC,
    STATE_CHECK,
    N_SERIES
};
static const struct {
    const char *name, *state;
} SERIES[N_SERIES] = {
    [DISKS_ACTIVE] = {"node_md_disks", "active"},
    [DISKS_FAILED] = {"node_md_disks", "failed"},
    [DISKS_SPARE] = {"node_md_disks", "spare"},
    [REQUIRED] = {"node_md_disks_required", NULL},
    [BLOCKS] = {"node_md_blocks", NULL},
    [SYNCED] = {"node_md_blocks_synced", NULL},
    [STATE_ACTIVE] = {"node_md_state", "active"},
    [STATE_INACTIVE] = {"node_md_state", "inactive"},
    [STATE_RECOVERING] = {"node_md_state", "recovering"},
    [STATE_RESYNC] = {"node_md_state", "resync"},
    [STATE_CHECK] = {"node_md_state", "check"},
};

struct raid {
    struct procfile mdstat;
    struct host_rows arrays;
};

static void raid_close(struct sampler *s)
{
    struct raid *r = s->state;
    if (!r)
        return;
    procfile_done(&r->mdstat);
    host_rows_done(&r->arrays);
    free(r);
    s->state = NULL;
}

static int raid_open(struct sampler *s)
{
    struct raid *r = s->state = calloc(1, sizeof(*r));
    if (!r)
        return host_unavailable(s, "mdstat", -ENOMEM);
    procfile_init(&r->mdstat);
    return 0;
}

struct array {
    double v[N_SERIES];
    bool counted; // [n/m] was there: m is what is active
};

// "sda1[0](F)" ...: the disks behind the level.
static void read_disks(struct array *a, const char *p)
{
    size_t len;
    for (const char *w = scan_word(&p, &len); len; w = scan_word(&p, &len)) {
        if (!memchr(w, '[', len))
            continue; // the level, (read-only), (auto-read-only)
        if (len > 3 && memcmp(w + len - 3, "(F)", 3) == 0)
            a->v[DISKS_FAILED]++;
        else if (len > 3 && memcmp(w + len - 3, "(S)", 3) == 0)
            a->v[DISKS_SPARE]++;
        else
            a->v[DISKS_ACTIVE]++;
    }
}

// The lines below the first one, up to the next array.
static void read_detail(struct array *a, const char *line, size_t len)
{
    char text[256];
    uint64_t n, m;
    if (len >= sizeof(text))
        len = sizeof(text) - 1;
    memcpy(text, line, len);
    text[len] = 0;
    if (strstr(text, " blocks")) {
        scan_u64(text, &n);
        a->v[BLOCKS] = a->v[SYNCED] = (double)n;
        for (const char *p = strchr(text, '['); p; p = strchr(p + 1, '[')) {
            const char *q = scan_u64(p + 1, &n);
            if (q == p + 1 || *q != '/')
                continue;
            scan_u64(q + 1, &m);
            a->v[REQUIRED] = (double)n;
            a->v[DISKS_ACTIVE] = (double)m;
            a->counted = true;
        }
    }
    static const struct {
        const char *word;
        int state;
    } SYNCS[] = {{"recovery", STATE_RECOVERING}, {"reshape", STATE_RESYNC},
        {"resync", STATE_RESYNC}, {"check", STATE_CHECK}};
    for (size_t i = 0; i < sizeof(SYNCS) / sizeof(SYNCS[0]); i++) {
        const char *at = strstr(text, SYNCS[i].word), *p = at ? strchr(at, '=') : NULL;
        if (!p)
            continue;
        a->v[STATE_ACTIVE] = 0;
        a->v[SYNCS[i].state] = 1;
        a->v[SYNCED] = 0;
        if ((p = strchr(p, '('))) { // absent while it is DELAYED or PENDING
            scan_u64(p + 1, &n);
            a->v[SYNCED] = (double)n;
        }
        return;
    }
}

static void array_set(
    struct raid *r, struct output *o, const char *name, size_t len, const struct array *a)
{
    bool is_new;
    struct host_row *row = host_rows_find(&r->arrays, name, len, &is_new);
    for (int i = 0; row && i < N_SERIES; i++) {
        if (is_new)
            row->ids[i] = host_series(o, SERIES[i].name, SERIES_GAUGE, "1",
                (struct wire_label[]){{"device", row->name},
                    {SERIES[i].state ? "state" : NULL, SERIES[i].state}, {NULL, NULL}});
        output_set(o, row->ids[i], a->v[i]);
    }
}

static void raid_tick(struct sampler *s, const struct tick *t)
{
    struct raid *r = s->state;
    struct output *o = s->env->out;
    (void)t;

    if (r->mdstat.fd == -1 && procfile_open(&r->mdstat, s->env->proc, "mdstat") < 0)
        return;
    host_rows_begin(&r->arrays);
    if (procfile_read(&r->mdstat) < 0)
        return;
    for (const char *p = r->mdstat.text; *p;) {
        const char *name = p, *next = scan_line(p);
        size_t len, word_len;
        scan_word(&p, &len);
        const char *colon = scan_word(&p, &word_len);
        if (strncmp(name, "md", 2) != 0 || word_len != 1 || *colon != ':') {
            p = next;
            continue;
        }
        struct array a = {0};
        const char *state = scan_word(&p, &word_len);
        bool active = word_len == 6 && memcmp(state, "active", 6) == 0;
        a.v[active ? STATE_ACTIVE : STATE_INACTIVE] = 1;
        read_disks(&a, p);
        // Levels without redundancy do not say how many they need: all.
        double needs = a.v[DISKS_ACTIVE] + a.v[DISKS_FAILED];
        for (p = next; *p == ' '; p = next) {
            next = scan_line(p);
            read_detail(&a, p, (size_t)(next - p));
        }
        if (!a.counted)
            a.v[REQUIRED] = active ? needs : 0;
        array_set(r, o, name, len, &a);
    }
    host_rows_sweep(&r->arrays, o);
}

const struct sampler_ops sampler_host_raid = {.name = "host.raid",
    .interval_ms = 5000,
    .open = raid_open,
    .tick = raid_tick,
    .close = raid_close};

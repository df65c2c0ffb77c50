// SPDX-License-Identifier: Apache-2.0
/*
 * The host's clock: the time it shows, what it is made of, and how well it is kept (adjtimex, which
 * only reads here and needs no privilege; systemd's ProtectClock= forbids reading too).
 */
#include "agent/host.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>
#include <time.h>

// The kernel's frequencies: parts per million with 16 bits behind the point.
#define PPM_16 (1e6 * 65536)

enum {
    OFFSET,
    FREQUENCY,
    MAXERROR,
    ESTERROR,
    STATUS,
    CONSTANT,
    TICK,
    PPS_FREQUENCY,
    PPS_JITTER,
    PPS_SHIFT,
    PPS_STABILITY,
    PPS_JITTERS,
    PPS_CALIBRATIONS,
    PPS_ERRORS,
    PPS_UNSTABLE,
    TAI,
    SYNC,
    N_TIMEX
};
static const struct {
    const char *name, *unit;
    enum series_kind kind;
} TIMEX[N_TIMEX] = {
    [OFFSET] = {"node_timex_offset_seconds", "s", SERIES_GAUGE},
    [FREQUENCY] = {"node_timex_frequency_adjustment_ratio", "1", SERIES_GAUGE},
    [MAXERROR] = {"node_timex_maxerror_seconds", "s", SERIES_GAUGE},
    [ESTERROR] = {"node_timex_estimated_error_seconds", "s", SERIES_GAUGE},
    [STATUS] = {"node_timex_status", "1", SERIES_GAUGE},
    [CONSTANT] = {"node_timex_loop_time_constant", "1", SERIES_GAUGE},
    [TICK] = {"node_timex_tick_seconds", "s", SERIES_GAUGE},
    [PPS_FREQUENCY] = {"node_timex_pps_frequency_hertz", "Hz", SERIES_GAUGE},
    [PPS_JITTER] = {"node_timex_pps_jitter_seconds", "s", SERIES_GAUGE},
    [PPS_SHIFT] = {"node_timex_pps_shift_seconds", "s", SERIES_GAUGE},
    [PPS_STABILITY] = {"node_timex_pps_stability_hertz", "Hz", SERIES_GAUGE},
    [PPS_JITTERS] = {"node_timex_pps_jitter_total", "1", SERIES_COUNTER},
    [PPS_CALIBRATIONS] = {"node_timex_pps_calibration_total", "1", SERIES_COUNTER},
    [PPS_ERRORS] = {"node_timex_pps_error_total", "1", SERIES_COUNTER},
    [PPS_UNSTABLE] = {"node_timex_pps_stability_exceeded_total", "1", SERIES_COUNTER},
    [TAI] = {"node_timex_tai_offset_seconds", "s", SERIES_GAUGE},
    [SYNC] = {"node_timex_sync_status", "1", SERIES_GAUGE},
};

#define SOURCES_DIR "devices/system/clocksource"
#define SOURCES_MAX 16

struct host_clock {
    uint32_t time, zone, timex[N_TIMEX];
    char zone_name[32];
    struct host_rows available, current; // clock sources, "DEVICE/NAME"
};

static void clock_close(struct sampler *s)
{
    struct host_clock *c = s->state;
    if (!c)
        return;
    host_rows_done(&c->available);
    host_rows_done(&c->current);
    free(c);
    s->state = NULL;
}

static int clock_open(struct sampler *s)
{
    struct host_clock *c = s->state = calloc(1, sizeof(*c));
    struct timex t = {0};
    if (!c)
        return host_unavailable(s, "clock", -ENOMEM);
    c->time = host_series(s->env->out, "node_time_seconds", SERIES_GAUGE, "s", NULL);
    if (adjtimex(&t) == -1) { // degraded: the time alone is worth having
        s->fix =
            "the unit must allow reading the clock: ProtectClock=no, SystemCallFilter=adjtimex clock_adjtime "
            "(setting it needs CAP_SYS_TIME)";
        host_unavailable(s, "adjtimex", -errno);
        return 0;
    }
    for (int i = 0; i < N_TIMEX; i++)
        c->timex[i] =
            host_series(s->env->out, TIMEX[i].name, TIMEX[i].kind, TIMEX[i].unit, NULL);
    return 0;
}

static void timex_tick(const struct host_clock *c, struct output *o)
{
    struct timex t = {0};
    int state = adjtimex(&t);
    if (state == -1) {
        for (int i = 0; i < N_TIMEX; i++)
            output_absent(o, c->timex[i]);
        return;
    }
    double fine = t.status & STA_NANO ? 1e9 : 1e6;
    const double v[N_TIMEX] = {
        [OFFSET] = (double)t.offset / fine,
        [FREQUENCY] = 1 + (double)t.freq / PPM_16,
        [MAXERROR] = (double)t.maxerror / 1e6,
        [ESTERROR] = (double)t.esterror / 1e6,
        [STATUS] = t.status,
        [CONSTANT] = (double)t.constant,
        [TICK] = (double)t.tick / 1e6,
        [PPS_FREQUENCY] = (double)t.ppsfreq / PPM_16,
        [PPS_JITTER] = (double)t.jitter / fine,
        [PPS_SHIFT] = t.shift,
        [PPS_STABILITY] = (double)t.stabil / PPM_16,
        [PPS_JITTERS] = (double)t.jitcnt,
        [PPS_CALIBRATIONS] = (double)t.calcnt,
        [PPS_ERRORS] = (double)t.errcnt,
        [PPS_UNSTABLE] = (double)t.stbcnt,
        [TAI] = t.tai,
        [SYNC] = state != TIME_ERROR,
    };
    for (int i = 0; i < N_TIMEX; i++)
        output_set(o, c->timex[i], v[i]);
}

static void zone_tick(struct host_clock *c, struct output *o, int64_t wall_ms)
{
    time_t now = (time_t)(wall_ms / 1000);
    struct tm tm;
    if (!localtime_r(&now, &tm) || !tm.tm_zone)
        return;
    if (!c->zone || strncmp(c->zone_name, tm.tm_zone, sizeof(c->zone_name) - 1) != 0) {
        output_end(o, c->zone); // summer time has another name
        snprintf(c->zone_name, sizeof(c->zone_name), "%s", tm.tm_zone);
        c->zone = host_series(o, "node_time_zone_offset_seconds", SERIES_GAUGE, "s",
            (struct wire_label[]){{"time_zone", c->zone_name}, {NULL, NULL}});
    }
    output_set(o, c->zone, (double)tm.tm_gmtoff);
}

static void source_tick(
    struct host_rows *rows, struct output *o, const char *name, int device, const char *text)
{
    for (const char *p = text; *p;) {
        char key[80], number[16];
        size_t len;
        bool is_new;
        const char *word = scan_word(&p, &len);
        if (!len)
            break;
        snprintf(number, sizeof(number), "%d", device);
        int n = snprintf(key, sizeof(key), "%d/%.*s", device, (int)(len < 60 ? len : 60), word);
        struct host_row *row = host_rows_find(rows, key, (size_t)n, &is_new);
        if (row && is_new)
            row->ids[0] = host_series(o, name, SERIES_GAUGE, "1",
                (struct wire_label[]){{"clocksource", strchr(row->name, '/') + 1},
                    {"device", number}, {NULL, NULL}});
        if (row)
            output_set(o, row->ids[0], 1);
    }
}

static void sources_tick(struct host_clock *c, const struct env *env)
{
    host_rows_begin(&c->available);
    host_rows_begin(&c->current);
    for (int i = 0; i < SOURCES_MAX; i++) {
        char path[PATH_MAX], text[256];
        snprintf(path, sizeof(path),
            "%.512s/" SOURCES_DIR "/clocksource%d/available_clocksource", env->sys, i);
        if (host_read_text(AT_FDCWD, path, text, sizeof(text)) < 0)
            break;
        source_tick(&c->available, env->out, "node_time_clocksource_available_info", i, text);
        snprintf(path, sizeof(path), "%.512s/" SOURCES_DIR "/clocksource%d/current_clocksource",
            env->sys, i);
        if (host_read_text(AT_FDCWD, path, text, sizeof(text)) >= 0)
            source_tick(&c->current, env->out, "node_time_clocksource_current_info", i, text);
    }
    host_rows_sweep(&c->available, env->out);
    host_rows_sweep(&c->current, env->out);
}

static void clock_tick(struct sampler *s, const struct tick *t)
{
    struct host_clock *c = s->state;
    output_set(s->env->out, c->time, (double)t->wall_ms / 1000);
    if (c->timex[0])
        timex_tick(c, s->env->out);
    // What hardly ever changes, and costs opening files.
    if (t->wall_ms / 1000 % 30 == 0 || !c->zone) {
        zone_tick(c, s->env->out, t->wall_ms);
        sources_tick(c, s->env);
    }
}

const struct sampler_ops sampler_host_clock = {.name = "host.clock",
    .interval_ms = 1000,
    .open = clock_open,
    .tick = clock_tick,
    .close = clock_close};

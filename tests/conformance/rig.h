// SPDX-License-Identifier: Apache-2.0
/*
 * An engine with the source it reads and its rules, driven by hand:
 *
 *     rules_make(&rules, &random, grid_ms)      random alerts, and recorded series some of them read
 *     rig_open(&rig, &history, &rules, ...)
 *     rig_feed(&rig, arrival); rig_advance(&rig, now_ms)
 *     rig_alerts(&rig, &arena, &alerts)         as ALERTS and ALERTS_FOR_STATE would have them
 *
 * Every transition becomes a line of rig.log.
 */
#pragma once
#include "rules/engine.h"
#include "rules/memory_source.h"
#include "tests/conformance/history.h"
#include "tests/conformance/result.h"

#define RULES_MAX 24

struct drafted {
    char name[16];
    bool alert;
    bool recorded; // reads a recorded series
    bool left_out; // of the file
    int64_t for_ms, keep_ms;
    struct expr_root x;
};
struct rules {
    struct arena arena;
    struct drafted r[RULES_MAX];
    size_t n;
    struct buf yaml, arrival; // the file, and overrides that evaluate all of it on arrival
};
void rules_make(struct rules *ret, struct random *r, int64_t grid_ms);
void rules_write(struct rules *rules, int64_t grid_ms); // again, when left_out changed
void rules_done(struct rules *r);

struct rig {
    const struct history *h;
    struct memory_source *m;
    struct engine *e;
    struct buf log;
    size_t fired; // transitions to firing
    struct transitions last;
};
// overrides may be NULL.
void rig_open(struct rig *g, const struct history *h, const struct rules *rules,
    const char *overrides, int64_t grid_ms, bool compat_2_42);
void rig_close(struct rig *g);
void rig_feed(struct rig *g, const struct arrival *a);
void rig_advance(struct rig *g, int64_t now_ms);
// What fires now, as cases of promtool's alert_rule_test at t_ms: labels and annotations of every
// rule whose values are exact.
void rig_write_alerts(
    const struct rig *g, const struct rules *rules, int64_t t_ms, struct buf *out);
// Rows of ALERTS (value 1) and ALERTS_FOR_STATE (seconds), or of the firing alerts' plain labels.
void rig_alerts(const struct rig *g, struct arena *a, struct result *ret);
void rig_firing(const struct rig *g, struct arena *a, struct result *ret);

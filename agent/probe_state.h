// SPDX-License-Identifier: Apache-2.0
/*
 * What the probe*.c share: the set and its turns (probe.c), one question and its end
 * (probe_attempt.c; how it is asked: probe_talk.c, probe_http.c), what is written of them (probe_series.c).
 */
#pragma once
#include "agent/probe.h"
#include "agent/probe_latency.h"
#include "agent/probe_numbers.h"
#include "agent/probe_session.h"

enum verdict { UNKNOWN, FAILED, SUCCEEDED };

enum {
    ID_SUCCESS,
    ID_DURATION,
    ID_DURATION_MAX,
    ID_IN_FLIGHT,
    ID_SLOW,
    ID_SKIPPED,
    ID_LAG_MAX,
    ID_LATENCY,
    ID_STATUS,
    ID_EXPIRY,
    ID_PHASE,
    N_IDS = ID_PHASE + PROBE_PHASES
};

struct probe {
    struct probes *engine;
    const struct probe_config *config;
    const struct probe_ops *ops; // NULL: it cannot be asked here, see the sampler probe.icmp
    struct probe_attempt *attempts[PROBE_FLIGHTS]; // made when first needed
    struct endpoint endpoint;
    struct probe_session *session; // NULL: no login, or none that tells more
    struct secure_trust *trust;    // of its own ca_file, when it was first needed
    struct loop_timer *timer;      // the next start
    struct loop_timer *extra;      // one out of turn
    struct probe *before, *behind; // in its train
    int64_t due_ns;
    int64_t judged_ns; // intended start of what the verdict is from
    uint32_t ids[N_IDS];
    enum verdict verdict;
    struct probe_result last;
    double duration, duration_max, lag_max;
    bool fresh; // a result came since the last sample
    uint64_t skipped;
    uint32_t failure_ids[PROBE_CLASSES]; // 0 = never failed so
    uint32_t failures[PROBE_CLASSES];
    uint32_t *value_ids; // of the dialogue's values; NULL = it has none
    double *values;
    bool values_fresh;
    struct numbers *numbers; // of its pages; NULL = it has none, or never asked
    int64_t values_ns;       // when they were last asked for
    struct probe_latency latency;
    bool interned;
    bool kept; // during apply
};

// Probes of one interval are sampled by one sampler.
struct group {
    struct probes *engine;
    uint32_t interval_ms;
    struct sampler *sampler;
    struct probe *last; // of the train that is made up; NULL: the next probe leads one
    size_t n_last;      // how many are in that
};

struct probes {
    struct env *env;
    struct schedule *schedule;
    struct transfers *transfers;
    struct resolver *resolver;     // NULL: the host has no name servers
    struct handshakes *handshakes; // whose turn it is
    struct secure_trust *trust;    // the system's; when first needed
    struct icmp *icmp;             // NULL: no probe wants it
    struct probe_latency lag;      // how late all of them start
    uint32_t lag_id;
    struct probe **all;
    size_t n;
    struct group **groups;
    size_t n_groups, cap_groups;
};

// --- probe.c
// A question of p came to its end: the next of its train has its turn now, unless it had it already.
void probe_pass_on(struct probe *p);

// --- probe_attempt.c
// Asks now for the turn of intended_ns. False: as many are in flight as may be.
bool probe_ask(struct probe *p, int64_t intended_ns, int64_t at_ns);
bool probe_is_full(const struct probe *p);        // as many are
void probe_attempt_free(struct probe_attempt *a); // NULL allowed

// --- probe_series.c
void probes_intern(struct probes *e); // what is of all probes together
void probes_write(struct probes *e, struct output *o);
void probes_end_series(struct probes *e);
void probe_intern(struct probe *p);
void probe_count_failure(struct probe *p, enum probe_class class);
void probe_observe(struct probe *p, double duration_s);
void probe_write_result(struct probe *p, struct output *o);
// All that is sampled on the probe's interval.
void probe_write(struct probe *p, struct output *o, int64_t now_ns);
double probe_in_flight_s(const struct probe *p, int64_t at_ns);
void probe_end_series(struct probe *p);
static inline int64_t probe_now_ns(const struct probe *p)
{
    return clock_mono_ns(&p->engine->env->clock);
}

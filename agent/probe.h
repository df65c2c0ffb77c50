// SPDX-License-Identifier: Apache-2.0
/*
 * Active probes at a fixed rate. Starts are absolute monotonic deadlines, and latency counts from
 * the intended start, so a stalled service cannot slow the questions down and look better for it:
 *
 *     due   |....|....|....|....|....      a slow answer does not delay the next question: up to
 *     1st   [=========ok]                  PROBE_FLIGHTS run side by side, beyond that a start is
 *     2nd        [====ok]                  skipped and counted
 *     3rd             [=ok]
 *
 * What is skipped is in the latency all the same (probe_latency.h). A start that is late by half its interval
 * is skipped too, and is not: that says something of this agent, not of the service.
 *
 * Probes of one interval go in trains of up to PROBE_TRAIN, each due PROBE_TRAIN_GAP_NS behind the one
 * before, and ahead of that as soon as the one before came to its end:
 *
 *     due      |1...2...3...4...                  |1...2...3...4...
 *     asked    1=2==3=4=                          1=2======|   an answer that takes longer than the
 *                                                     3=4=     gap holds up nobody
 *
 * An answer is what wakes the agent for the next question, and everything about it is still in the
 * CPU's caches; each is asked alone all the same, so none waits for another's. Who is ahead of its turn
 * counts from when it was asked.
 *
 * One question is asked out of turn: when the last listener of a port of this host went or one came,
 * the probes of that port start at once, and their turns stay what they were. A restart therefore
 * shows as a refusal, and it is the rule that knows it (`starting`); what the refusal must not do is
 * to overtake that news, so a failed probe of this host has the listeners looked at before it is told.
 *
 * Over TLS a turn may wait a moment for other handshakes (handshakes.h); that is in the latency, and in
 * the lag that is told of the prober itself.
 *
 * A name is looked up before (resolve.h), and its address kept; a failed lookup is a failure only when
 * there never was an address.
 *
 * Two facts leave at once, as event frames: a verdict that changed, and a probe in flight that
 * passed `slow`; a hang shows long before its timeout. The rest is sampled on the probe's interval.
 * A probe that ran into its timeout is booked with it, as a lower bound, and success 0. Failures are
 * counted by what somebody would do about them (probe_class.h). What a service tells of itself is asked
 * at most once a second and no part of the latency.
 *
 * Loop thread. The config given to probes_apply is borrowed until the next apply or free.
 */
#pragma once
#include "agent/config.h"
#include "agent/dialogue.h"
#include "agent/handshakes.h"
#include "agent/parts.h"
#include "agent/resolve.h"
#include "agent/sampler.h"
#include "agent/schedule.h"
#include "base/transfer.h"

#define PROBE_FLIGHTS      3
#define PROBE_TRAIN        8
#define PROBE_TRAIN_GAP_NS (5 * NS_PER_MS)

enum {
    PHASE_RESOLVE,
    PHASE_CONNECT,
    PHASE_TLS,
    PHASE_PROCESSING,
    PHASE_TRANSFER,
    PROBE_PHASES
};

struct probe_result {
    bool success;
    enum probe_class class;      // why not
    int status;                  // HTTP; 0: none came
    double phases[PROBE_PHASES]; // seconds, HTTP
    double cert_expiry;          // unix time; 0: no certificate
    char detail[160];            // why not, for people; "" on success
};

// One question. A kind's own struct begins with it.
struct probe;
struct probe_attempt {
    struct probe *probe;
    int64_t intended_ns, begun_ns;
    int64_t answered_ns; // monotonic; 0 = not yet. From then on only its numbers are to come
    bool active, slow_told;
    bool looking_up; // its name, or another attempt does for both
    double resolve_s;
    struct handshake handshake; // its turn, over TLS
    struct loop_timer *timer;   // slow, then timeout
};

struct probes;
struct probes *probes_new(
    struct env *env, struct schedule *s, struct transfers *m); // NULL: memory
void probes_free(struct probes *p);
// Runs exactly the probes of c. Those that did not change go on with their counters; the series of
// those that went end. 0, or -ENOMEM with the old ones still running.
int probes_apply(struct probes *p, const struct agent_config *c);
extern const struct part_ops probes_part;

// Something began or ceased to listen on that port of this host: asks its probes now.
void probes_port_turned(struct probes *p, uint16_t port);

// --- between the engine and the kinds ---------------------------------------------------------

// A way of asking. What it keeps from round to round stands behind the attempt.
struct probe_ops {
    size_t size;                          // of its struct; zeroed when it is made
    int (*init)(struct probe_attempt *a); // 0, -ENOMEM; NULL: zeroed is good
    // 0, or -errno with detail filled. The result comes by probe_done, never from within.
    int (*start)(struct probe_attempt *a, const struct endpoint *to, char *detail, size_t size);
    void (*stop)(struct probe_attempt *a); // without a result; one not running is fine
    void (*free)(struct probe_attempt *a); // what init and start made; stopped before
    // It answered, and its numbers did not come in time: tells what there is. NULL: none ever come.
    void (*cut)(struct probe_attempt *a);
    // The configuration is another one of the same words: borrows those. NULL: it keeps none of them.
    void (*renew)(struct probe_attempt *a);
};
extern const struct probe_ops PROBE_OPS_TALK, PROBE_OPS_HTTP, PROBE_OPS_ICMP, PROBE_OPS_PAGE;

void probe_answered(struct probe_attempt *a, int64_t at_ns); // its latency stands
void probe_done(struct probe_attempt *a, const struct probe_result *r);
const struct probe_config *probe_config(const struct probe *p);
struct env *probe_env(const struct probe *p);
struct transfers *probe_transfers(const struct probe *p);
// Whom its certificate must come from; NULL: that cannot be read, with detail filled.
struct secure_trust *probe_trust(struct probe *p, char *detail, size_t size);
const struct endpoint *probe_endpoint(const struct probe *p);
struct numbers *probe_numbers(struct probe *p); // of one with pages; NULL: memory
// Whether to ask what the service tells of itself, which is done at most once a second.
bool probe_wants_values(struct probe *p);
// What it told.
void probe_take_values(struct probe *p, const struct dialogue *d);

// SPDX-License-Identifier: Apache-2.0
/*
 * The contract of everything that measures. The core owns time, budget, identity and output; a
 * sampler owns its descriptors and state. All run on one loop thread and never block: what could
 * take long (a socket dump, a probe) goes in steps on the loop.
 *
 * samplers.c lists them in a plain array. Missing a source is a state with a reason, never an
 * exit: `tocsin-agent --doctor` prints the table.
 */
#pragma once
#include "agent/output.h"
#include "base/clock.h"
#include "base/loop.h"
#include <stdbool.h>

struct agent_config;
struct kernel;
struct listen;
struct turnover;
struct demand;
struct pulse;
struct netns;
struct netns_door;
struct unix_listen;

// What a sampler sees of the world; tests give recorded trees and a manual clock.
struct env {
    struct loop *loop;
    struct output *out;
    struct clock clock;
    const char *proc, *sys, *cgroup; // roots: "/proc", "/sys", "/sys/fs/cgroup"
    const struct agent_config *config;
    // Asks the core to send a frame at once; output_event calls are followed by this.
    void (*flush)(void *core);
    void *core;
    // What the collector's rules want counted or seen more of; NULL: nothing, as in most tests.
    const struct demand *demand;
    // When queues and closes are looked at; NULL: 15 times a second, as in other namespaces.
    struct pulse *pulse;
    // The services of this host, set by the sampler tcp.listen while it is open, else NULL.
    struct listen *listen;
    // The programs in the kernel, for the samplers that have one; NULL: none.
    struct kernel *kernel;
    // NULL = the agent's own network namespace; the samplers of another one have an env of their own.
    struct netns *netns;
    // To the program that can look into the others; NULL: none.
    const struct netns_door *netns_door;
    // Connections as the kernel counts them, set by tcp.connections while it is open, else NULL.
    struct turnover *turnover;
    struct unix_listen *unix_listen; // the same of unix.listen
};

struct tick {
    int64_t n;                   // number of this tick, counted from the session's start
    int64_t intended_ns, now_ns; // monotonic; a late tick is skipped and counted, never bunched
    int64_t wall_ms;             // wall clock of the intended instant
    uint32_t interval_ms;
};

struct sampler {
    const struct sampler_ops *ops;
    struct env *env;
    void *state;
    // Kept by the core:
    uint32_t interval_ms; // in force; stretched when over budget
    uint32_t wanted_ms;   // what it is stretched from
    bool available;
    char reason[160]; // why not available, or why degraded; "" = whole
    // What would make it whole, for --doctor: words or a command that need no agent (static text,
    // NULL = nothing is known to), and the capabilities it lacks, as bits 1ull << CAP_x, of which the
    // doctor makes the commands.
    const char *fix;
    uint64_t lacks;
    int64_t cpu_ns, ticks, missed;
};

struct sampler_ops {
    const char *name;     // "host.cpu", "tcp.listen"; label `sampler` of self-metrics
    const char *tier;     // its rungs of the ladder, "A" to "D" (ladder.h); NULL: beside it
    uint32_t interval_ms; // default; 0 = only events of its own
    // What rules may watch on arrival leaves by itself at once: being wanted faster changes nothing.
    bool prompt;
    // 0, or -errno with s->reason filled: the agent goes on without it. May be called with
    // privileges that are dropped afterwards.
    int (*open)(struct sampler *s);
    // One round; output_group has been opened for it. NULL when interval is 0.
    void (*tick)(struct sampler *s, const struct tick *t);
    // The wall clock stepped or the host slept: drop rate baselines.
    void (*clock_cut)(struct sampler *s);
    void (*close)(struct sampler *s); // NULL or half-open state allowed
};

// CPU accounting for work outside tick (loop callbacks of a sampler): bracket it.
int64_t sampler_cpu_begin(void);
void sampler_cpu_end(struct sampler *s, int64_t begun);
extern const struct sampler_ops *const samplers[]; // NULL-terminated

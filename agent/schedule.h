// SPDX-License-Identifier: Apache-2.0
/*
 * Which sampler is due when. Deadlines are absolute on the monotonic clock, aligned to the wall
 * clock at the start, plus a phase of this host's own so that a fleet does not push in one
 * instant. What is late by a whole interval is skipped and counted, never run in a bunch.
 *
 *     one timer -> every sampler that is due, in order -> the frame, when it is due too
 *
 * A sampler whose cost, averaged, is over its share (SCHEDULE_SHARE of a core) has its interval
 * doubled, up to eight times, and gets it back when it has become cheap.
 *
 * The wall clock is followed here: an offset to the monotonic clock, and a jump of more than
 * SCHEDULE_STEP_MS (somebody set it, the host slept) is a cut: samples before it leave first, the
 * next frame carries the step, samplers are told to drop baselines.
 */
#pragma once
#include "agent/sampler.h"

#define SCHEDULE_SHARE       0.01
#define SCHEDULE_STRETCH_MAX 8
#define SCHEDULE_STEP_MS     100
#define SCHEDULE_FRAME_MS    1000

struct schedule;
// Called after the samplers, once a second; when one that is wanted faster has run; before a cut of the
// clock.
enum schedule_frame { FRAME_SECOND, FRAME_FASTER, FRAME_CUT };
typedef void schedule_frame_fn(
    void *ctx, int64_t wall_ms, int64_t mono_ns, enum schedule_frame why);

// env->clock is the host's; whoever shares env may be given another one afterwards, whose wall is
// schedule_wall_us.
struct schedule *schedule_new(
    struct env *env, schedule_frame_fn *frame, void *ctx); // NULL: memory
// Closes all samplers.
void schedule_free(struct schedule *s);
// Opens a sampler; one that is not available stays in the list with its reason. NULL: memory.
struct sampler *schedule_open(struct schedule *s, const struct sampler_ops *ops);
// One whose state is the caller's and is open already, at an interval of its own; remove it with
// schedule_drop (which calls ops->close, if there is one).
struct sampler *schedule_add(
    struct schedule *s, const struct sampler_ops *ops, uint32_t interval_ms, void *state);
void schedule_drop(struct schedule *s, struct sampler *sampler);
// phase_ms of the wall clock's second, 0 to 999. Returns the monotonic instant of the first tick, ns.
int64_t schedule_start(struct schedule *s, unsigned phase_ms);
// Runs what is due at that instant. Called by the schedule's own timer, and by tests.
void schedule_run(struct schedule *s, int64_t now_ns);
// True while samplers run: a frame asked for now is made when the last one is through.
// What is demanded is another (env->demand): samplers that write a series of a name wanted faster run each
// DEMAND_FASTER_MS, within their share of a core, and what they wrote leaves at once.
void schedule_demand(struct schedule *s);
bool schedule_running(const struct schedule *s);
// Wall clock of a monotonic instant, in milliseconds / microseconds.
int64_t schedule_wall_us(const struct schedule *s, int64_t mono_ns);
size_t schedule_count(const struct schedule *s);
struct sampler *schedule_at(const struct schedule *s, size_t i);
// The longest lateness of a tick since the last call, ns.
int64_t schedule_lateness_take(struct schedule *s);

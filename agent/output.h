// SPDX-License-Identifier: Apache-2.0
/*
 * What the samplers write into: the series this agent has, and the samples since the last frame.
 *
 *     sampler -> output_set(id, value) ... output_take() -> batch -> chain_out -> spool -> push
 *
 * A series is interned once (at open, or when a service appears) and then written by id: steady
 * state neither allocates nor hashes strings. Samples stand in groups by (interval, tick); each
 * group has its own stamp. Events ask for a frame at once.
 *
 * Belongs to the agent's loop thread. Ids are those of the wire: 1, 2, 3 ..., never reused in a
 * session.
 */
#pragma once
#include "wire/batch.h"

struct output;
struct output *output_new(void);
void output_free(struct output *o);

// labels without instance (added by the collector from the session), any order, at most
// WIRE_LABELS_MAX; copied. Returns the id, the same one for the same name and labels; 0 when the
// series limit (OUTPUT_SERIES_MAX) is reached or memory is out (counted in output_refused).
#define OUTPUT_SERIES_MAX 20000
uint32_t output_series(struct output *o, const char *name, const struct wire_label *labels,
    size_t n, enum series_kind kind, const char *unit);
// The series ended: a stale marker travels in the group that is open (or, without one, in an event
// group of its own), the id is retired after it and later writes to it are ignored.
void output_end(struct output *o, uint32_t id);
// A stale marker too, but the id stays: the series may come back, and ids are not given twice.
void output_stale(struct output *o, uint32_t id);
size_t output_refused(
    const struct output *o); // series, samples and events there was no room for
size_t output_active(const struct output *o);
// What a key frame takes of WIRE_UNPACKED_MAX to declare all that is active, about.
size_t output_text(const struct output *o);
uint32_t output_last_id(
    const struct output *o); // ids run out at WIRE_ID_MAX - 1: main.c starts anew

// Opens the group the following samples belong to. interval_ms 0 = samples of events (tick is
// then counted here). Calling it again with the same pair continues that group.
void output_group(struct output *o, uint32_t interval_ms, int64_t tick, int64_t stamp_wall_ms);
// Last write of a (group, id) wins. Id 0 is ignored, so a refused series needs no check.
void output_set(struct output *o, uint32_t id, double value);
void output_reset(struct output *o, uint32_t id, double value); // a counter that started anew
void output_absent(struct output *o, uint32_t id);
void output_histogram(struct output *o, uint32_t id, const struct wire_histogram *h); // copied

// Also asks for a frame at once (output_urgent); so does a frame that is nearly full of groups. The samples that state the new fact are written with
// output_group(o, 0, ...) in the same turn, so they travel in the same frame.
void output_event(
    struct output *o, int kind, int64_t wall_us, const char *service, const char *detail);
void output_hurry(struct output *o); // as an event, for samples of group 0 alone
bool output_urgent(const struct output *o);
// Who writes from now on: 0 nobody in particular. And whether that writer was the last to write a series of
// a wanted name.
#define OUTPUT_WRITER_MAX 255
void output_writer(struct output *o, unsigned writer);
bool output_wrote(const struct output *o, unsigned writer,
    bool (*wanted)(void *ctx, const char *name), void *ctx);
// What became of a repair; asks for a frame at once. Copied. One there is no room for is refused: the
// collector asks again.
void output_repair(struct output *o, const struct wire_repair_result *r);

// The wall clock stepped or the host slept: travels in the next frame; cuts add up.
void output_clock_step(struct output *o, int64_t step_ms);

// Everything since the last take, groups sorted by stamp, then interval; seq given; declares that the chain has not seen are in
// batch->declares. Valid until the next call on o.
const struct batch *output_take(
    struct output *o, uint64_t seq, int64_t wall_ms, int64_t mono_ns);

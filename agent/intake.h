// SPDX-License-Identifier: Apache-2.0
/*
 * Series that come from outside: scraped, sent to us, printed by a plugin. One intake per source.
 *
 *     page, packet --> key --> find ---> set ---> | staged | --> end --> output, in one group
 *                               |                                  \--> what was not seen ends
 *                      unknown: add: labels, relabel, limit
 *
 * A key is whatever bytes name a series at its source (for a scrape `name{labels}` as written): a
 * series is known by a keyed 64-bit hash of it and its length, so that a value of a known series
 * costs one hash and allocates nothing. What was staged goes out whole at the end of a round, or
 * not at all.
 *
 * Labels come about as in Prometheus: those of the source (job ...) stand, one of the series by the same
 * name becomes exported_NAME, or the other way round with honor_labels; then the rules run. What
 * Prometheus calls `instance` of a target is there for the rules and leaves as `target`, since here
 * `instance` is the host; any other `instance` leaves as exported_instance.
 *
 * Limits. Beyond series_limit counters and such gauges as can be added up go on in one series of
 * their name with other="true" in place of their own labels; the rest is refused and counted. So is
 * what the agent as a whole has no room for. Once there is room again, they are series of their own.
 *
 * Two kinds of ends: where rounds are complete (age_ms 0) a series that a whole round did not hold is
 * stale at once; where they are not, after age_ms. Its id is kept for a while, for series that come back.
 *
 * Self-metrics: tocsin_agent_intake_series{source} and tocsin_agent_intake_refused_total{source}.
 * Loop thread. Strings of the options are borrowed.
 */
#pragma once
#include "agent/output.h"
#include "agent/relabel.h"
#include "base/err.h"

#define INTAKE_SERIES_DEFAULT 5000
#define INTAKE_KNOWN_MAX      (1u << 17) // keys kept of one source, series of others included
#define INTAKE_RESERVE        2000       // series of the agent's own that no source may take
// Names and labels of all series of the agent beyond which no source gets more: a key frame declares them
// all, and one that does not fit would be lost whole.
#define INTAKE_TEXT_MAX   (5u << 19)
#define INTAKE_OTHERS_MAX 64 // names that can go on as other="true"
#define INTAKE_STAMPS_MAX 16 // times of their own the samples of one round may have
#define INTAKE_PAST_MS    (50 * 60 * 1000LL) // how far such a time may lie back
#define INTAKE_FUTURE_MS  (10 * 60 * 1000LL)

struct intake_options {
    const char *source;              // of the self-metrics
    const struct wire_label *labels; // put on every series; `instance` may be among them
    size_t n_labels;
    bool honor_labels;
    const struct relabel *relabel; // NULL: none
    size_t series_limit;           // 0: INTAKE_SERIES_DEFAULT
    int64_t age_ms;                // 0: rounds are complete
    // Of a series when the rules are through, as in Prometheus; 0: those of the wire.
    size_t label_limit, label_name_length_limit, label_value_length_limit;
};

struct intake;
struct intake *intake_new(struct output *out, const struct intake_options *o); // NULL: memory
// The series end, in an event group of their own; wall_ms 0: the agent ends and tells so itself.
void intake_free(struct intake *in, int64_t wall_ms);

// Opens a round. Its samples get this time, in ms of the wall clock, unless they bring their own.
void intake_begin(struct intake *in, int64_t wall_ms);

// A series by its key: a reference that is valid until the round ends. 0: not known.
uint32_t intake_find(const struct intake *in, const void *key, size_t len);
// Makes one known, under its key. Labels in any order; values are UTF-8. 0: err says what is wrong
// with the series (a limit, a name), and a scrape fails by it; or err says nothing: there is no room,
// which is counted.
uint32_t intake_add(struct intake *in, const void *key, size_t len, const char *name,
    const struct wire_label *labels, size_t n, enum series_kind kind, const char *unit,
    struct err *err);
// Stages a value; stamp_ms 0: the round's time. False: it has one already in this round, or the time
// is out of bounds (counted); the first one stands.
bool intake_set(struct intake *in, uint32_t series, double value, int64_t stamp_ms);
bool intake_set_histogram(
    struct intake *in, uint32_t series, const struct wire_histogram *h, int64_t stamp_ms);

// A key for series whose source has no text for them: name, labels as they stand, each text with its end.
// Labels have to come in one order always. False: more than the buffer takes.
bool intake_key(struct buf *key, const char *name, const struct wire_label *labels, size_t n);

// A sample that cannot go anywhere: counted as if it had been staged, and as refused.
void intake_refuse(struct intake *in, uint32_t series);

// The same in one step, for those whose series have no text of their own. False: refused, see err.
bool intake_value(struct intake *in, const char *name, const struct wire_label *labels,
    size_t n, enum series_kind kind, const char *unit, double value, struct err *err);
bool intake_histogram(struct intake *in, const char *name, const struct wire_label *labels,
    size_t n, const char *unit, const struct wire_histogram *h, struct err *err);

struct intake_round {
    size_t samples, kept; // staged; and those of them that rules and limits left
    size_t added;         // series that were not there in the round before
};
// Ends the round. whole: everything staged goes out, and what was not seen ends (or ages). Not whole:
// nothing of it goes out; with age_ms 0 all series are stale, because the source failed.
void intake_end(struct intake *in, bool whole, struct intake_round *ret);
// How many series would begin, if the round ended now.
size_t intake_coming(const struct intake *in, bool whole);
// The round so far.
struct intake_round intake_so_far(const struct intake *in);

// A series of the source itself (up, scrape_duration_seconds): written in the round's group at its
// end, whatever became of the round; its labels are those of the source.
void intake_own(
    struct intake *in, const char *name, enum series_kind kind, const char *unit, double value);

// The options are the same, and stand elsewhere now.
void intake_moved(struct intake *in, const struct intake_options *o);
size_t intake_series(const struct intake *in);
uint64_t intake_refused(const struct intake *in);

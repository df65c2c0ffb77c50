// SPDX-License-Identifier: Apache-2.0
/*
 * One frame in plain C: what samplers fill, what the encoder reads, what the decoder returns and
 * the shard stores. No protobuf here. Values are absolute on both sides; deltas exist only in
 * bytes.
 *
 *     batch -> groups (one per sampling interval) -> samples sorted by id
 *
 * A sample that is not listed was not taken. ABSENT = it was asked for and could not be
 * measured. STALE = the series ended. The three are different facts and stay so to the rules.
 *
 * Ownership: a batch borrows everything it points to. Samplers' arrays live until the encoder
 * returns; a decoded batch lives in the arena that push_frame was given.
 */
#pragma once
#include "base/arena.h"
#include "wire/repair.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Ceilings of everything a peer can size. The decoder refuses what is over one, the encoder
// refuses to make it.
#define WIRE_BODY_MAX         (1u << 20) // compressed or not
#define WIRE_UNPACKED_MAX     (4u << 20)
#define WIRE_FRAMES_MAX       1024
#define WIRE_ID_MAX           65536 // ids per session, far above the 20,000 series kept
#define WIRE_LABELS_MAX       32
#define WIRE_NAME_MAX         256
#define WIRE_VALUE_MAX        1024
#define WIRE_UNIT_MAX         32
#define WIRE_HOST_MAX         253
#define WIRE_DETAIL_MAX       200 // of an event
#define WIRE_EVENTS_MAX       256
#define WIRE_GROUPS_MAX       64
#define WIRE_SAMPLES_MAX      131072 // per frame, all groups
#define WIRE_CAPABILITIES_MAX 64
#define WIRE_SAMPLERS_MAX     256
#define WIRE_DEMANDS_MAX      1024
#define WIRE_STAMP_SPREAD_MS  (3600 * 1000LL)   // a group's stamp around its frame's
#define WIRE_WALL_MS_MAX      253402300799999LL // end of the year 9999
#define WIRE_INTERVAL_MS_MAX  (24 * 3600 * 1000u)

enum series_kind { SERIES_GAUGE, SERIES_COUNTER, SERIES_HISTOGRAM, SERIES_STATE };
enum sample_kind { SAMPLE_VALUE, SAMPLE_ABSENT, SAMPLE_STALE, SAMPLE_HISTOGRAM };

struct wire_label {
    const char *name, *value;
};

// One exponential histogram, cumulative. Bucket index[i] of `scale` covers
// (2^((index-1)/2^scale), 2^(index/2^scale)]; count[] are absolute, indexes rise. A count of 0
// says nothing: the decoder never returns one.
#define WIRE_SCALE             4
#define WIRE_SCALE_MIN         (-4)
#define WIRE_SCALE_MAX         8
#define WIRE_BUCKETS_MAX       512
#define WIRE_INDEX_MAX         (1 << 20)  // either sign; beyond any double at scale 8
#define WIRE_CHAIN_BUCKETS_MAX (1u << 17) // held by one chain, all histograms
struct wire_histogram {
    int32_t scale;
    double zero_threshold, sum;
    uint64_t zero_count;
    uint32_t n;
    const int32_t *index;
    const uint64_t *count;
};

struct batch_declare {
    uint32_t id;
    const char *name;
    const struct wire_label
        *labels; // sorted by name, values not empty, no __name__ or instance
    size_t n_labels;
    enum series_kind kind;
    const char *unit;
};

struct batch_sample {
    uint32_t id;
    enum sample_kind kind;
    bool reset;   // a counter or histogram that started anew; not with STALE
    double value; // SAMPLE_VALUE
    const struct wire_histogram *hist; // SAMPLE_HISTOGRAM
};

struct batch_group {
    uint32_t interval_ms; // 0 = event samples
    int64_t tick;
    int64_t stamp_ms; // agent wall clock; the ingest thread maps it to collector time
    struct batch_sample *samples; // rising ids
    size_t n;
};

struct batch_event {
    uint64_t id;
    int kind; // enum Tocsin__V1__EventKind
    int64_t wall_us;
    const char *service, *detail;
};

struct batch {
    uint64_t seq, base_seq; // base_seq 0 = key frame
    int64_t wall_ms, mono_ns, clock_step_ms;
    struct batch_declare *declares;
    size_t n_declares;
    uint32_t *retired;
    size_t n_retired;
    struct batch_group *groups;
    size_t n_groups;
    struct batch_event *events;
    size_t n_events;
    struct wire_repair_result *repairs;
    size_t n_repairs;
};

struct wire_sampler {
    const char *name;
    uint32_t interval_ms; // 0 = by events only
};

struct wire_session {
    uint8_t agent_id[16];
    uint8_t boot_id[16];
    uint64_t epoch, nonce, newest_seq, oldest_seq;
    const char *host, *version;
    uint32_t protocol_min, protocol_max;
    const struct wire_label *labels;
    size_t n_labels;
    const char *const *capabilities;
    size_t n_capabilities;
    const struct wire_sampler *samplers;
    size_t n_samplers;
};
#define WIRE_PROTOCOL 1

struct wire_threshold {
    const char *name;
    double value;
};
// Meaning of each field: PushReply in tocsin.proto.
struct wire_reply {
    uint64_t accepted_seq, durable_seq, resume_from, resume_to;
    uint32_t retry_after_ms, goaway_after_ms;
    bool need_key_frame;
    uint64_t push_id; // struct push id and sent_us, repeated
    int64_t sent_us, received_us, replied_us;
    uint32_t protocol;
    uint32_t series_over_limit, frames_not_held;
    const char *goaway_to, *collector, *reason; // NULL = none
    bool has_demand;                            // false: the demand before still holds
    const char *const *faster;
    size_t n_faster;
    const struct wire_threshold *thresholds;
    size_t n_thresholds;
    const struct wire_repair *repairs;
    size_t n_repairs;
};

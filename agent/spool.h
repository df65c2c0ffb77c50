// SPDX-License-Identifier: Apache-2.0
/*
 * Encoded frames of this session, kept so that a collector that missed some can have them, up to a ceiling
 * of bytes, oldest out first.
 *
 *     key d d d d key d d d key d d        a frame without the key frame before it says nothing,
 *     `---------' `-------' `-----         so frames leave in runs that begin with a key frame
 *      by LZ4      by LZ4    as they came
 *
 * Frames of one run are much alike: when the next one begins, a run is packed into a block of its own, less
 * than half. A large frame, which names series, is packed at once: a key frame of 20,000 series would be
 * larger than all there is room for.
 *
 * Frames that went unheard are counted when they leave. Loop thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPOOL_BYTES_MAX (1024u << 10)
#define SPOOL_AGE_NS    (600LL * 1000000000)
#define SPOOL_FRAMES    4096
#define SPOOL_PACK_MIN  (16u << 10) // frames from this size on are packed

struct spool;
struct spool_frame {
    uint64_t seq;
    bool key, delivered;
    uint32_t samples;
    int64_t made_ns;
    size_t len;
};

struct spool *spool_new(size_t max_bytes, int64_t max_age_ns);
void spool_free(struct spool *s);
// seq rises; after a gap, and first of all, key must be true. 0; -ENOMEM, -EMSGSIZE (over the
// ceiling), -EINVAL: the frame is not kept and counts as dropped, and the next must be a key frame.
int spool_add(struct spool *s, uint64_t seq, bool key, uint32_t samples, int64_t now_ns,
    const uint8_t *data, size_t len);
// What came since the last key frame takes a third of all there is room for: the next frame should be a key frame, or
// this run pushes itself out.
bool spool_wants_key(const struct spool *s);
size_t spool_count(const struct spool *s);
bool spool_at(const struct spool *s, size_t i, struct spool_frame *ret); // 0 = oldest
// The frame of that seq, of the len spool_at says; lives until the next add. NULL: not held, or out of memory.
const uint8_t *spool_bytes_of(struct spool *s, uint64_t seq);
uint64_t spool_oldest(const struct spool *s); // 0 = empty
uint64_t spool_newest(const struct spool *s);
// Place of the first frame at or above seq; spool_count when there is none.
size_t spool_find(const struct spool *s, uint64_t seq);
// Where replay that is to give `seq` must begin: the last key frame at or below it, or the oldest
// held. spool_count when nothing at or above seq is held.
size_t spool_replay(const struct spool *s, uint64_t seq);
void spool_delivered(struct spool *s, uint64_t from, uint64_t to, bool delivered);
// Frames up to seq are safe elsewhere: lets whole runs of them go.
void spool_durable(struct spool *s, uint64_t seq);
// What lies before seq cannot be placed any more: lets whole runs go, also the last; what was not heard
// counts as dropped.
void spool_forget(struct spool *s, uint64_t seq);
size_t spool_bytes(const struct spool *s); // as they are kept
uint64_t spool_dropped_frames(const struct spool *s);
uint64_t spool_dropped_samples(const struct spool *s);

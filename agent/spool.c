// SPDX-License-Identifier: Apache-2.0
#include "agent/spool.h"
#include <errno.h>
#include <lz4.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    uint64_t seq;
    int64_t made_ns;
    uint32_t at, len, kept_len, samples;
    bool key, delivered;
};

/*
 * Bytes: a frame lies in one piece; one that does not fit before the end starts again at 0.
 *
 *     [ newest ...head |  free  | tail oldest ... |gap]
 */
struct spool {
    uint8_t *bytes;
    size_t cap, max, used;
    size_t run;  // bytes since the last key frame, without it
    size_t head; // where the next frame goes
    int64_t max_age_ns;
    struct entry *entries; // ring of SPOOL_FRAMES, grown by doubling
    size_t first, n, entries_cap;
    bool broken; // the last frame was not kept
    uint64_t dropped_frames, dropped_samples;
};

struct spool *spool_new(size_t max_bytes, int64_t max_age_ns)
{
    struct spool *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->max = max_bytes;
    s->max_age_ns = max_age_ns;
    return s;
}

void spool_free(struct spool *s)
{
    if (!s)
        return;
    free(s->bytes);
    free(s->entries);
    free(s);
}

static struct entry *entry_at(const struct spool *s, size_t i)
{
    return &s->entries[(s->first + i) & (s->entries_cap - 1)];
}

// The first run: up to the second key frame held, or all.
static size_t run_length(const struct spool *s)
{
    size_t n = 1;
    while (n < s->n && !entry_at(s, n)->key)
        n++;
    return n < s->n ? n : s->n;
}

static void evict_run(struct spool *s)
{
    for (size_t n = run_length(s); n > 0; n--) {
        struct entry *e = entry_at(s, 0);
        if (!e->delivered) {
            s->dropped_frames++;
            s->dropped_samples += e->samples;
        }
        s->used -= e->kept_len;
        s->first = (s->first + 1) & (s->entries_cap - 1);
        s->n--;
    }
    if (s->n == 0)
        s->head = 0;
}

// Where len bytes fit in one piece, or SIZE_MAX.
static size_t place(const struct spool *s, size_t len)
{
    if (s->n == 0)
        return len <= s->cap ? 0 : SIZE_MAX;
    size_t tail = entry_at(s, 0)->at;
    if (s->head > tail) {
        if (s->head + len <= s->cap)
            return s->head;
        return len < tail ? 0 : SIZE_MAX;
    }
    return s->head + len < tail ? s->head : SIZE_MAX;
}

// Frames move to the front of a larger block, oldest first.
static int grow(struct spool *s, size_t want)
{
    size_t cap = s->cap ? s->cap : 32u << 10;
    while (cap < want)
        cap *= 2;
    if (cap > s->max)
        cap = s->max;
    uint8_t *bytes = malloc(cap);
    if (!bytes)
        return -ENOMEM;
    size_t at = 0;
    for (size_t i = 0; i < s->n; i++) {
        struct entry *e = entry_at(s, i);
        memcpy(bytes + at, s->bytes + e->at, e->kept_len);
        e->at = (uint32_t)at;
        at += e->kept_len;
    }
    free(s->bytes);
    s->bytes = bytes;
    s->cap = cap;
    s->head = at;
    return 0;
}

static int entries_room(struct spool *s)
{
    if (s->n < s->entries_cap)
        return 0;
    if (s->entries_cap == SPOOL_FRAMES) {
        evict_run(s);
        return 0;
    }
    size_t cap = s->entries_cap ? s->entries_cap * 2 : 64;
    struct entry *entries = malloc(cap * sizeof(*entries));
    if (!entries)
        return -ENOMEM;
    for (size_t i = 0; i < s->n; i++)
        entries[i] = *entry_at(s, i);
    free(s->entries);
    s->entries = entries;
    s->entries_cap = cap;
    s->first = 0;
    return 0;
}

// Packed bytes on the heap, when that saves at least a tenth; NULL: it is kept as it is.
static uint8_t *pack(const uint8_t *data, size_t len, size_t *ret_len)
{
    if (len < SPOOL_PACK_MIN || len > LZ4_MAX_INPUT_SIZE)
        return NULL;
    int room = (int)(len - len / 10);
    char *packed = malloc((size_t)room);
    int n = packed ? LZ4_compress_default((const char *)data, packed, (int)len, room) : 0;
    if (n > 0) {
        *ret_len = (size_t)n;
        return (uint8_t *)packed;
    }
    free(packed);
    return NULL;
}

const uint8_t *spool_bytes_of(const struct spool_frame *f, uint8_t *room)
{
    if (f->kept_len == f->len)
        return f->data;
    int n =
        LZ4_decompress_safe((const char *)f->data, (char *)room, (int)f->kept_len, (int)f->len);
    return n == (int)f->len ? room : NULL;
}

// data: len bytes of a frame that has `whole` unpacked.
static int keep(struct spool *s, uint64_t seq, bool key, uint32_t samples, int64_t now_ns,
    const uint8_t *data, size_t len, size_t whole)
{
    int rc = 0;
    bool follows = s->n > 0 && !s->broken && seq == spool_newest(s) + 1;
    if ((!key && !follows) || (s->n > 0 && seq <= spool_newest(s)))
        rc = -EINVAL;
    else if (len > s->max || len == 0)
        rc = -EMSGSIZE;
    while (rc == 0 && s->n > 0 && now_ns - entry_at(s, 0)->made_ns > s->max_age_ns)
        evict_run(s);
    if (rc == 0)
        rc = entries_room(s);
    size_t at = SIZE_MAX;
    while (rc == 0 && (at = place(s, len)) == SIZE_MAX) {
        // A gap at the end may waste room, so twice the need is looked for before anything goes.
        if (s->cap < s->max)
            rc = grow(
                s, s->used + len + len / 2 > s->cap ? s->used + len + len / 2 : s->cap * 2);
        else if (s->n > 0)
            evict_run(s);
    }
    // The run this frame belongs to may have gone itself.
    if (rc == 0 && !key && s->n == 0)
        rc = -EMSGSIZE;
    if (rc < 0) {
        s->broken = true;
        s->dropped_frames++;
        s->dropped_samples += samples;
        return rc;
    }
    memcpy(s->bytes + at, data, len);
    *entry_at(s, s->n++) = (struct entry){.seq = seq,
        .made_ns = now_ns,
        .at = (uint32_t)at,
        .len = (uint32_t)whole,
        .kept_len = (uint32_t)len,
        .samples = samples,
        .key = key};
    s->head = at + len;
    s->used += len;
    s->run = key ? 0 : s->run + len;
    s->broken = false;
    return 0;
}

int spool_add(struct spool *s, uint64_t seq, bool key, uint32_t samples, int64_t now_ns,
    const uint8_t *data, size_t len)
{
    size_t packed_len = len;
    uint8_t *packed = pack(data, len, &packed_len);
    int rc = keep(s, seq, key, samples, now_ns, packed ? packed : data, packed_len, len);
    free(packed);
    return rc;
}

bool spool_wants_key(const struct spool *s)
{
    return s->run > s->max / 3;
}

size_t spool_count(const struct spool *s)
{
    return s->n;
}

bool spool_at(const struct spool *s, size_t i, struct spool_frame *ret)
{
    if (i >= s->n)
        return false;
    const struct entry *e = entry_at(s, i);
    *ret = (struct spool_frame){.seq = e->seq,
        .key = e->key,
        .delivered = e->delivered,
        .samples = e->samples,
        .made_ns = e->made_ns,
        .data = s->bytes + e->at,
        .len = e->len,
        .kept_len = e->kept_len};
    return true;
}

uint64_t spool_oldest(const struct spool *s)
{
    return s->n ? entry_at(s, 0)->seq : 0;
}

uint64_t spool_newest(const struct spool *s)
{
    return s->n ? entry_at(s, s->n - 1)->seq : 0;
}

size_t spool_find(const struct spool *s, uint64_t seq)
{
    size_t low = 0, high = s->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (entry_at(s, mid)->seq < seq)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

size_t spool_replay(const struct spool *s, uint64_t seq)
{
    size_t i = spool_find(s, seq);
    if (i == s->n)
        return i;
    while (i > 0 && !entry_at(s, i)->key)
        i--;
    return i;
}

void spool_delivered(struct spool *s, uint64_t from, uint64_t to, bool delivered)
{
    for (size_t i = spool_find(s, from); i < s->n && entry_at(s, i)->seq <= to; i++)
        entry_at(s, i)->delivered = delivered;
}

void spool_durable(struct spool *s, uint64_t seq)
{
    while (s->n > 0) {
        size_t n = run_length(s);
        if (n == s->n || entry_at(s, n - 1)->seq > seq)
            return;
        spool_delivered(s, 0, entry_at(s, n - 1)->seq, true);
        evict_run(s);
    }
}

void spool_forget(struct spool *s, uint64_t seq)
{
    while (s->n > 0 && entry_at(s, run_length(s) - 1)->seq < seq)
        evict_run(s);
}

size_t spool_bytes(const struct spool *s)
{
    return s->used;
}

uint64_t spool_dropped_frames(const struct spool *s)
{
    return s->dropped_frames;
}

uint64_t spool_dropped_samples(const struct spool *s)
{
    return s->dropped_samples;
}

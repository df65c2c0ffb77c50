// SPDX-License-Identifier: Apache-2.0
#include "agent/spool.h"
#include <errno.h>
#include <lz4.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define RUN_PACK_MIN 256 // bytes below which a run is not worth it

// From a key frame to the next one.
struct run {
    // NULL: the newest, its bytes are in spool.open. Pages of its own: among small things that come and go
    // a block that lives for ten minutes leaves holes.
    uint8_t *block;
    size_t len;        // of block
    size_t whole;      // unpacked; len: it is not packed
    uint8_t *unpacked; // lent out since the last add
};

struct entry {
    uint64_t seq;
    int64_t made_ns;
    struct run *run;                 // the run's frames share it
    uint32_t at;                     // in its run, unpacked
    uint32_t len, kept_len, samples; // kept_len < len: it is packed by itself
    bool key, delivered;
};

// What was unpacked for who asked.
struct lent {
    struct lent *next;
    uint8_t bytes[];
};

struct spool {
    uint8_t *open; // the newest run's bytes; room is kept for the next one's
    size_t open_len, open_cap;
    size_t max, used;
    size_t run; // bytes since the last key frame, without it
    int64_t max_age_ns;
    struct entry *entries; // ring of SPOOL_FRAMES, grown by doubling
    size_t first, n, entries_cap;
    struct lent *lent;
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

static struct entry *entry_at(const struct spool *s, size_t i)
{
    return &s->entries[(s->first + i) & (s->entries_cap - 1)];
}

static void run_free(struct run *r)
{
    if (r->block)
        munmap(r->block, r->len);
    free(r);
}

static void take_back(struct spool *s)
{
    if (!s->lent)
        return;
    while (s->lent) {
        struct lent *next = s->lent->next;
        free(s->lent);
        s->lent = next;
    }
    for (size_t i = 0; i < s->n; i++)
        entry_at(s, i)->run->unpacked = NULL;
}

void spool_free(struct spool *s)
{
    if (!s)
        return;
    take_back(s);
    for (size_t i = 0; i < s->n; i++)
        if (entry_at(s, i)->key)
            run_free(entry_at(s, i)->run);
    free(s->open);
    free(s->entries);
    free(s);
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
    struct run *r = entry_at(s, 0)->run;
    for (size_t n = run_length(s); n > 0; n--) {
        struct entry *e = entry_at(s, 0);
        if (!e->delivered) {
            s->dropped_frames++;
            s->dropped_samples += e->samples;
        }
        s->first = (s->first + 1) & (s->entries_cap - 1);
        s->n--;
    }
    s->used -= r->block ? r->len : s->open_len;
    if (!r->block)
        s->open_len = 0;
    run_free(r);
}

// By LZ4 on the heap, when that saves at least a tenth. 0: *ret is NULL where it does not; -ENOMEM.
static int pack(const uint8_t *data, size_t len, size_t min, uint8_t **ret, size_t *ret_len)
{
    *ret = NULL;
    if (len < min || len > LZ4_MAX_INPUT_SIZE)
        return 0;
    int room = (int)(len - len / 10);
    char *packed = malloc((size_t)room);
    if (!packed)
        return -ENOMEM;
    int n = LZ4_compress_default((const char *)data, packed, (int)len, room);
    if (n <= 0) {
        free(packed);
        return 0;
    }
    *ret = (uint8_t *)packed;
    *ret_len = (size_t)n;
    return 0;
}

// The newest run is over: into a block of its own, so that the next one has its place. 0, -ENOMEM.
static int seal(struct spool *s)
{
    if (s->n == 0 || s->open_len == 0)
        return 0;
    struct run *r = entry_at(s, s->n - 1)->run;
    uint8_t *packed;
    size_t len = s->open_len;
    if (pack(s->open, s->open_len, RUN_PACK_MIN, &packed, &len) < 0)
        return -ENOMEM;
    void *block = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block != MAP_FAILED) {
        memcpy(block, packed ? packed : s->open, len);
        r->block = block;
        r->len = len;
        r->whole = s->open_len;
        s->used -= s->open_len - len;
        s->open_len = 0;
    }
    free(packed);
    return r->block ? 0 : -ENOMEM;
}

static int open_room(struct spool *s, size_t len)
{
    size_t cap = s->open_cap;
    if (s->open_len + len <= cap)
        return 0;
    while (cap < s->open_len + len)
        cap = cap ? cap + cap / 2 : 16u << 10;
    uint8_t *open = realloc(s->open, cap);
    if (!open)
        return -ENOMEM;
    s->open = open;
    s->open_cap = cap;
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

// data: len bytes of a frame that has `whole` unpacked.
static int keep(struct spool *s, uint64_t seq, bool key, uint32_t samples, int64_t now_ns,
    const uint8_t *data, size_t len, size_t whole)
{
    bool follows = s->n > 0 && !s->broken && seq == spool_newest(s) + 1;
    if ((!key && !follows) || (s->n > 0 && seq <= spool_newest(s)))
        return -EINVAL;
    if (len > s->max || len == 0)
        return -EMSGSIZE;
    while (s->n > 0 && now_ns - entry_at(s, 0)->made_ns > s->max_age_ns)
        evict_run(s);
    int rc = key ? seal(s) : 0;
    if (rc == 0)
        rc = entries_room(s);
    while (rc == 0 && s->n > 0 && s->used + len > s->max)
        evict_run(s);
    // The run this frame belongs to may have gone itself.
    if (rc == 0 && !key && s->n == 0)
        rc = -EMSGSIZE;
    if (rc == 0)
        rc = open_room(s, len);
    struct run *r = rc < 0 ? NULL : key ? calloc(1, sizeof(*r)) : entry_at(s, s->n - 1)->run;
    if (!r)
        return rc < 0 ? rc : -ENOMEM;
    memcpy(s->open + s->open_len, data, len);
    *entry_at(s, s->n++) = (struct entry){.seq = seq,
        .made_ns = now_ns,
        .run = r,
        .at = (uint32_t)s->open_len,
        .len = (uint32_t)whole,
        .kept_len = (uint32_t)len,
        .samples = samples,
        .key = key};
    s->open_len += len;
    s->used += len;
    s->run = key ? 0 : s->run + len;
    return 0;
}

int spool_add(struct spool *s, uint64_t seq, bool key, uint32_t samples, int64_t now_ns,
    const uint8_t *data, size_t len)
{
    uint8_t *packed;
    size_t kept = len;
    take_back(s);
    int rc = pack(data, len, SPOOL_PACK_MIN, &packed, &kept);
    if (rc == 0)
        rc = keep(s, seq, key, samples, now_ns, packed ? packed : data, kept, len);
    free(packed);
    s->broken = rc < 0;
    if (rc < 0) {
        s->dropped_frames++;
        s->dropped_samples += samples;
    }
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
        .len = e->len};
    return true;
}

static uint8_t *unpack(struct spool *s, const uint8_t *data, size_t len, size_t whole)
{
    struct lent *l = malloc(sizeof(*l) + whole);
    if (!l)
        return NULL;
    if (LZ4_decompress_safe((const char *)data, (char *)l->bytes, (int)len, (int)whole) !=
        (int)whole) {
        free(l);
        return NULL;
    }
    l->next = s->lent;
    s->lent = l;
    return l->bytes;
}

const uint8_t *spool_bytes_of(struct spool *s, uint64_t seq)
{
    size_t i = spool_find(s, seq);
    if (i == s->n || entry_at(s, i)->seq != seq)
        return NULL;
    const struct entry *e = entry_at(s, i);
    struct run *r = e->run;
    if (r->block && r->len < r->whole && !r->unpacked)
        r->unpacked = unpack(s, r->block, r->len, r->whole);
    const uint8_t *run = !r->block ? s->open : r->len < r->whole ? r->unpacked : r->block;
    if (!run || e->kept_len == e->len)
        return run ? run + e->at : NULL;
    return unpack(s, run + e->at, e->kept_len, e->len);
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

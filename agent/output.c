// SPDX-License-Identifier: Apache-2.0
#include "agent/output.h"
#include "base/arena.h"
#include "wire/cell.h"
#include "wire/name.h"
#include "wire/rows.h"
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

// gcc 12's -fanalyzer takes the write of a sample for one that may hit the array's own pointer.
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

// Groups of one frame, below WIRE_GROUPS_MAX. From the second on a frame is asked for, so that the
// first is not met in practice.
#define GROUPS_MAX 60
// Buckets of all histograms: a frame with more than the chain takes would be lost whole. The rest is for
// those that end in the frame in which others grow.
#define CHARGE_MAX    (WIRE_CHAIN_BUCKETS_MAX - WIRE_CHAIN_BUCKETS_MAX / 16)
#define GROUPS_URGENT 24
#define TOMB          UINT32_MAX
#define DECLARES_KEPT 64

// One malloc: the struct, its labels, then the text they point into.
struct series {
    struct batch_declare d;
    uint64_t hash;
    struct wire_label labels[];
};

struct slot {
    uint32_t id;
    uint32_t charge; // of its histogram, see cell_charge
    struct series *series;
    uint64_t group; // serial of the group it was written to last
    uint32_t at;    // its place there
    bool ended;
    uint8_t writer; // of it, last
    bool stale;     // nothing was written since its last marker
};

// A group being filled. Its array survives in the slot; a new group prefers the slot that held the
// same interval, so that arrays settle at the size their interval needs.
struct filling {
    struct batch_group g;
    size_t cap;
    uint64_t serial; // 0: free
};

struct output {
    struct rows slots;
    uint32_t last_id;
    uint32_t *table; // open addressing, ids by hash; 0 empty, TOMB deleted
    size_t table_cap, table_used;
    uint64_t seed;
    size_t active, refused;
    size_t text;     // bytes of names and labels of those that are active
    uint32_t charge; // of all histograms

    struct filling groups[GROUPS_MAX];
    size_t n_groups;
    uint64_t next_serial;
    struct filling *open; // NULL after a take: reopened from the key below by the next write
    uint32_t open_interval_ms;
    int64_t open_tick, open_stamp_ms;
    int64_t event_tick;

    uint32_t *retired; // ended since the last take
    size_t n_retired, cap_retired;
    uint32_t declared;              // ids up to here were in a batch
    struct batch_declare *declares; // room for all ids after `declared`
    size_t cap_declares;

    struct batch_event events[WIRE_EVENTS_MAX];
    size_t n_events;
    uint64_t next_event;
    struct wire_repair_result repairs[WIRE_REPAIRS_MAX];
    size_t n_repairs;
    bool urgent;
    int64_t clock_step_ms;

    uint8_t writer; // whose turn it is
    bool taken;     // the batch is with the caller; its memory goes at the next call
    struct arena frame;
    struct batch batch;
    struct batch_group batch_groups[GROUPS_MAX];
};

struct output *output_new(void)
{
    struct output *o = calloc(1, sizeof(*o));
    if (!o)
        return NULL;
    rows_init(&o->slots, sizeof(struct slot));
    o->next_serial = 1;
    o->next_event = 1;
    if (getrandom(&o->seed, sizeof(o->seed), GRND_NONBLOCK) != sizeof(o->seed))
        o->seed = (uint64_t)(uintptr_t)o;
    arena_init(&o->frame, 4u << 20);
    return o;
}

void output_free(struct output *o)
{
    if (!o)
        return;
    for (uint32_t i = 0; i < o->slots.n; i++)
        free(((struct slot *)rows_nth(&o->slots, i))->series);
    for (size_t i = 0; i < GROUPS_MAX; i++)
        free(o->groups[i].g.samples);
    rows_done(&o->slots);
    free(o->table);
    free(o->retired);
    free(o->declares);
    arena_done(&o->frame);
    free(o);
}

// What the last batch pointed to is given back at the first call after the take.
static void begin(struct output *o)
{
    if (!o->taken)
        return;
    o->taken = false;
    for (size_t i = 0; i < o->n_retired; i++)
        free(((struct slot *)rows_at(&o->slots, o->retired[i]))->series);
    rows_remove(&o->slots, o->retired, o->n_retired);
    for (size_t i = 0; i < GROUPS_MAX; i++)
        o->groups[i].serial = 0;
    if (o->cap_declares >
        DECLARES_KEPT) { // the first frame declares most of what there ever is
        free(o->declares);
        o->declares = NULL;
        o->cap_declares = 0;
    }
    o->n_retired = o->n_groups = o->n_events = o->n_repairs = 0;
    arena_reset(&o->frame);
}

// --- series ----------------------------------------------------------------------------------

static uint64_t hash_text(uint64_t h, const char *s)
{
    do {
        h = (h ^ (uint8_t)*s) * 0x100000001b3ULL;
    } while (*s++);
    return h;
}

static uint64_t hash_series(
    uint64_t seed, const char *name, const struct wire_label *l, size_t n)
{
    uint64_t h = hash_text(seed ^ 0xcbf29ce484222325ULL, name);
    for (size_t i = 0; i < n; i++)
        h = hash_text(hash_text(h, l[i].name), l[i].value);
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93ULL;
    return h ^ h >> 29;
}

static bool same_series(
    const struct series *s, const char *name, const struct wire_label *l, size_t n)
{
    if (s->d.n_labels != n || strcmp(s->d.name, name) != 0)
        return false;
    for (size_t i = 0; i < n; i++)
        if (strcmp(s->labels[i].name, l[i].name) != 0 ||
            strcmp(s->labels[i].value, l[i].value) != 0)
            return false;
    return true;
}

static int table_grow(struct output *o)
{
    if (o->table_cap && (o->table_used + 1) * 4 < o->table_cap * 3)
        return 0;
    size_t cap = 64;
    while (cap < (o->active + 1) * 2)
        cap *= 2;
    uint32_t *table = calloc(cap, sizeof(*table));
    if (!table)
        return -1;
    size_t used = 0;
    for (uint32_t i = 0; i < o->slots.n; i++) {
        const struct slot *s = rows_nth(&o->slots, i);
        if (s->ended)
            continue;
        size_t at = s->series->hash & (cap - 1);
        while (table[at])
            at = (at + 1) & (cap - 1);
        table[at] = s->id;
        used++;
    }
    free(o->table);
    o->table = table;
    o->table_cap = cap;
    o->table_used = used;
    return 0;
}

static uint32_t table_find(
    struct output *o, uint64_t hash, const char *name, const struct wire_label *l, size_t n)
{
    if (!o->table_cap)
        return 0;
    for (size_t at = hash & (o->table_cap - 1); o->table[at];
         at = (at + 1) & (o->table_cap - 1)) {
        if (o->table[at] == TOMB)
            continue;
        const struct slot *s = rows_at(&o->slots, o->table[at]);
        if (s->series->hash == hash && same_series(s->series, name, l, n))
            return s->id;
    }
    return 0;
}

static size_t text_of(const struct batch_declare *d)
{
    size_t n = strlen(d->name) + strlen(d->unit) + 8;
    for (size_t i = 0; i < d->n_labels; i++)
        n += strlen(d->labels[i].name) + strlen(d->labels[i].value) + 6;
    return n;
}

static struct series *series_new(const char *name, const struct wire_label *l, size_t n,
    enum series_kind kind, const char *unit)
{
    size_t size = sizeof(struct series) + n * sizeof(*l) + strlen(name) + strlen(unit) + 2;
    for (size_t i = 0; i < n; i++)
        size += strlen(l[i].name) + strlen(l[i].value) + 2;
    struct series *s = malloc(size);
    if (!s)
        return NULL;
    char *text = (char *)&s->labels[n];
    s->d =
        (struct batch_declare){.name = text, .labels = s->labels, .n_labels = n, .kind = kind};
    text = stpcpy(text, name) + 1;
    s->d.unit = text;
    text = stpcpy(text, unit) + 1;
    for (size_t i = 0; i < n; i++) {
        s->labels[i].name = text;
        text = stpcpy(text, l[i].name) + 1;
        s->labels[i].value = text;
        text = stpcpy(text, l[i].value) + 1;
    }
    return s;
}

// All arrays get their room now, so that a take cannot fail.
static int ids_grow(struct output *o)
{
    if (rows_reserve(&o->slots) < 0)
        return -1;
    size_t undeclared = o->last_id + 1 - o->declared;
    if (undeclared > o->cap_declares) {
        size_t cap = o->cap_declares ? o->cap_declares * 2 : DECLARES_KEPT;
        struct batch_declare *d = realloc(o->declares, cap * sizeof(*d));
        if (!d)
            return -1;
        o->declares = d;
        o->cap_declares = cap;
    }
    return 0;
}

uint32_t output_series(struct output *o, const char *name, const struct wire_label *labels,
    size_t n, enum series_kind kind, const char *unit)
{
    struct wire_label l[WIRE_LABELS_MAX];
    size_t kept = 0;

    begin(o);
    if (n > WIRE_LABELS_MAX || !wire_metric_ok(name))
        goto refused;
    for (size_t i = 0; i < n; i++) {
        if (!labels[i].value || !labels[i].value[0])
            continue; // an empty label is no label
        size_t at = kept++;
        for (; at > 0 && strcmp(l[at - 1].name, labels[i].name) > 0; at--)
            l[at] = l[at - 1];
        l[at] = labels[i];
    }
    // A mount point or a container's name is whatever bytes somebody chose; one label that is not
    // UTF-8 would have the whole frame refused, so it is kept out here.
    if (wire_labels_fault(l, kept))
        goto refused;

    uint64_t hash = hash_series(o->seed, name, l, kept);
    uint32_t id = table_find(o, hash, name, l, kept);
    if (id)
        return id;
    if (o->active >= OUTPUT_SERIES_MAX || o->last_id + 1 >= WIRE_ID_MAX || table_grow(o) < 0 ||
        ids_grow(o) < 0)
        goto refused;
    struct series *s = series_new(name, l, kept, kind, unit ? unit : "");
    if (!s)
        goto refused;
    id = ++o->last_id;
    s->hash = hash;
    s->d.id = id;
    ((struct slot *)rows_add(&o->slots, id))->series = s;
    size_t at = hash & (o->table_cap - 1);
    while (o->table[at] && o->table[at] != TOMB)
        at = (at + 1) & (o->table_cap - 1);
    o->table_used += o->table[at] == 0;
    o->table[at] = id;
    o->active++;
    o->text += text_of(&s->d);
    return id;

refused:
    o->refused++;
    return 0;
}

size_t output_refused(const struct output *o)
{
    return o->refused;
}

size_t output_active(const struct output *o)
{
    return o->active;
}

size_t output_text(const struct output *o)
{
    return o->text;
}

uint32_t output_last_id(const struct output *o)
{
    return o->last_id;
}

void output_writer(struct output *o, unsigned writer)
{
    o->writer = (uint8_t)writer;
}

bool output_wrote(const struct output *o, unsigned writer,
    bool (*wanted)(void *ctx, const char *name), void *ctx)
{
    for (uint32_t i = 0; i < o->slots.n; i++) {
        const struct slot *s = rows_nth(&o->slots, i);
        if (!s->ended && s->writer == writer && wanted(ctx, s->series->d.name))
            return true;
    }
    return false;
}

// --- samples ---------------------------------------------------------------------------------

static struct filling *group_find(struct output *o, uint32_t interval_ms, int64_t tick)
{
    for (size_t i = 0; i < GROUPS_MAX; i++)
        if (o->groups[i].serial && o->groups[i].g.interval_ms == interval_ms &&
            o->groups[i].g.tick == tick)
            return &o->groups[i];
    return NULL;
}

static struct filling *event_group_find(struct output *o, int64_t stamp_ms)
{
    for (size_t i = 0; i < GROUPS_MAX; i++)
        if (o->groups[i].serial && o->groups[i].g.interval_ms == 0 &&
            o->groups[i].g.stamp_ms == stamp_ms)
            return &o->groups[i];
    return NULL;
}

static struct filling *group_add(
    struct output *o, uint32_t interval_ms, int64_t tick, int64_t stamp)
{
    struct filling *best = NULL;
    for (size_t i = 0; i < GROUPS_MAX; i++) {
        struct filling *f = &o->groups[i];
        if (f->serial)
            continue;
        if (f->cap && f->g.interval_ms == interval_ms) {
            best = f;
            break;
        }
        if (!best || f->cap < best->cap)
            best = f;
    }
    if (!best)
        return NULL;
    struct batch_sample *samples = best->g.samples;
    best->g = (struct batch_group){
        .interval_ms = interval_ms, .tick = tick, .stamp_ms = stamp, .samples = samples};
    best->serial = o->next_serial++;
    o->n_groups++;
    if (o->n_groups >= GROUPS_URGENT)
        o->urgent = true;
    return best;
}

void output_group(struct output *o, uint32_t interval_ms, int64_t tick, int64_t stamp_wall_ms)
{
    begin(o);
    struct filling *f = NULL;
    if (interval_ms == 0) {
        // Facts of one instant share a group, also when another instant had its group since.
        f = event_group_find(o, stamp_wall_ms);
        tick = f ? f->g.tick : ++o->event_tick;
    } else {
        f = group_find(o, interval_ms, tick);
    }
    if (!f)
        f = group_add(o, interval_ms, tick, stamp_wall_ms);
    o->open = f;
    o->open_interval_ms = interval_ms;
    o->open_tick = tick;
    o->open_stamp_ms = stamp_wall_ms;
}

static bool filling_grow(struct filling *f)
{
    size_t cap = f->cap ? f->cap * 2 : 32;
    struct batch_sample *grown = realloc(f->g.samples, cap * sizeof(*grown));

    if (!grown)
        return false;
    f->g.samples = grown;
    f->cap = cap;
    return true;
}

// NULL: it never was, or ended.
static struct slot *slot_of(struct output *o, uint32_t id)
{
    begin(o);
    struct slot *s = rows_at(&o->slots, id);
    return s && !s->ended ? s : NULL;
}

// The slot's place in the open group, made if need be. NULL: no slot, or no room (counted).
static struct batch_sample *sample_at(struct output *o, struct slot *slot)
{
    if (!slot)
        return NULL;
    uint32_t id = slot->id;
    if (!o->open)
        output_group(o, o->open_interval_ms, o->open_tick, o->open_stamp_ms);
    struct filling *f = o->open;
    if (!f) {
        o->refused++;
        return NULL;
    }
    if (o->writer)
        slot->writer = o->writer;
    if (slot->group == f->serial)
        return &f->g.samples[slot->at];
    if (slot->group > f->serial) // an older group was opened again: rare, so looked for
        for (size_t i = 0; i < f->g.n; i++)
            if (f->g.samples[i].id == id)
                return &f->g.samples[i];
    if (f->g.n == f->cap && !filling_grow(f)) {
        o->refused++;
        return NULL;
    }
    if (slot->group < f->serial) {
        slot->group = f->serial;
        slot->at = (uint32_t)f->g.n;
    }
    slot->stale = false;
    struct batch_sample *s = &f->g.samples[f->g.n++];
    *s = (struct batch_sample){.id = id};
    return s;
}

void output_set(struct output *o, uint32_t id, double value)
{
    struct batch_sample *s = sample_at(o, slot_of(o, id));
    if (s) {
        s->kind = SAMPLE_VALUE;
        s->value = value;
    }
}

void output_reset(struct output *o, uint32_t id, double value)
{
    struct batch_sample *s = sample_at(o, slot_of(o, id));
    if (s) {
        s->kind = SAMPLE_VALUE;
        s->value = value;
        s->reset = true;
    }
}

void output_absent(struct output *o, uint32_t id)
{
    struct batch_sample *s = sample_at(o, slot_of(o, id));
    if (s)
        s->kind = SAMPLE_ABSENT;
}

void output_histogram(struct output *o, uint32_t id, const struct wire_histogram *h)
{
    if (wire_histogram_fault(h)) {
        o->refused++;
        return;
    }
    struct slot *slot = slot_of(o, id);
    struct batch_sample *s = sample_at(o, slot);
    if (!s)
        return;
    uint32_t charge = o->charge - slot->charge + cell_charge(h->n);
    if (charge > CHARGE_MAX) {
        s->kind = SAMPLE_ABSENT;
        o->refused++;
        return;
    }
    o->charge = charge;
    slot->charge = cell_charge(h->n);
    struct wire_histogram *copy = arena_alloc(&o->frame, sizeof(*copy));
    int32_t *index = arena_alloc(&o->frame, h->n * sizeof(*index) + 1);
    uint64_t *count = arena_alloc(&o->frame, h->n * sizeof(*count) + 1);
    if (!copy || !index || !count) {
        s->kind = SAMPLE_ABSENT;
        o->refused++;
        return;
    }
    if (h->n) {
        memcpy(index, h->index, h->n * sizeof(*index));
        memcpy(count, h->count, h->n * sizeof(*count));
    }
    *copy = *h;
    copy->index = index;
    copy->count = count;
    s->kind = SAMPLE_HISTOGRAM;
    s->hist = copy;
}

void output_stale(struct output *o, uint32_t id)
{
    struct slot *slot = slot_of(o, id);
    if (!slot || slot->stale)
        return;
    struct batch_sample *s = sample_at(o, slot);
    if (!s)
        return;
    s->kind = SAMPLE_STALE;
    s->reset = false;
    slot->stale = true;
    o->charge -= slot->charge;
    slot->charge = 0;
}

void output_end(struct output *o, uint32_t id)
{
    struct slot *slot = slot_of(o, id);
    if (!slot)
        return;
    if (o->n_retired == o->cap_retired) {
        size_t cap = o->cap_retired ? o->cap_retired * 2 : 32;
        uint32_t *r = realloc(o->retired, cap * sizeof(*r));
        if (!r) {
            o->refused++; // it stays alive and unwritten
            return;
        }
        o->retired = r;
        o->cap_retired = cap;
    }
    struct batch_sample *s = slot->stale ? NULL : sample_at(o, slot);
    if (s) {
        s->kind = SAMPLE_STALE;
        s->reset = false;
    }
    size_t at = o->n_retired++;
    for (; at > 0 && o->retired[at - 1] > id; at--)
        o->retired[at] = o->retired[at - 1];
    o->retired[at] = id;

    slot->ended = true;
    o->charge -= slot->charge;
    slot->charge = 0;
    for (size_t t = slot->series->hash & (o->table_cap - 1);; t = (t + 1) & (o->table_cap - 1))
        if (o->table[t] == id) {
            o->table[t] = TOMB;
            break;
        }
    o->active--;
    o->text -= text_of(&slot->series->d);
}

// --- events and frames -----------------------------------------------------------------------

// Cut to max bytes, never inside a UTF-8 character.
static char *text_cut(struct arena *a, const char *s, size_t max)
{
    size_t len = strnlen(s, max + 1);
    if (len > max)
        for (len = max; len > 0 && ((uint8_t)s[len] & 0xc0) == 0x80; len--)
            ;
    return arena_strndup(a, s, len);
}

void output_event(
    struct output *o, int kind, int64_t wall_us, const char *service, const char *detail)
{
    begin(o);
    o->urgent = true;
    if (!service || !wire_text_ok(service, 0, WIRE_VALUE_MAX))
        service = "";
    if (!detail || !wire_text_ok(detail, 0, 64u << 10))
        detail = "";
    char *s = text_cut(&o->frame, service, WIRE_VALUE_MAX);
    char *d = text_cut(&o->frame, detail, WIRE_DETAIL_MAX);
    if (o->n_events == WIRE_EVENTS_MAX || !s || !d) {
        o->refused++;
        return;
    }
    o->events[o->n_events++] = (struct batch_event){
        .id = o->next_event++, .kind = kind, .wall_us = wall_us, .service = s, .detail = d};
}

void output_hurry(struct output *o)
{
    begin(o);
    o->urgent = true;
}

void output_repair(struct output *o, const struct wire_repair_result *r)
{
    begin(o);
    o->urgent = true;
    if (wire_repair_result_fault(r) || o->n_repairs == WIRE_REPAIRS_MAX) {
        o->refused++;
        return;
    }
    struct wire_repair_result copy = *r;
    uint8_t *output = arena_alloc(&o->frame, r->n_output + 1);
    copy.id = arena_strndup(&o->frame, r->id, WIRE_REPAIR_ID_MAX);
    copy.reason = arena_strndup(&o->frame, r->reason ? r->reason : "", WIRE_DETAIL_MAX);
    copy.output = output;
    if (!output || !copy.id || !copy.reason) {
        o->refused++;
        return;
    }
    if (r->n_output)
        memcpy(output, r->output, r->n_output);
    o->repairs[o->n_repairs++] = copy;
}

bool output_urgent(const struct output *o)
{
    return o->urgent;
}

void output_clock_step(struct output *o, int64_t step_ms)
{
    o->clock_step_ms += step_ms;
}

// Samplers write nearly in order, so the check is what usually runs. Shell sort, because qsort may
// allocate.
static void sort_samples(struct batch_sample *s, size_t n)
{
    static const size_t GAPS[] = {17961, 4901, 1750, 701, 301, 132, 57, 23, 10, 4, 1};
    size_t at = 1;
    while (at < n && s[at - 1].id < s[at].id)
        at++;
    if (at >= n)
        return;
    for (size_t k = 0; k < sizeof(GAPS) / sizeof(GAPS[0]); k++) {
        size_t gap = GAPS[k];
        for (size_t i = gap; i < n; i++) {
            struct batch_sample one = s[i];
            size_t j = i;
            for (; j >= gap && s[j - gap].id > one.id; j -= gap)
                s[j] = s[j - gap];
            s[j] = one;
        }
    }
}

static bool group_before(const struct batch_group *a, const struct batch_group *b)
{
    if (a->stamp_ms != b->stamp_ms)
        return a->stamp_ms < b->stamp_ms;
    if (a->interval_ms != b->interval_ms)
        return a->interval_ms < b->interval_ms;
    return a->tick < b->tick;
}

const struct batch *output_take(
    struct output *o, uint64_t seq, int64_t wall_ms, int64_t mono_ns)
{
    begin(o);
    size_t groups = 0;
    for (size_t i = 0; i < GROUPS_MAX; i++) {
        struct batch_group *g = &o->groups[i].g;
        if (!o->groups[i].serial || !g->n)
            continue;
        sort_samples(g->samples, g->n);
        if (g->stamp_ms == 0) // written without a group ever opened
            g->stamp_ms = wall_ms;
        size_t at = groups++;
        for (; at > 0 && group_before(g, &o->batch_groups[at - 1]); at--)
            o->batch_groups[at] = o->batch_groups[at - 1];
        o->batch_groups[at] = *g;
    }
    size_t declares = 0;
    for (uint32_t i = rows_find(&o->slots, o->declared + 1); i < o->slots.n; i++)
        o->declares[declares++] = ((const struct slot *)rows_nth(&o->slots, i))->series->d;
    o->declared = o->last_id;
    o->batch = (struct batch){.seq = seq,
        .wall_ms = wall_ms,
        .mono_ns = mono_ns,
        .clock_step_ms = o->clock_step_ms,
        .declares = o->declares,
        .n_declares = declares,
        .retired = o->retired,
        .n_retired = o->n_retired,
        .groups = o->batch_groups,
        .n_groups = groups,
        .events = o->events,
        .n_events = o->n_events,
        .repairs = o->repairs,
        .n_repairs = o->n_repairs};
    o->clock_step_ms = 0;
    o->urgent = false;
    o->open = NULL;
    o->taken = true;
    return &o->batch;
}

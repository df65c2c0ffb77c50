// SPDX-License-Identifier: Apache-2.0
#include "agent/output.h"
#include "agent/sample_groups.h"
#include "base/arena.h"
#include "wire/cell.h"
#include "wire/name.h"
#include <stdlib.h>
#include <string.h>

// Buckets of all histograms: a frame with more than the chain takes would be lost whole. The rest is for
// those that end in the frame in which others grow.
#define CHARGE_MAX (WIRE_CHAIN_BUCKETS_MAX - WIRE_CHAIN_BUCKETS_MAX / 16)

struct output {
    struct catalogue series;
    struct sample_groups groups;
    size_t refused;
    uint32_t charge; // of all histograms

    uint32_t *retired; // ended since the last take
    size_t n_retired, cap_retired;

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
};

struct output *output_new(void)
{
    struct output *o = calloc(1, sizeof(*o));
    if (!o)
        return NULL;
    catalogue_init(&o->series);
    sample_groups_init(&o->groups);
    o->next_event = 1;
    arena_init(&o->frame, 4u << 20);
    return o;
}

void output_free(struct output *o)
{
    if (!o)
        return;
    catalogue_done(&o->series);
    sample_groups_done(&o->groups);
    free(o->retired);
    arena_done(&o->frame);
    free(o);
}

// What the last batch pointed to is given back at the first call after the take.
static void begin(struct output *o)
{
    if (!o->taken)
        return;
    o->taken = false;
    catalogue_forget(&o->series, o->retired, o->n_retired);
    sample_groups_reset(&o->groups);
    o->n_retired = o->n_events = o->n_repairs = 0;
    arena_reset(&o->frame);
}

// --- series ----------------------------------------------------------------------------------

uint32_t output_series(struct output *o, const char *name, const struct wire_label *labels,
    size_t n, enum series_kind kind, const char *unit)
{
    begin(o);
    uint32_t id = catalogue_add(&o->series, name, labels, n, kind, unit, OUTPUT_SERIES_MAX);
    o->refused += id == 0;
    return id;
}

size_t output_refused(const struct output *o)
{
    return o->refused;
}

size_t output_active(const struct output *o)
{
    return o->series.active;
}

size_t output_text(const struct output *o)
{
    return o->series.text;
}

uint32_t output_last_id(const struct output *o)
{
    return o->series.last_id;
}

void output_writer(struct output *o, unsigned writer)
{
    o->writer = (uint8_t)writer;
}

bool output_wrote(const struct output *o, unsigned writer,
    bool (*wanted)(void *ctx, const char *name), void *ctx)
{
    for (uint32_t i = 0; i < o->series.slots.n; i++) {
        const struct slot *s = rows_nth(&o->series.slots, i);
        if (!s->ended && s->writer == writer && wanted(ctx, catalogue_name(s)))
            return true;
    }
    return false;
}

// --- samples ---------------------------------------------------------------------------------

void output_group(struct output *o, uint32_t interval_ms, int64_t tick, int64_t stamp_wall_ms)
{
    begin(o);
    sample_groups_open(&o->groups, interval_ms, tick, stamp_wall_ms);
    if (o->groups.n >= GROUPS_URGENT)
        o->urgent = true;
}

static struct slot *slot_of(struct output *o, uint32_t id)
{
    begin(o);
    return catalogue_at(&o->series, id);
}

// NULL: ignored (no slot), or no room (counted).
static struct batch_sample *sample_at(struct output *o, struct slot *slot)
{
    if (!slot)
        return NULL;
    struct batch_sample *s = sample_groups_at(&o->groups, slot);
    if (!s)
        o->refused++;
    else if (o->writer)
        slot->writer = o->writer;
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

    o->charge -= slot->charge;
    slot->charge = 0;
    catalogue_end(&o->series, slot);
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

const struct batch *output_take(
    struct output *o, uint64_t seq, int64_t wall_ms, int64_t mono_ns)
{
    begin(o);
    o->batch = (struct batch){.seq = seq,
        .wall_ms = wall_ms,
        .mono_ns = mono_ns,
        .clock_step_ms = o->clock_step_ms,
        .retired = o->retired,
        .n_retired = o->n_retired,
        .events = o->events,
        .n_events = o->n_events,
        .repairs = o->repairs,
        .n_repairs = o->n_repairs};
    o->batch.groups = sample_groups_take(&o->groups, wall_ms, &o->batch.n_groups);
    o->batch.declares = catalogue_news(&o->series, &o->batch.n_declares);
    o->clock_step_ms = 0;
    o->urgent = false;
    o->taken = true;
    return &o->batch;
}

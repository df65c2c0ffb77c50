// SPDX-License-Identifier: Apache-2.0
#include "agent/intake_labels.h"
#include "agent/intake_state.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define KEY_MAX  (256u << 10)
#define TEXT_MAX (1u << 20)

struct intake *intake_new(struct output *out, const struct intake_options *o)
{
    struct intake *in = calloc(1, sizeof(*in));
    if (!in)
        return NULL;
    in->out = out;
    in->o = *o;
    if (!in->o.series_limit)
        in->o.series_limit = INTAKE_SERIES_DEFAULT;
    intake_table_init(&in->table);
    buf_init(&in->key, KEY_MAX);
    arena_init(&in->text, TEXT_MAX);
    struct wire_label l[] = {{"job", "tocsin"}, {"source", o->source}};
    in->series_id = output_series(out, "tocsin_agent_intake_series", l, 2, SERIES_GAUGE, "1");
    in->refused_id =
        output_series(out, "tocsin_agent_intake_refused_total", l, 2, SERIES_COUNTER, "1");
    return in;
}

void intake_free(struct intake *in, int64_t wall_ms)
{
    if (!in)
        return;
    if (wall_ms) {
        output_group(in->out, 0, 0, wall_ms);
        for (uint32_t i = 1; i <= in->table.n; i++)
            output_end(in->out, in->table.all[i].id);
        intake_others_end(&in->others, in->out);
        for (size_t i = 0; i < in->n_own; i++)
            output_end(in->out, in->own[i].id);
        output_end(in->out, in->series_id);
        output_end(in->out, in->refused_id);
    }
    intake_others_done(&in->others);
    intake_table_done(&in->table);
    buf_done(&in->key);
    arena_done(&in->text);
    free(in->taken);
    free(in);
}

void intake_begin(struct intake *in, int64_t wall_ms)
{
    in->round++;
    in->wall_ms = wall_ms;
    in->now = (struct intake_round){0};
    in->n_stamps = 0;
    intake_others_begin(&in->others);
    for (size_t i = 0; i < in->n_own; i++)
        in->own[i].staged = false;
}

// --- series ----------------------------------------------------------------------------------------

uint32_t intake_find(const struct intake *in, const void *key, size_t len)
{
    return intake_table_find(&in->table, key, len);
}

// Notes that an entry of ours has the id. False: one had it before, or memory.
static bool take(struct intake *in, uint32_t id)
{
    size_t byte = id / 8;
    if (byte >= in->n_taken) {
        size_t n = byte + byte / 2 + 64;
        uint8_t *grown = realloc(in->taken, n);
        if (!grown)
            return false;
        memset(grown + in->n_taken, 0, n - in->n_taken);
        in->taken = grown;
        in->n_taken = n;
    }
    bool had = in->taken[byte] >> id % 8 & 1;
    in->taken[byte] |= (uint8_t)(1u << id % 8);
    return !had;
}

void intake_end_entry(struct intake *in, uint32_t number)
{
    struct intake_entry *e = &in->table.all[number];
    if (e->id) {
        output_end(in->out, e->id);
        in->taken[e->id / 8] &= (uint8_t) ~(1u << e->id % 8);
        in->fresh -= !e->stale;
        in->waiting -= e->stale && e->heard_ms;
        in->standing--;
    }
    intake_table_remove(&in->table, number);
}

// One that only keeps its id gives its place away.
static void end_waiting(struct intake *in)
{
    for (uint32_t k = 0; in->waiting && k < in->table.n; k++) {
        in->waiting_at = in->waiting_at % in->table.n + 1;
        const struct intake_entry *e = &in->table.all[in->waiting_at];
        if (e->state == INTAKE_KEPT && e->stale && e->heard_ms && e->round != in->round) {
            intake_end_entry(in, in->waiting_at);
            return;
        }
    }
}

// A series of its own while there is room, else a part of the others, else refused.
static void settle(struct intake *in, struct intake_entry *e, const struct relabel_set *s,
    enum series_kind kind, const char *unit)
{
    const char *name = relabel_get(s, "__name__");
    e->state = INTAKE_REFUSED;
    if (in->standing >= in->o.series_limit)
        end_waiting(in);
    if (in->standing < in->o.series_limit &&
        output_active(in->out) + INTAKE_RESERVE < OUTPUT_SERIES_MAX &&
        output_text(in->out) < INTAKE_TEXT_MAX) {
        uint32_t id = intake_declare(in->out, name, s, kind, unit);
        if (id && take(in, id)) {
            e->id = id;
            e->state = INTAKE_KEPT;
            e->stale = true; // until its first sample has left
            in->standing++;
            return;
        }
        if (id) {
            in->doubled = true;
            return;
        }
    }
    in->crowded = true;
    int other = intake_others_of(&in->others, in->out, &in->o, &in->text, name, kind, unit);
    if (other >= 0) {
        e->state = INTAKE_OTHER;
        e->other = (uint8_t)other;
        e->last = NAN;
    }
}

uint32_t intake_add(struct intake *in, const void *key, size_t len, const char *name,
    const struct wire_label *labels, size_t n, enum series_kind kind, const char *unit,
    struct err *err)
{
    struct relabel_set s;
    arena_reset(&in->text);
    relabel_set_init(&s, &in->text);
    enum intake_verdict verdict = intake_labels(&in->o, name, labels, n, &s, err);
    if (verdict == INTAKE_FAULTY)
        return 0;
    uint32_t number = intake_table_add(&in->table, key, len);
    if (!number) {
        in->now.samples++;
        in->now.kept += verdict != INTAKE_DROPS;
        in->refused++;
        return 0;
    }
    struct intake_entry *e = &in->table.all[number];
    e->kind = (uint8_t)kind;
    e->round = in->round - 1; // not staged yet
    if (verdict == INTAKE_DROPS)
        e->state = INTAKE_DROPPED;
    else if (verdict == INTAKE_GOES)
        settle(in, e, &s, kind, unit);
    return number;
}

// --- samples ---------------------------------------------------------------------------------------

static bool stamp_known(struct intake *in, int64_t stamp_ms)
{
    for (size_t i = 0; i < in->n_stamps; i++)
        if (in->stamps[i] == stamp_ms)
            return true;
    if (in->n_stamps == INTAKE_STAMPS_MAX)
        return false;
    in->stamps[in->n_stamps++] = stamp_ms;
    return true;
}

// The entry to put a sample into, or NULL: it has one, it is not wanted, or its time is out of bounds.
static struct intake_entry *stage(
    struct intake *in, uint32_t number, int64_t stamp_ms, bool histogram)
{
    struct intake_entry *e = &in->table.all[number];
    bool again = e->round == in->round;
    in->now.samples++;
    in->now.kept += e->state != INTAKE_DROPPED;
    e->round = in->round;
    if (e->state == INTAKE_DROPPED)
        return NULL;
    // A newer one takes the place of an older: what lies between two rounds is not kept.
    bool fits = again ? stamp_ms > e->stamp_ms && e->stamp_ms
                      : e->state != INTAKE_REFUSED && !(histogram && e->state == INTAKE_OTHER);
    if (stamp_ms && fits)
        fits = stamp_ms >= in->wall_ms - INTAKE_PAST_MS &&
               stamp_ms <= in->wall_ms + INTAKE_FUTURE_MS && stamp_known(in, stamp_ms);
    if (!fits) {
        if (!again)
            e->round = e->state == INTAKE_REFUSED ? in->round : in->round - 1;
        in->refused++;
        return NULL;
    }
    e->stamp_ms = stamp_ms;
    return e;
}

bool intake_set(struct intake *in, uint32_t number, double value, int64_t stamp_ms)
{
    struct intake_entry *e = stage(in, number, stamp_ms, false);
    if (!e)
        return false;
    e->value = value;
    return true;
}

bool intake_set_histogram(
    struct intake *in, uint32_t number, const struct wire_histogram *h, int64_t stamp_ms)
{
    struct intake_entry *e = stage(in, number, stamp_ms, true);
    if (!e)
        return false;
    if (intake_entry_keep(e, h))
        return true;
    e->round = in->round - 1;
    in->refused++;
    return false;
}

void intake_refuse(struct intake *in, uint32_t number)
{
    in->now.samples++;
    in->now.kept += in->table.all[number].state != INTAKE_DROPPED;
    in->refused += in->table.all[number].state != INTAKE_DROPPED;
}

bool intake_key(struct buf *key, const char *name, const struct wire_label *labels, size_t n)
{
    buf_reset(key);
    buf_add(key, name, strlen(name) + 1);
    for (size_t i = 0; i < n; i++) {
        buf_add(key, labels[i].name, strlen(labels[i].name) + 1);
        buf_add(key, labels[i].value, strlen(labels[i].value) + 1);
    }
    return !key->failed;
}

// The series of these labels, in whatever order they come.
static uint32_t known(struct intake *in, const char *name, const struct wire_label *labels,
    size_t n, enum series_kind kind, const char *unit, struct err *err)
{
    struct wire_label l[RELABEL_LABELS_MAX];
    if (n > RELABEL_LABELS_MAX) {
        in->refused++;
        err_set(err, "%.100s: more than %d labels", name, RELABEL_LABELS_MAX);
        return 0;
    }
    if (n)
        memcpy(l, labels, n * sizeof(*l));
    for (size_t i = 1; i < n; i++) {
        struct wire_label one = l[i];
        size_t at = i;
        for (; at > 0 && strcmp(l[at - 1].name, one.name) > 0; at--)
            l[at] = l[at - 1];
        l[at] = one;
    }
    if (!intake_key(&in->key, name, l, n)) {
        in->refused++;
        err_set(err, "%.100s: labels too long", name);
        return 0;
    }
    uint32_t number = intake_find(in, in->key.data, in->key.len);
    return number ? number
                  : intake_add(in, in->key.data, in->key.len, name, l, n, kind, unit, err);
}

bool intake_value(struct intake *in, const char *name, const struct wire_label *labels,
    size_t n, enum series_kind kind, const char *unit, double value, struct err *err)
{
    uint32_t number = known(in, name, labels, n, kind, unit, err);
    return number && intake_set(in, number, value, 0);
}

bool intake_histogram(struct intake *in, const char *name, const struct wire_label *labels,
    size_t n, const char *unit, const struct wire_histogram *h, struct err *err)
{
    uint32_t number = known(in, name, labels, n, SERIES_HISTOGRAM, unit, err);
    return number && intake_set_histogram(in, number, h, 0);
}

struct intake_round intake_so_far(const struct intake *in)
{
    return in->now;
}

void intake_own(
    struct intake *in, const char *name, enum series_kind kind, const char *unit, double value)
{
    size_t at = 0;
    while (at < in->n_own && strcmp(in->own[at].name, name) != 0)
        at++;
    if (at == INTAKE_OWN_MAX)
        return;
    struct intake_own *own = &in->own[at];
    if (at == in->n_own) {
        struct relabel_set s;
        arena_reset(&in->text);
        relabel_set_init(&s, &in->text);
        intake_own_labels(&in->o, &s);
        *own = (struct intake_own){
            .name = name, .id = intake_declare(in->out, name, &s, kind, unit)};
        in->n_own += own->id != 0;
    }
    own->value = value;
    own->staged = true;
}

void intake_moved(struct intake *in, const struct intake_options *o)
{
    in->o = *o;
    if (!in->o.series_limit)
        in->o.series_limit = INTAKE_SERIES_DEFAULT;
}

size_t intake_series(const struct intake *in)
{
    return in->fresh;
}

uint64_t intake_refused(const struct intake *in)
{
    return in->refused;
}

// SPDX-License-Identifier: Apache-2.0
/*
 * The end of a round: what was staged goes to the output, and what was not seen ages.
 *
 *     seen, without a time of its own  -> the round's group       not seen: stale -> keeps its id -> ends
 *     seen, with one                   -> a group for each time
 */
#include "agent/intake_state.h"

// How long the id of a stale series waits for it to come back.
#define KEEP_ID_MS (5 * 60 * 1000LL)

static void write_entry(struct intake *in, struct intake_entry *e)
{
    if (e->buckets && e->kind == SERIES_HISTOGRAM) {
        output_histogram(in->out, e->id, &e->buckets->h);
    } else {
        bool fell = e->kind == SERIES_COUNTER && !e->stale && e->value < e->last;
        if (fell)
            output_reset(in->out, e->id, e->value);
        else
            output_set(in->out, e->id, e->value);
        e->last = e->value;
    }
    in->now.added += e->stale;
    in->fresh += e->stale;
    in->waiting -= e->stale && e->heard_ms;
    e->stale = false;
    e->heard_ms = in->wall_ms;
}

// One that this round did not hold, or held in vain.
static void miss(struct intake *in, uint32_t number)
{
    struct intake_entry *e = &in->table.all[number];
    int64_t unheard_ms = in->wall_ms - e->heard_ms;
    if (e->state != INTAKE_KEPT) {
        if (unheard_ms >= in->o.age_ms && e->round != in->round)
            intake_table_remove(&in->table, number);
        return;
    }
    if (e->stale && !e->heard_ms) {
        // Of a round that failed: kept, for a page that fails each time would use up all ids.
        e->heard_ms = in->wall_ms;
        in->waiting++;
        return;
    }
    if (!e->stale && unheard_ms >= in->o.age_ms) {
        output_stale(in->out, e->id);
        e->stale = true;
        in->fresh--;
        in->waiting++;
        in->crowded |= in->doubled;
    }
    if (e->stale && unheard_ms >= in->o.age_ms + KEEP_ID_MS)
        intake_end_entry(in, number);
}

static void write_round(struct intake *in)
{
    for (uint32_t i = 1; i <= in->table.n; i++) {
        struct intake_entry *e = &in->table.all[i];
        if (e->state == INTAKE_FREE)
            continue;
        if (e->round != in->round) {
            miss(in, i);
            continue;
        }
        if (e->state == INTAKE_KEPT && !e->stamp_ms) {
            write_entry(in, e);
            continue;
        }
        if (e->state == INTAKE_OTHER)
            intake_others_add(&in->others, e->other, e->value, &e->last);
        // One with a time of its own that did not move is heard all the same.
        if (e->state != INTAKE_KEPT || !e->stale)
            e->heard_ms = in->wall_ms;
    }
    intake_others_write(&in->others, in->out, !in->o.age_ms);
}

// Samples with times of their own, a group for each time. One whose time did not move was sent.
static void write_stamped(struct intake *in)
{
    for (size_t k = 0; k < in->n_stamps; k++) {
        output_group(in->out, 0, 0, in->stamps[k]);
        for (uint32_t i = 1; i <= in->table.n; i++) {
            struct intake_entry *e = &in->table.all[i];
            if (e->state == INTAKE_KEPT && e->round == in->round &&
                e->stamp_ms == in->stamps[k] && (e->stale || e->stamp_ms > e->stamp_sent_ms)) {
                write_entry(in, e);
                e->stamp_sent_ms = e->stamp_ms;
            }
        }
    }
}

// The source failed: what it had is stale, as if the round had held nothing.
static void write_failure(struct intake *in)
{
    for (uint32_t i = 1; i <= in->table.n; i++)
        if (in->table.all[i].state != INTAKE_FREE)
            miss(in, i);
    intake_others_stale(&in->others, in->out);
}

// There is room again: what had none is forgotten, so that it is known anew.
static void make_room(struct intake *in)
{
    if (!in->crowded || in->standing + in->o.series_limit / 10 >= in->o.series_limit ||
        output_active(in->out) + INTAKE_RESERVE + OUTPUT_SERIES_MAX / 20 >= OUTPUT_SERIES_MAX ||
        output_text(in->out) + INTAKE_TEXT_MAX / 20 >= INTAKE_TEXT_MAX)
        return;
    for (uint32_t i = 1; i <= in->table.n; i++)
        if (in->table.all[i].state == INTAKE_OTHER || in->table.all[i].state == INTAKE_REFUSED)
            intake_table_remove(&in->table, i);
    in->crowded = in->doubled = false;
}

void intake_end(struct intake *in, bool whole, struct intake_round *ret)
{
    output_group(in->out, 0, 0, in->wall_ms);
    if (whole)
        write_round(in);
    else if (!in->o.age_ms)
        write_failure(in);
    for (size_t i = 0; i < in->n_own; i++)
        if (in->own[i].staged)
            output_set(in->out, in->own[i].id, in->own[i].value);
    output_set(in->out, in->series_id, (double)in->fresh);
    output_set(in->out, in->refused_id, (double)in->refused);
    if (whole)
        write_stamped(in);
    make_room(in);
    if (ret)
        *ret = in->now;
}

size_t intake_coming(const struct intake *in, bool whole)
{
    size_t n = 0;
    for (uint32_t i = 1; whole && i <= in->table.n; i++) {
        const struct intake_entry *e = &in->table.all[i];
        n += e->state == INTAKE_KEPT && e->round == in->round && e->stale;
    }
    return n;
}

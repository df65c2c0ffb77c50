// SPDX-License-Identifier: Apache-2.0
#include "collector/deliveries.h"
#include "base/log.h"
#include <stdlib.h>
#include <string.h>

struct deliveries {
    struct deliveries_options o;
    uint64_t last_id, unlogged;
    struct letters letters;
    struct delivery *recent[DELIVERIES_RECENT];
    size_t n_recent; // ever
};

static struct journal_write *writing(struct deliveries *d)
{
    return d->o.journal ? d->o.writing(d->o.ctx) : NULL;
}

static void unwrite(void *ctx, const struct letter *l)
{
    struct deliveries *d = ctx;
    struct journal_write *w = writing(d);
    if (w)
        (void)journal_write_unletter(w, l->id);
}

// At start there is nothing to be written: what is pushed out here is pushed out again next time.
static void passed_over(void *ctx, const struct letter *l)
{
    (void)ctx;
    (void)l;
}

static void restore(void *ctx, const struct letter *l)
{
    struct deliveries *d = ctx;
    struct letter *own = letter_copy(l);
    if (!own || letters_add(&d->letters, own, passed_over, d) < 0)
        log_error("letter_lost", "id=%llu reason=%s", (unsigned long long)l->id,
            log_q("out of memory"));
}

struct deliveries *deliveries_new(const struct deliveries_options *o)
{
    struct deliveries *d = calloc(1, sizeof(*d));
    if (!d)
        return NULL;
    d->o = *o;
    if (!o->journal)
        return d;
    d->last_id = journal_last_delivery(o->journal);
    journal_each_letter(o->journal, restore, d);
    return d;
}

void deliveries_free(struct deliveries *d)
{
    if (!d)
        return;
    letters_done(&d->letters);
    for (size_t i = 0; i < DELIVERIES_RECENT; i++)
        free(d->recent[i]);
    free(d);
}

uint64_t deliveries_id(struct deliveries *d)
{
    return ++d->last_id;
}

static void remember(struct deliveries *d, const struct delivery *row)
{
    struct delivery *copy = delivery_copy(row);
    if (!copy)
        return;
    for (size_t i = 0; i < DELIVERIES_RECENT; i++)
        if (d->recent[i] && d->recent[i]->id == row->id) {
            free(d->recent[i]);
            d->recent[i] = copy;
            return;
        }
    size_t at = d->n_recent++ % DELIVERIES_RECENT;
    free(d->recent[at]);
    d->recent[at] = copy;
}

void deliveries_log(struct deliveries *d, struct delivery *row)
{
    if (!row)
        return;
    if (row->kind != DELIVERY_ALERT)
        remember(d, row);
    struct journal_write *w = d->o.journal && journal_ok(d->o.journal) ? writing(d) : NULL;
    if (w && journal_write_delivery(w, row) == 0)
        return;
    d->unlogged += d->o.journal != NULL;
    free(row);
}

void deliveries_bury(struct deliveries *d, const struct letter *l)
{
    struct letter *own = letter_copy(l);
    int rc = own ? letters_add(&d->letters, own, unwrite, d) : 0;
    if (!own || rc < 0) {
        log_error("letter_lost", "receiver=%s bytes=%zu", log_q(l->receiver), l->body_len);
        return;
    }
    struct journal_write *w = writing(d);
    if (w && journal_write_letter(w, l) < 0)
        log_error("journal_out_of_memory", "letter=%llu", (unsigned long long)l->id);
}

bool deliveries_settle(struct deliveries *d, uint64_t id)
{
    const struct letter *l = letters_get(&d->letters, id);
    if (!l)
        return false;
    unwrite(d, l);
    return letters_remove(&d->letters, id);
}

void deliveries_told(struct deliveries *d, const char *lane, const char *key)
{
    const struct letter *l = d->letters.n ? letters_find(&d->letters, lane, key) : NULL;
    if (l)
        deliveries_settle(d, l->id);
}

const struct letters *deliveries_letters(const struct deliveries *d)
{
    return &d->letters;
}

const struct delivery *deliveries_recent(const struct deliveries *d, uint64_t id)
{
    for (size_t i = 0; i < DELIVERIES_RECENT; i++)
        if (d->recent[i] && d->recent[i]->id == id)
            return d->recent[i];
    return NULL;
}

uint64_t deliveries_unlogged(const struct deliveries *d)
{
    return d->unlogged;
}

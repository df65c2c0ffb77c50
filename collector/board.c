// SPDX-License-Identifier: Apache-2.0
#include "collector/board.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BOARD_SLOTS 16384 // deliveries remembered; a power of two

struct board {
    pthread_mutex_t mutex;
    atomic_uint_fast64_t generation;
    char banner[BOARD_TEXT_MAX];
    struct board_receiver *receivers;
    size_t n_receivers, cap_receivers;
    struct board_heartbeat *heartbeats; // NULL: there never was one
    size_t n_heartbeats;
    struct board_delivery *slots; // allocated with the first delivery
};

struct board *board_new(void)
{
    struct board *b = calloc(1, sizeof(*b));
    if (!b)
        return NULL;
    if (pthread_mutex_init(&b->mutex, NULL) != 0) {
        free(b);
        return NULL;
    }
    return b;
}

void board_free(struct board *b)
{
    if (!b)
        return;
    pthread_mutex_destroy(&b->mutex);
    free(b->receivers);
    free(b->heartbeats);
    free(b->slots);
    free(b);
}

uint64_t board_generation(const struct board *b)
{
    return atomic_load(&b->generation);
}

static void changed(struct board *b)
{
    atomic_fetch_add(&b->generation, 1);
}

void board_touch(struct board *b)
{
    changed(b);
}

void board_banner(struct board *b, const char *text)
{
    pthread_mutex_lock(&b->mutex);
    snprintf(b->banner, sizeof(b->banner), "%s", text ? text : "");
    changed(b);
    pthread_mutex_unlock(&b->mutex);
}

void board_banner_read(struct board *b, char ret[static BOARD_TEXT_MAX])
{
    pthread_mutex_lock(&b->mutex);
    memcpy(ret, b->banner, BOARD_TEXT_MAX);
    pthread_mutex_unlock(&b->mutex);
}

void board_receiver_set(struct board *b, size_t index, const struct board_receiver *r)
{
    if (index >= BOARD_RECEIVERS_MAX)
        return;
    pthread_mutex_lock(&b->mutex);
    if (index >= b->cap_receivers) {
        size_t cap = index + 8;
        struct board_receiver *grown = realloc(b->receivers, cap * sizeof(*grown));
        if (!grown)
            goto out; // the status shows less; the deliveries themselves go on
        memset(grown + b->cap_receivers, 0, (cap - b->cap_receivers) * sizeof(*grown));
        b->receivers = grown;
        b->cap_receivers = cap;
    }
    b->receivers[index] = *r;
    if (index >= b->n_receivers)
        b->n_receivers = index + 1;
    changed(b);
out:
    pthread_mutex_unlock(&b->mutex);
}

void board_receiver_remove(struct board *b, size_t index)
{
    pthread_mutex_lock(&b->mutex);
    if (index < b->n_receivers) {
        b->receivers[index] = (struct board_receiver){0};
        for (size_t i = 0; b->slots && i < BOARD_SLOTS; i++)
            if (b->slots[i].receiver == index)
                b->slots[i] = (struct board_delivery){0};
        while (b->n_receivers && !b->receivers[b->n_receivers - 1].name[0])
            b->n_receivers--;
        changed(b);
    }
    pthread_mutex_unlock(&b->mutex);
}

size_t board_receivers(struct board *b, struct board_receiver *ret, size_t max)
{
    pthread_mutex_lock(&b->mutex);
    size_t n = b->n_receivers < max ? b->n_receivers : max;
    if (n)
        memcpy(ret, b->receivers, n * sizeof(*ret));
    pthread_mutex_unlock(&b->mutex);
    return n;
}

static void merge(struct board_receiver *all, const struct board_receiver *r)
{
    all->queued += r->queued;
    all->sent += r->sent;
    all->failed += r->failed;
    all->dropped += r->dropped;
    all->alerts_dropped += r->alerts_dropped;
    all->letters += r->letters;
    all->gone |= r->gone;
    all->template_failures += r->template_failures;
    all->fallback_alerts += r->fallback_alerts;
    if (r->template_error[0])
        memcpy(all->template_error, r->template_error, sizeof(all->template_error));
    if (r->failing_since_ms &&
        (!all->failing_since_ms || r->failing_since_ms < all->failing_since_ms))
        all->failing_since_ms = r->failing_since_ms;
    if (r->last_error[0])
        memcpy(all->last_error, r->last_error, sizeof(all->last_error));
    if (r->last_sent_ms > all->last_sent_ms) {
        all->last_sent_ms = r->last_sent_ms;
        all->last_status = r->last_status;
    }
}

size_t board_receivers_by_name(struct board *b, struct board_receiver *ret, size_t max)
{
    size_t n = board_receivers(b, ret, max), kept = 0;
    for (size_t i = 0; i < n; i++) {
        size_t k = 0;
        while (k < kept && strcmp(ret[k].name, ret[i].name) != 0)
            k++;
        if (!ret[i].name[0])
            continue;
        if (k < kept)
            merge(&ret[k], &ret[i]);
        else
            ret[kept++] = ret[i];
    }
    return kept;
}

void board_heartbeats_set(struct board *b, const struct board_heartbeat *h, size_t n)
{
    pthread_mutex_lock(&b->mutex);
    if (!b->heartbeats && n)
        b->heartbeats = calloc(BOARD_HEARTBEATS_MAX, sizeof(*h));
    b->n_heartbeats = !b->heartbeats ? 0 : n < BOARD_HEARTBEATS_MAX ? n : BOARD_HEARTBEATS_MAX;
    if (b->n_heartbeats)
        memcpy(b->heartbeats, h, b->n_heartbeats * sizeof(*h));
    changed(b);
    pthread_mutex_unlock(&b->mutex);
}

size_t board_heartbeats(
    struct board *b, struct board_heartbeat ret[static BOARD_HEARTBEATS_MAX])
{
    pthread_mutex_lock(&b->mutex);
    size_t n = b->n_heartbeats;
    if (n)
        memcpy(ret, b->heartbeats, n * sizeof(*ret));
    pthread_mutex_unlock(&b->mutex);
    return n;
}

static size_t slot_of(uint64_t fingerprint, size_t receiver)
{
    uint64_t h = (fingerprint ^ (receiver * 0x9e3779b97f4a7c15ULL)) * 0xff51afd7ed558ccdULL;
    return (size_t)(h >> 32) & (BOARD_SLOTS - 1);
}

void board_delivery_set(struct board *b, const struct board_delivery *d)
{
    if (d->receiver >= BOARD_RECEIVERS_MAX)
        return;
    pthread_mutex_lock(&b->mutex);
    if (!b->slots)
        b->slots = calloc(BOARD_SLOTS, sizeof(*b->slots));
    if (b->slots) {
        b->slots[slot_of(d->fingerprint, d->receiver)] = *d;
        changed(b);
    }
    pthread_mutex_unlock(&b->mutex);
}

size_t board_deliveries(
    struct board *b, uint64_t fingerprint, struct board_delivery *ret, size_t max)
{
    size_t n = 0;
    pthread_mutex_lock(&b->mutex);
    for (size_t i = 0; b->slots && i < b->n_receivers && n < max; i++) {
        const struct board_delivery *d = &b->slots[slot_of(fingerprint, i)];
        if (d->at_ms && d->fingerprint == fingerprint && d->receiver == i)
            ret[n++] = *d;
    }
    pthread_mutex_unlock(&b->mutex);
    return n;
}

const char *board_outcome_name(enum board_outcome o)
{
    switch (o) {
    case BOARD_WAITING: return "waiting";
    case BOARD_RETRYING: return "retrying";
    case BOARD_SENT: return "sent";
    case BOARD_DROPPED: return "dropped";
    }
    return "";
}

// SPDX-License-Identifier: Apache-2.0
#include "collector/ack_board.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct ack_list {
    atomic_uint refs;
    size_t n;
    struct ack *a; // by rising alert_id, the text behind them
};
struct ack_board {
    pthread_mutex_t mutex;
    struct ack_list *newest; // NULL: none
};

struct ack_board *ack_board_new(void)
{
    struct ack_board *b = calloc(1, sizeof(*b));
    if (b)
        pthread_mutex_init(&b->mutex, NULL);
    return b;
}

void ack_list_free(const struct ack_list *l)
{
    struct ack_list *own = (struct ack_list *)(uintptr_t)l;
    if (own && atomic_fetch_sub_explicit(&own->refs, 1, memory_order_acq_rel) == 1) {
        free(own->a);
        free(own);
    }
}

void ack_board_free(struct ack_board *b)
{
    if (!b)
        return;
    ack_list_free(b->newest);
    pthread_mutex_destroy(&b->mutex);
    free(b);
}

struct filling {
    const struct ack *a[ACK_BOARD_MAX];
    size_t n, bytes;
};

static void collect(void *ctx, const struct ack *a)
{
    struct filling *f = ctx;
    if (f->n == ACK_BOARD_MAX)
        return;
    f->a[f->n++] = a;
    f->bytes += sizeof(*a) + strlen(a->owner) + strlen(a->note) + 2;
}

static int compare(const void *x, const void *y)
{
    const struct ack *a = *(const struct ack *const *)x, *b = *(const struct ack *const *)y;
    return a->alert_id < b->alert_id ? -1 : a->alert_id > b->alert_id;
}

static const char *copy_text(char **at, const char *s)
{
    size_t n = strlen(s) + 1;
    char *to = memcpy(*at, s, n);
    *at += n;
    return to;
}

static struct ack_list *list_of(struct filling *f)
{
    struct ack_list *l = calloc(1, sizeof(*l));
    if (!l || !(l->a = malloc(f->bytes + 1))) {
        free(l);
        return NULL;
    }
    qsort(f->a, f->n, sizeof(f->a[0]), compare);
    atomic_init(&l->refs, 1);
    l->n = f->n;
    char *text = (char *)(l->a + l->n);
    for (size_t i = 0; i < l->n; i++) {
        l->a[i] = *f->a[i];
        l->a[i].owner = copy_text(&text, f->a[i]->owner);
        l->a[i].note = copy_text(&text, f->a[i]->note);
    }
    return l;
}

bool ack_board_set(struct ack_board *b, const struct acks *all)
{
    struct filling f = {.n = 0};
    acks_each(all, collect, &f);
    struct ack_list *l = list_of(&f);
    if (!l)
        return false;
    pthread_mutex_lock(&b->mutex);
    struct ack_list *old = b->newest;
    b->newest = l;
    pthread_mutex_unlock(&b->mutex);
    ack_list_free(old);
    return true;
}

const struct ack_list *ack_board_read(struct ack_board *b)
{
    pthread_mutex_lock(&b->mutex);
    if (b->newest)
        atomic_fetch_add_explicit(&b->newest->refs, 1, memory_order_relaxed);
    const struct ack_list *l = b->newest;
    pthread_mutex_unlock(&b->mutex);
    return l;
}

const struct ack *ack_list_find(const struct ack_list *l, uint64_t alert_id)
{
    size_t from = 0, to = l->n;
    while (from < to) {
        size_t at = from + (to - from) / 2;
        if (l->a[at].alert_id == alert_id)
            return &l->a[at];
        if (l->a[at].alert_id < alert_id)
            from = at + 1;
        else
            to = at;
    }
    return NULL;
}

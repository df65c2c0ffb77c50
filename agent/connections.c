// SPDX-License-Identifier: Apache-2.0
#include "agent/connections.h"
#include <stdlib.h>
#include <string.h>

#define ROWS_FIRST  64
#define SLOTS_FIRST 128
#define BYTE_MASK   ((UINT64_C(1) << CONNECTION_BYTE_BITS) - 1)
#define MS_MASK     ((UINT64_C(1) << CONNECTION_LIMITED_BITS) - 1)

void connections_init(struct connections *c, uint64_t seed)
{
    *c = (struct connections){.seed = seed};
}

void connections_done(struct connections *c)
{
    free(c->rows);
    free(c->slots);
    free(c->traffics);
    *c = (struct connections){0};
}

// Cookies count up per CPU: multiplying spreads them. The kernel chooses them, no peer does.
static size_t home(const struct connections *c, uint64_t cookie)
{
    return (size_t)(((cookie ^ c->seed) * 0x9e3779b97f4a7c15u) >> 32) & (c->n_slots - 1);
}

// The slot that holds `value` on the cookie's way: a row's number, or 0, the first free one.
static size_t slot_of(const struct connections *c, uint64_t cookie, uint32_t value)
{
    size_t i = home(c, cookie);

    while (c->slots[i] != value)
        i = (i + 1) & (c->n_slots - 1);
    return i;
}

struct connection *connections_get(const struct connections *c, uint64_t cookie)
{
    if (c->n == 0)
        return NULL;
    for (size_t i = home(c, cookie); c->slots[i] != 0; i = (i + 1) & (c->n_slots - 1))
        if (c->rows[c->slots[i] - 1].cookie == cookie)
            return &c->rows[c->slots[i] - 1];
    return NULL;
}

static bool resize_rows(struct connections *c, size_t cap)
{
    struct connection *rows = realloc(c->rows, cap * sizeof(*rows));

    if (!rows)
        return false;
    c->rows = rows;
    c->cap = cap;
    return true;
}

static bool resize_slots(struct connections *c, size_t n_slots)
{
    uint32_t *slots = calloc(n_slots, sizeof(*slots));

    if (!slots)
        return false;
    free(c->slots);
    c->slots = slots;
    c->n_slots = n_slots;
    for (size_t i = 0; i < c->n; i++)
        slots[slot_of(c, c->rows[i].cookie, 0)] = (uint32_t)i + 1;
    return true;
}

static bool make_room(struct connections *c)
{
    if (c->n >= CONNECTIONS_MAX)
        return false;
    if (c->n == c->cap && !resize_rows(c, c->cap ? c->cap + c->cap / 4 : ROWS_FIRST))
        return false;
    return (c->n + 1) * 3 <= c->n_slots * 2 ||
           resize_slots(c, c->n_slots ? c->n_slots * 2 : SLOTS_FIRST);
}

// False: no room for one more.
static bool number(struct connections *c, struct traffic *t)
{
    size_t i = 0;

    if (t->number)
        return true;
    while (i < c->n_traffics && c->traffics[i])
        i++;
    if (i == UINT16_MAX)
        return false;
    if (i == c->n_traffics) {
        struct traffic **more = realloc(c->traffics, (i + 1) * sizeof(*more));
        if (!more)
            return false;
        c->traffics = more;
        c->n_traffics++;
    }
    c->traffics[i] = t;
    t->number = (uint16_t)(i + 1);
    return true;
}

static struct traffic *traffic_of(const struct connections *c, const struct connection *row)
{
    return row->traffic ? c->traffics[row->traffic - 1] : NULL;
}

static struct connection *add(struct connections *c, uint64_t cookie, struct traffic *t)
{
    if (cookie == 0 || !number(c, t) || !make_room(c)) {
        c->refused++;
        return NULL;
    }
    struct connection *row = &c->rows[c->n++];
    *row = (struct connection){
        .cookie = cookie, .traffic = t->number, .walk = (uint8_t)(c->walk - 1) & 0xff};
    c->slots[slot_of(c, cookie, 0)] = (uint32_t)c->n;
    return row;
}

// Frees a slot without leaving a grave: what stood behind moves up to where a search passes.
static void slot_free(struct connections *c, size_t hole)
{
    size_t mask = c->n_slots - 1;

    for (size_t i = (hole + 1) & mask; c->slots[i] != 0; i = (i + 1) & mask) {
        size_t from_home = (i - home(c, c->rows[c->slots[i] - 1].cookie)) & mask;
        if (from_home >= ((i - hole) & mask)) {
            c->slots[hole] = c->slots[i];
            hole = i;
        }
    }
    c->slots[hole] = 0;
}

static void drop(struct connections *c, struct connection *row)
{
    uint32_t number = (uint32_t)(row - c->rows) + 1, last = (uint32_t)c->n;

    slot_free(c, slot_of(c, row->cookie, number));
    if (number != last) {
        *row = c->rows[last - 1];
        c->slots[slot_of(c, row->cookie, last)] = number;
    }
    c->n--;
}

// After many have gone. Fails without harm.
static void shrink(struct connections *c)
{
    if (c->cap <= 4 * ROWS_FIRST || c->n > c->cap / 4)
        return;
    resize_rows(c, c->n + c->n / 4 + ROWS_FIRST);
    size_t n_slots = c->n_slots;
    while (n_slots > SLOTS_FIRST && c->n * 4 < n_slots)
        n_slots /= 2;
    if (n_slots < c->n_slots)
        resize_slots(c, n_slots);
}

void connections_begin(struct connections *c)
{
    c->walk++;
    c->walking = true;
}

// Bytes of data, the peer's FIN and ours taken off where they have passed in this state.
static uint64_t data_received(const struct sockdiag *s, unsigned state)
{
    bool fin =
        state == SOCKDIAG_CLOSE_WAIT || state == SOCKDIAG_LAST_ACK || state == SOCKDIAG_CLOSING;
    return s->bytes_received - (fin && s->bytes_received > 0);
}

static uint64_t data_sent(const struct sockdiag *s)
{
    // bytes_sent never counts a FIN, so what is acknowledged beyond it is one.
    if (s->have & SOCKDIAG_HAS_SENT) {
        uint64_t data = s->bytes_sent - s->bytes_retransmitted;
        return s->bytes_acked > data ? data : s->bytes_acked;
    }
    return s->bytes_acked - (s->state == SOCKDIAG_FIN_WAIT2 && s->bytes_acked > 0);
}

static uint64_t growth(uint64_t now, uint64_t before, uint64_t mask)
{
    uint64_t d = (now - before) & mask;
    return d <= mask / 2 ? d : 0;
}

static uint64_t busy_us(const struct sockdiag *s)
{
    uint64_t held = s->window_limited_us + s->buffer_limited_us;
    return s->busy_us > held ? s->busy_us - held : 0; // the kernel's includes both
}

static void remember_limited(struct connection *row, const struct sockdiag *s)
{
    row->window_ms = s->window_limited_us / 1000 & MS_MASK;
    row->buffer_ms = s->buffer_limited_us / 1000 & MS_MASK;
    row->busy_ms = busy_us(s) / 1000 & MS_MASK;
}

static void book_limited(struct traffic *t, struct connection *row, const struct sockdiag *s)
{
    if (!(s->have & SOCKDIAG_HAS_LIMITED) || s->busy_us == 0)
        return;
    t->limited_ms[LIMITED_RECEIVER_WINDOW] +=
        growth(s->window_limited_us / 1000, row->window_ms, MS_MASK);
    t->limited_ms[LIMITED_SEND_BUFFER] +=
        growth(s->buffer_limited_us / 1000, row->buffer_ms, MS_MASK);
    t->limited_ms[LIMITED_BUSY] += growth(busy_us(s) / 1000, row->busy_ms, MS_MASK);
    remember_limited(row, s);
}

static void book(struct traffic *t, struct connection *row, const struct sockdiag *s,
    uint64_t received, uint64_t sent)
{
    // Only what grew: an abort clears the kernel's counters.
    uint64_t more = growth(received, row->received, BYTE_MASK);
    if (more) {
        t->received += more;
        row->received = received & BYTE_MASK;
    }
    more = growth(sent, row->sent, BYTE_MASK);
    if (more) {
        t->sent += more;
        row->sent = sent & BYTE_MASK;
    }
    if (s->segments_retransmitted > row->retransmitted) {
        t->retransmitted += s->segments_retransmitted - row->retransmitted;
        row->retransmitted = s->segments_retransmitted;
    }
    if (s->segments_out > row->segments) {
        t->segments += s->segments_out - row->segments;
        row->segments = s->segments_out;
    }
    book_limited(t, row, s);
}

static void count_live(struct traffic *t, const struct sockdiag *s)
{
    if (s->state < SOCKDIAG_STATES)
        t->live[s->state]++;
    if (s->have & SOCKDIAG_HAS_INFO && s->rtt_us > 0) {
        t->rtt_sum_us += s->rtt_us;
        t->rtt_n++;
        if (s->rtt_us > t->rtt_top_us)
            t->rtt_top_us = s->rtt_us;
    }
    if (!(s->have & SOCKDIAG_HAS_RATE))
        return;
    if (s->min_rtt_us > 0 && (t->rtt_least_us == 0 || s->min_rtt_us < t->rtt_least_us) &&
        s->min_rtt_us != UINT32_MAX)
        t->rtt_least_us = s->min_rtt_us;
    if (s->delivery_rate > 0) {
        t->rate_sum += s->delivery_rate;
        t->rate_n++;
    }
}

void traffic_round(struct traffic *t)
{
    memset(t->live, 0, sizeof(t->live));
    t->rtt_sum_us = t->rate_sum = 0;
    t->rtt_n = t->rtt_top_us = t->rtt_least_us = t->rate_n = 0;
}

void connections_dump(
    struct connections *c, struct traffic *t, const struct sockdiag *s, bool opened)
{
    struct connection *row = connections_get(c, s->cookie);

    if (row && (row->walk == c->walk || !row->traffic))
        return;
    count_live(row ? traffic_of(c, row) : t, s);
    // A handshake under way is no connection yet, and its socket has another cookie.
    if (s->state == SOCKDIAG_SYN_RECV || s->state == SOCKDIAG_NEW_SYN_RECV)
        return;
    if (!row) {
        row = add(c, s->cookie, t);
        if (!row)
            return;
        t->opened += opened;
        if (!opened) {
            // It was there before us: what it has carried is not our counter's growth.
            row->received = data_received(s, s->state) & BYTE_MASK;
            row->sent = data_sent(s) & BYTE_MASK;
            remember_limited(row, s);
            row->retransmitted = s->segments_retransmitted;
            row->segments = s->segments_out;
        }
    }
    row->walk = c->walk;
    row->state = s->state & 0x3fu;
    // Nor has one that waits to be accepted.
    row->orphan =
        s->inode == 0 && (s->state == SOCKDIAG_FIN_WAIT1 || s->state == SOCKDIAG_FIN_WAIT2);
    book(traffic_of(c, row), row, s, data_received(s, s->state), data_sent(s));
}

// Our FIN was acknowledged: one more than the data. The end of an orderly close, whoever began it.
static enum closed_how how_closed(const struct connection *row, const struct sockdiag *s)
{
    if (!(s->have & SOCKDIAG_HAS_SENT))
        return CLOSED_UNKNOWN;
    if (s->bytes_acked == 0 && (row->sent > 0 || row->received > 0))
        return CLOSED_RESET; // cleared by an abort
    return s->bytes_acked == s->bytes_sent - s->bytes_retransmitted + 1 ? CLOSED_FIN
                                                                        : CLOSED_RESET;
}

// After an orderly close: is the peer's FIN in bytes_received? Not where the service closed first and has
// let go of the socket: the kernel then hands over to a TIME_WAIT before it comes. If it came in time,
// nobody has read it. Unseen, the peer closed first, most likely: the error is one byte of a connection.
static bool has_peers_fin(const struct connection *row, const struct sockdiag *s)
{
    return s->receive_queue == 1 || !row->orphan;
}

void connections_final(struct connections *c, struct traffic *t, const struct sockdiag *s)
{
    struct connection *row = connections_get(c, s->cookie);
    struct connection unseen = {.cookie = s->cookie};

    if (row && !row->traffic)
        return;
    if (!row) {
        if (!t)
            return;
        t->opened++;
        row = c->walking ? add(c, s->cookie, t) : NULL;
        if (!row)
            row = &unseen;
    } else {
        t = traffic_of(c, row);
    }
    enum closed_how how = how_closed(row, s);
    // The final state is CLOSE whatever came before.
    book(t, row, s,
        data_received(
            s, how == CLOSED_FIN && has_peers_fin(row, s) ? SOCKDIAG_LAST_ACK : row->state),
        data_sent(s));
    t->closed[how]++;
    if (c->walking)
        row->traffic = 0;
    else if (row != &unseen)
        drop(c, row);
}

void connections_sweep(struct connections *c, bool whole)
{
    c->walking = false;
    for (size_t i = 0; i < c->n;) {
        struct connection *row = &c->rows[i];
        bool missed = whole && row->walk != c->walk, lost = missed && row->missed;
        if (whole)
            row->missed = missed;
        if (row->traffic && !lost) {
            i++;
            continue;
        }
        if (row->traffic)
            traffic_of(c, row)->closed[CLOSED_UNKNOWN]++;
        drop(c, row); // another row has moved here: look again
    }
    shrink(c);
}

void connections_forget(struct connections *c, struct traffic *t)
{
    if (!t->number)
        return;
    for (size_t i = 0; i < c->n;)
        if (c->rows[i].traffic == t->number)
            drop(c, &c->rows[i]);
        else
            i++;
    c->traffics[t->number - 1] = NULL;
    t->number = 0;
}

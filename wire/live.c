// SPDX-License-Identifier: Apache-2.0
#include "wire/live.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define POINTS_HEADER 8 // u32 rows, u32 columns

// The protocol is little-endian whatever the host; a shift is one instruction on both kinds.
static void put(uint8_t *to, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        to[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t get(const uint8_t *from, unsigned bytes)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < bytes; i++)
        v |= (uint64_t)from[i] << (8 * i);
    return v;
}

static uint8_t *put_doubles(uint8_t *to, const double *v, size_t n)
{
    for (size_t i = 0; i < n; i++, to += 8) {
        uint64_t bits;
        memcpy(&bits, &v[i], sizeof(bits));
        put(to, bits, 8);
    }
    return to;
}

static const uint8_t *get_doubles(const uint8_t *from, double *v, size_t n)
{
    for (size_t i = 0; i < n; i++, from += 8) {
        uint64_t bits = get(from, 8);
        memcpy(&v[i], &bits, sizeof(bits));
    }
    return from;
}

static void put_head(uint8_t *to, const struct live_head *h)
{
    to[0] = (uint8_t)h->type;
    to[1] = h->flags;
    put(to + 2, h->sub, 2);
    put(to + 4, h->seq, 4);
    put_doubles(to + 8, &h->server_ms, 1);
}

int live_encode_json(const struct live_head *h, const char *json, size_t len, struct buf *out)
{
    if (len > LIVE_PAYLOAD_MAX)
        return -EMSGSIZE;
    int rc = buf_reserve(out, LIVE_HEADER + len);
    if (rc < 0)
        return rc;
    put_head(out->data + out->len, h);
    if (len > 0)
        memcpy(out->data + out->len + LIVE_HEADER, json, len);
    out->len += LIVE_HEADER + len;
    return 0;
}

// Bytes of a payload, or 0 when it would be over LIVE_PAYLOAD_MAX. Each factor is bounded first,
// so the product cannot wrap.
static size_t points_size(uint32_t rows, uint32_t columns)
{
    if (rows > LIVE_PAYLOAD_MAX / 8 || columns > LIVE_PAYLOAD_MAX / 4)
        return 0;
    uint64_t size = POINTS_HEADER + 8 * (uint64_t)rows + 4 * (uint64_t)columns +
                    8 * (uint64_t)rows * columns;
    return size <= LIVE_PAYLOAD_MAX ? (size_t)size : 0;
}

int live_encode_points(const struct live_head *h, const struct live_points *p, struct buf *out)
{
    size_t size = points_size(p->rows, p->columns);

    if (size == 0)
        return -EMSGSIZE;
    int rc = buf_reserve(out, LIVE_HEADER + size);
    if (rc < 0)
        return rc;
    uint8_t *to = out->data + out->len;
    put_head(to, h);
    to += LIVE_HEADER;
    put(to, p->rows, 4);
    put(to + 4, p->columns, 4);
    to = put_doubles(to + POINTS_HEADER, p->t_ms, p->rows);
    for (uint32_t i = 0; i < p->columns; i++, to += 4)
        put(to, p->ids[i], 4);
    put_doubles(to, p->v, (size_t)p->rows * p->columns);
    out->len += LIVE_HEADER + size;
    return 0;
}

int live_decode_head(const uint8_t *msg, size_t len, struct live_head *ret,
    const uint8_t **ret_payload, size_t *ret_len)
{
    if (len < LIVE_HEADER || len - LIVE_HEADER > LIVE_PAYLOAD_MAX || msg[0] < LIVE_HELLO ||
        msg[0] > LIVE_ERROR)
        return -EBADMSG;
    ret->type = (enum live_type)msg[0];
    ret->flags = msg[1];
    ret->sub = (uint16_t)get(msg + 2, 2);
    ret->seq = (uint32_t)get(msg + 4, 4);
    get_doubles(msg + 8, &ret->server_ms, 1);
    *ret_payload = msg + LIVE_HEADER;
    *ret_len = len - LIVE_HEADER;
    return 0;
}

int live_decode_points(
    const uint8_t *payload, size_t len, struct buf *store, struct live_points *ret)
{
    if (len < POINTS_HEADER)
        return -EBADMSG;
    uint32_t rows = (uint32_t)get(payload, 4), columns = (uint32_t)get(payload + 4, 4);
    size_t size = points_size(rows, columns);
    if (size == 0 || size != len)
        return -EBADMSG;
    // In the store doubles come first and ids last, so that each array is aligned.
    size_t n = (size_t)rows * columns;
    buf_reset(store);
    int rc = buf_reserve(store, (rows + n) * sizeof(double) + columns * sizeof(uint32_t) + 1);
    if (rc < 0)
        return rc;
    double *t_ms = (double *)(void *)store->data;
    double *v = t_ms + rows;
    uint32_t *ids = (uint32_t *)(void *)(v + n);
    const uint8_t *from = get_doubles(payload + POINTS_HEADER, t_ms, rows);
    for (uint32_t i = 0; i < columns; i++, from += 4)
        ids[i] = (uint32_t)get(from, 4);
    get_doubles(from, v, n);
    store->len = (size_t)((uint8_t *)(ids + columns) - store->data);
    *ret = (struct live_points){rows, columns, t_ms, ids, v};
    return 0;
}

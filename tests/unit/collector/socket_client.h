// SPDX-License-Identifier: Apache-2.0
/*
 * A WebSocket client as small as a test wants it: frames are written byte by byte as the test
 * says, also wrong ones, and what came back is looked at frame by frame. Reading never blocks: the
 * test turns the server's loop first.
 */
#pragma once
#include "base/buf.h"
#include "base/loop.h"
#include "wire/live.h"
#include <CUnit/CUnit.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define FIN_TEXT   0x81
#define FIN_BINARY 0x82
#define FIN_CLOSE  0x88
#define FIN_PING   0x89
#define FIN_PONG   0x8a

struct client {
    int fd;
    struct buf in;
    bool ended; // the server closed its side
    // The frame that client_next found; points into `in`.
    uint8_t op;
    const uint8_t *body;
    size_t len, used;
};

static inline void turn(struct loop *l)
{
    for (int i = 0; i < 8; i++)
        loop_once(l, 0);
}

static inline void client_write(struct client *c, const void *data, size_t len)
{
    CU_ASSERT_EQUAL(send(c->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL), (ssize_t)len);
}

// A frame masked with 1 2 3 4, in ret; its length.
static inline size_t frame_make(uint8_t op, const void *text, size_t len, uint8_t *ret)
{
    const uint8_t *from = text;
    size_t n = 0;
    ret[n++] = op;
    if (len < 126) {
        ret[n++] = (uint8_t)(0x80 | len);
    } else {
        ret[n++] = 0x80 | 126;
        ret[n++] = (uint8_t)(len >> 8);
        ret[n++] = (uint8_t)len;
    }
    for (uint8_t i = 1; i <= 4; i++)
        ret[n++] = i;
    for (size_t i = 0; i < len; i++)
        ret[n++] = from[i] ^ (uint8_t)(i % 4 + 1);
    return n;
}

static inline void client_say(struct client *c, uint8_t op, const void *text, size_t len)
{
    uint8_t *frame = malloc(len + 16);
    client_write(c, frame, frame_make(op, text, len, frame));
    free(frame);
}

static inline void client_command(struct client *c, const char *text)
{
    client_say(c, FIN_TEXT, text, strlen(text));
}

static inline void client_read(struct client *c)
{
    uint8_t chunk[65536];
    ssize_t n;
    while ((n = recv(c->fd, chunk, sizeof(chunk), MSG_DONTWAIT)) > 0)
        buf_add(&c->in, chunk, (size_t)n);
    c->ended |= n == 0;
}

// The next whole frame; false when there is none yet.
static inline bool client_next(struct client *c)
{
    buf_drop(&c->in, c->used);
    c->used = 0;
    client_read(c);
    const uint8_t *d = c->in.data;
    size_t head = 2;
    if (c->in.len < 2)
        return false;
    CU_ASSERT_EQUAL(d[1] & 0x80, 0); // a server does not mask
    uint64_t len = d[1];
    if (len >= 126) {
        size_t bytes = len == 126 ? 2 : 8;
        head += bytes;
        if (c->in.len < head)
            return false;
        len = 0;
        for (size_t i = 2; i < head; i++)
            len = len << 8 | d[i];
    }
    if (c->in.len - head < len)
        return false;
    c->op = d[0];
    c->body = d + head;
    c->len = (size_t)len;
    c->used = head + (size_t)len;
    return true;
}

// The next frame must be a message of this type; its sequence number.
static inline uint32_t client_expect(struct client *c, enum live_type type, uint16_t sub)
{
    struct live_head h = {0};
    const uint8_t *payload;
    size_t len;
    bool came = client_next(c);
    CU_ASSERT_TRUE(came);
    if (!came)
        return 0;
    CU_ASSERT_EQUAL(c->op, FIN_BINARY);
    CU_ASSERT_EQUAL(live_decode_head(c->body, c->len, &h, &payload, &len), 0);
    CU_ASSERT_EQUAL(h.type, type);
    CU_ASSERT_EQUAL(h.sub, sub);
    return h.seq;
}

// The next frame must be a close with this code; 0: with none.
static inline void client_expect_close(struct client *c, int code)
{
    bool came = client_next(c);
    CU_ASSERT_TRUE(came);
    if (!came)
        return;
    CU_ASSERT_EQUAL(c->op, FIN_CLOSE);
    CU_ASSERT_EQUAL(c->len >= 2, code != 0);
    if (c->len >= 2)
        CU_ASSERT_EQUAL(c->body[0] << 8 | c->body[1], code);
}

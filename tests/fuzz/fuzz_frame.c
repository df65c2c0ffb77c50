// SPDX-License-Identifier: Apache-2.0
// links: wire base
/*
 * A body from a hostile agent. The first byte says how: bit 0 puts a valid key frame into the
 * chain first, so that differences get past base_seq; bit 1 takes the rest as one Frame message
 * in a sound envelope instead of a whole Push, so that mutation reaches the columns.
 *
 * What must hold: after a refusal other than -ESTALE the chain is empty, after -ESTALE it is as
 * before, and an accepted frame obeys the limits its readers rely on.
 */
#include "wire/decode.h"
#include "wire/encode.h"
#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static const struct wire_session SESSION = {
    .epoch = 1, .nonce = 1, .host = "h", .protocol_min = 1, .protocol_max = 1};

static void open_body(const uint8_t *frame, size_t len, struct buf *body)
{
    struct push_meta meta = {.id = 1};

    buf_reset(body);
    (void)push_encode(&SESSION, &meta, &frame, &len, 1, body);
}

// Three series (counter, gauge, histogram) with values, as frame 1.
static void seed_chain(struct chain_in *c, struct arena *a, struct buf *body)
{
    struct chain_out *out = chain_out_new();
    struct wire_histogram h = {4, 0, 2.5, 1, 2, (int32_t[]){-3, 5}, (uint64_t[]){2, 4}};
    struct batch_sample samples[] = {{1, SAMPLE_VALUE, false, 10, NULL},
        {2, SAMPLE_VALUE, false, 0.5, NULL}, {3, SAMPLE_HISTOGRAM, false, 0, &h}};
    struct batch_group group = {1000, 1, 1000, samples, 3};
    struct batch b = {.seq = 1, .wall_ms = 1000, .groups = &group, .n_groups = 1};
    const enum series_kind kinds[] = {SERIES_COUNTER, SERIES_GAUGE, SERIES_HISTOGRAM};
    struct buf frame;
    struct batch ret;
    struct push push;
    bool key;

    for (uint32_t id = 1; id <= 3; id++) {
        struct batch_declare d = {id, "x", NULL, 0, kinds[id - 1], "1"};
        require(chain_out_declare(out, &d) == 0);
    }
    buf_init(&frame, 1 << 16);
    require(chain_out_encode(out, &b, &frame, &key) == 0 && key);
    open_body(frame.data, frame.len, body);
    require(push_open(body->data, body->len, a, &push, NULL) == 0);
    require(push_frame(&push, 0, c, a, &ret, NULL) == 0 && chain_in_seq(c) == 1);
    buf_done(&frame);
    chain_out_free(out);
}

static void check_batch(const struct batch *b)
{
    for (size_t g = 0; g < b->n_groups; g++) {
        uint32_t prev = 0;
        for (size_t i = 0; i < b->groups[g].n; i++) {
            const struct batch_sample *s = &b->groups[g].samples[i];
            require(s->id > prev && s->id <= WIRE_ID_MAX);
            prev = s->id;
            require((s->kind == SAMPLE_HISTOGRAM) == (s->hist != NULL));
            for (uint32_t k = 0; s->hist && k < s->hist->n; k++)
                require(s->hist->count[k] > 0 &&
                        (k == 0 || s->hist->index[k] > s->hist->index[k - 1]));
        }
    }
    require(b->n_repairs <= WIRE_REPAIRS_MAX);
    for (size_t i = 0; i < b->n_repairs; i++)
        require(!wire_repair_result_fault(&b->repairs[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct buf body;
    struct push push;
    struct wire_reply reply;

    if (size == 0)
        return 0;
    uint8_t how = *data++;
    size--;
    arena_init(&a, 8 << 20);
    buf_init(&body, WIRE_BODY_MAX);
    struct chain_in *c = chain_in_new();
    require(c != NULL);
    if (how & 1)
        seed_chain(c, &a, &body);
    if (how & 2) {
        open_body(data, size, &body);
        data = body.data;
        size = body.len;
    }
    if (push_open(data, size, &a, &push, NULL) == 0) {
        for (size_t i = 0; i < push.n_frames; i++) {
            uint64_t before = chain_in_seq(c), seq, base;
            struct batch b;
            int peek = push_peek(&push, i, &seq, &base);
            int rc = push_frame(&push, i, c, &a, &b, NULL);
            require(rc != 0 || (peek == 0 && b.seq == seq && b.base_seq == base));
            require(chain_in_seq(c) == (rc == 0 ? seq : rc == -ESTALE ? before : 0));
            if (rc == 0)
                check_batch(&b);
        }
    }
    if (reply_decode(data, size, &a, &reply, NULL) == 0)
        for (size_t i = 0; i < reply.n_repairs; i++)
            require(!wire_repair_fault(&reply.repairs[i]));
    chain_in_free(c);
    buf_done(&body);
    arena_done(&a);
    return 0;
}

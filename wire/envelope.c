// SPDX-License-Identifier: Apache-2.0
/* Bodies, both ways: everything around frames that does not depend on a chain. */
#include "wire/decode.h"
#include "wire/encode.h"
#include "wire/field.h"
#include "wire/name.h"
#include "wire/pack.h"
#include "wire/tocsin.pb-c.h"
#include "wire/unpack.h"
#include <errno.h>
#include <lz4.h>
#include <stdlib.h>
#include <string.h>

#define LZ4_WORTH_MIN 128 // below it a block cannot save enough

// --- encode ----------------------------------------------------------------------------------

static const char *session_fault(const struct wire_session *s)
{
    if (!wire_text_ok(s->host, 1, WIRE_HOST_MAX))
        return "host name is empty, too long or not UTF-8";
    if (!wire_text_ok(s->version, 0, WIRE_NAME_MAX))
        return "version is too long or not UTF-8";
    if (s->n_capabilities > WIRE_CAPABILITIES_MAX || s->n_samplers > WIRE_SAMPLERS_MAX)
        return "too many capabilities or samplers";
    for (size_t i = 0; i < s->n_capabilities; i++) {
        if (!wire_text_ok(s->capabilities[i], 1, WIRE_NAME_MAX))
            return "a capability is empty, too long or not UTF-8";
    }
    for (size_t i = 0; i < s->n_samplers; i++) {
        if (!wire_text_ok(s->samplers[i].name, 1, WIRE_NAME_MAX) ||
            s->samplers[i].interval_ms > WIRE_INTERVAL_MS_MAX)
            return "a sampler's name or interval is out of range";
    }
    return wire_labels_fault(s->labels, s->n_labels);
}

// Room for a session's lists; their ceilings make it fit a stack frame.
struct session_lists {
    Tocsin__V1__Label labels[WIRE_LABELS_MAX], *label_at[WIRE_LABELS_MAX];
    Tocsin__V1__Sampler samplers[WIRE_SAMPLERS_MAX], *sampler_at[WIRE_SAMPLERS_MAX];
    char *capabilities[WIRE_CAPABILITIES_MAX];
};

static void session_fill(
    const struct wire_session *s, struct session_lists *lists, Tocsin__V1__Session *m)
{
    tocsin__v1__session__init(m);
    m->agent_id = pack_borrow_bytes(s->agent_id, sizeof(s->agent_id));
    m->epoch = s->epoch;
    m->nonce = s->nonce;
    m->host = pack_borrow(s->host);
    m->protocol_min = s->protocol_min;
    m->protocol_max = s->protocol_max;
    m->version = pack_borrow(s->version);
    m->newest_seq = s->newest_seq;
    m->oldest_seq = s->oldest_seq;
    m->boot_id = pack_borrow_bytes(s->boot_id, sizeof(s->boot_id));
    m->capabilities = lists->capabilities;
    m->labels = lists->label_at;
    m->samplers = lists->sampler_at;
    for (; m->n_capabilities < s->n_capabilities; m->n_capabilities++)
        lists->capabilities[m->n_capabilities] =
            pack_borrow(s->capabilities[m->n_capabilities]);
    for (size_t i = 0; i < s->n_labels; i++) {
        lists->label_at[m->n_labels++] = &lists->labels[i];
        tocsin__v1__label__init(&lists->labels[i]);
        lists->labels[i].name = pack_borrow(s->labels[i].name);
        lists->labels[i].value = pack_borrow(s->labels[i].value);
    }
    for (size_t i = 0; i < s->n_samplers; i++) {
        lists->sampler_at[m->n_samplers++] = &lists->samplers[i];
        tocsin__v1__sampler__init(&lists->samplers[i]);
        lists->samplers[i].name = pack_borrow(s->samplers[i].name);
        lists->samplers[i].interval_ms = s->samplers[i].interval_ms;
    }
}

// The lz4 block of a message in malloc'ed memory of its own, or *ret NULL when it does not pay.
static int compress_message(
    const ProtobufCMessage *list, size_t size, uint8_t **ret, size_t *ret_len)
{
    size_t worth = size - size / 10;

    *ret = NULL;
    if (size < LZ4_WORTH_MIN)
        return 0;
    uint8_t *plain = malloc(size + worth);
    if (!plain)
        return -ENOMEM;
    protobuf_c_message_pack(list, plain);
    int n = LZ4_compress_default((char *)plain, (char *)plain + size, (int)size, (int)worth);
    if (n <= 0) {
        free(plain);
        return 0;
    }
    memmove(plain, plain + size, (size_t)n);
    *ret = plain;
    *ret_len = (size_t)n;
    return 0;
}

int push_encode(const struct wire_session *s, const struct push_meta *meta,
    const uint8_t *const *frames, const size_t *lens, size_t n, struct buf *out)
{
    Tocsin__V1__Push m = TOCSIN__V1__PUSH__INIT;
    Tocsin__V1__Session session;
    Tocsin__V1__FrameList list = TOCSIN__V1__FRAME_LIST__INIT;
    struct session_lists lists;
    uint8_t *block = NULL;
    int rc;

    if (n > WIRE_FRAMES_MAX || session_fault(s) || meta->lane < 0 || meta->lane > 1)
        return -EINVAL;
    session_fill(s, &lists, &session);
    m.session = &session;
    m.lane = (Tocsin__V1__Lane)meta->lane;
    m.sent_us = meta->sent_us;
    m.clock_offset_us = meta->clock_offset_us;
    m.round_trip_us = meta->round_trip_us;
    m.id = meta->id;
    list.frames = malloc((n + 1) * sizeof(*list.frames));
    if (!list.frames)
        return -ENOMEM;
    for (; list.n_frames < n; list.n_frames++)
        list.frames[list.n_frames] =
            pack_borrow_bytes(frames[list.n_frames], lens[list.n_frames]);
    size_t size = tocsin__v1__frame_list__get_packed_size(&list);
    rc = -EMSGSIZE;
    if (size > WIRE_UNPACKED_MAX)
        goto out;
    rc = compress_message(&list.base, size, &block, &m.compressed.len);
    if (rc < 0)
        goto out;
    if (block) {
        m.compressed.data = block;
        m.uncompressed_size = (uint32_t)size;
    } else {
        m.frames = list.frames;
        m.n_frames = n;
    }
    rc = pack_message(&m.base, WIRE_BODY_MAX, out);
out:
    free(block);
    free(list.frames);
    return rc;
}

// --- decode ----------------------------------------------------------------------------------

static int read_labels(struct unpack *u, Tocsin__V1__Label *const *from, size_t n,
    const struct wire_label **ret, struct err *err)
{
    if (n > WIRE_LABELS_MAX)
        return unpack_refuse(err, "session: too many labels");
    struct wire_label *labels = arena_alloc(u->arena, (n + 1) * sizeof(*labels));
    if (!labels)
        return unpack_no_memory(err);
    for (size_t i = 0; i < n; i++)
        labels[i] = (struct wire_label){from[i]->name, from[i]->value};
    *ret = labels;
    return 0;
}

static int read_samplers(
    struct unpack *u, const Tocsin__V1__Session *m, struct wire_session *ret, struct err *err)
{
    if (m->n_samplers > WIRE_SAMPLERS_MAX)
        return unpack_refuse(err, "session: too many samplers");
    struct wire_sampler *samplers =
        arena_alloc(u->arena, (m->n_samplers + 1) * sizeof(*samplers));
    if (!samplers)
        return unpack_no_memory(err);
    for (size_t i = 0; i < m->n_samplers; i++)
        samplers[i] = (struct wire_sampler){m->samplers[i]->name, m->samplers[i]->interval_ms};
    ret->samplers = samplers;
    ret->n_samplers = m->n_samplers;
    return 0;
}

static int read_session(
    struct unpack *u, const Tocsin__V1__Session *m, struct wire_session *ret, struct err *err)
{
    if (!m || m->agent_id.len != sizeof(ret->agent_id) ||
        m->boot_id.len != sizeof(ret->boot_id))
        return unpack_refuse(err, "session: agent_id and boot_id must have 16 bytes");
    memcpy(ret->agent_id, m->agent_id.data, sizeof(ret->agent_id));
    memcpy(ret->boot_id, m->boot_id.data, sizeof(ret->boot_id));
    ret->epoch = m->epoch;
    ret->nonce = m->nonce;
    ret->newest_seq = m->newest_seq;
    ret->oldest_seq = m->oldest_seq;
    ret->host = m->host;
    ret->version = m->version;
    ret->protocol_min = m->protocol_min;
    ret->protocol_max = m->protocol_max;
    ret->capabilities = (const char *const *)m->capabilities;
    ret->n_capabilities = m->n_capabilities;
    ret->n_labels = m->n_labels;
    int rc = read_labels(u, m->labels, m->n_labels, &ret->labels, err);
    if (rc == 0)
        rc = read_samplers(u, m, ret, err);
    const char *fault = rc == 0 ? session_fault(ret) : NULL;
    return fault ? unpack_refuse(err, "session: %s", fault) : rc;
}

// Replaces the frames of *ret by those of the lz4 block.
static int read_compressed(
    struct unpack *u, const Tocsin__V1__Push *m, struct push *ret, struct err *err)
{
    const void *message;

    if (m->n_frames > 0)
        return unpack_refuse(err, "frames and compressed in one body");
    if (m->uncompressed_size == 0 || m->uncompressed_size > WIRE_UNPACKED_MAX)
        return unpack_refuse(
            err, "uncompressed size of %u is out of range", m->uncompressed_size);
    char *plain = arena_alloc(u->arena, m->uncompressed_size);
    if (!plain)
        return unpack_no_memory(err);
    int n = LZ4_decompress_safe((const char *)m->compressed.data, plain, (int)m->compressed.len,
        (int)m->uncompressed_size);
    if (n < 0 || (uint32_t)n != m->uncompressed_size)
        return unpack_refuse(err, "compressed is not an lz4 block of the size it says");
    int rc =
        unpack_message(u, &tocsin__v1__frame_list__descriptor, plain, (size_t)n, &message, err);
    if (rc < 0)
        return rc;
    const Tocsin__V1__FrameList *list = message;
    ret->n_frames = list->n_frames;
    ret->impl = list->frames;
    return 0;
}

int push_open(
    const uint8_t *body, size_t len, struct arena *a, struct push *ret, struct err *err)
{
    struct unpack u;
    struct push push = {0};
    const void *message;

    if (len > WIRE_BODY_MAX)
        return unpack_refuse(err, "body of %zu bytes, at most %u", len, WIRE_BODY_MAX);
    unpack_init(&u, a);
    int rc = unpack_message(&u, &tocsin__v1__push__descriptor, body, len, &message, err);
    if (rc < 0)
        return rc;
    const Tocsin__V1__Push *m = message;
    rc = read_session(&u, m->session, &push.session, err);
    if (rc < 0)
        return rc;
    push.id = m->id;
    push.sent_us = m->sent_us;
    push.clock_offset_us = m->clock_offset_us;
    push.round_trip_us = m->round_trip_us;
    if (push.session.protocol_min > WIRE_PROTOCOL ||
        push.session.protocol_max < WIRE_PROTOCOL) {
        *ret = push;
        err_set(err, "agent speaks protocol %u to %u, not %d", push.session.protocol_min,
            push.session.protocol_max, WIRE_PROTOCOL);
        return -EPROTONOSUPPORT;
    }
    if (m->lane != TOCSIN__V1__LANE__LANE_LIVE && m->lane != TOCSIN__V1__LANE__LANE_BACKFILL)
        return unpack_refuse(err, "lane %d", (int)m->lane);
    push.lane = (int)m->lane;
    push.n_frames = m->n_frames;
    push.impl = m->frames;
    if (m->compressed.len > 0) {
        rc = read_compressed(&u, m, &push, err);
        if (rc < 0)
            return rc;
    }
    if (push.n_frames > WIRE_FRAMES_MAX)
        return unpack_refuse(err, "%zu frames in one body", push.n_frames);
    *ret = push;
    return 0;
}

// Walks the top level of the message only: it skips groups by their length.
int push_peek(const struct push *p, size_t i, uint64_t *ret_seq, uint64_t *ret_base)
{
    enum { SEQ = 1, BASE = 2 };
    const ProtobufCBinaryData *bytes = (const ProtobufCBinaryData *)p->impl + i;
    struct fields frame = fields_of(bytes->data, bytes->len);
    struct field f;
    uint64_t seq = 0, base = 0;
    int rc;

    while ((rc = fields_next(&frame, &f)) == 1) {
        if (f.type != FIELD_VARINT)
            continue;
        seq = f.number == SEQ ? f.value : seq;
        base = f.number == BASE ? f.value : base;
    }
    if (rc < 0 || seq <= base)
        return -EBADMSG;
    *ret_seq = seq;
    *ret_base = base;
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
/* Replies to bodies, both ways. */
#include "wire/decode.h"
#include "wire/encode.h"
#include "wire/name.h"
#include "wire/pack.h"
#include "wire/repair_pack.h"
#include "wire/tocsin.pb-c.h"
#include "wire/unpack.h"
#include <errno.h>
#include <stdlib.h>

static const char *reply_fault(const struct wire_reply *r)
{
    if (!wire_text_ok(r->goaway_to, 0, WIRE_NAME_MAX) ||
        !wire_text_ok(r->collector, 0, WIRE_NAME_MAX) ||
        !wire_text_ok(r->reason, 0, WIRE_VALUE_MAX))
        return "a text is too long or not UTF-8";
    if (r->n_faster > WIRE_DEMANDS_MAX || r->n_thresholds > WIRE_DEMANDS_MAX)
        return "too many demands";
    for (size_t i = 0; i < r->n_faster; i++) {
        if (!wire_metric_ok(r->faster[i]))
            return "a demand's name is not a metric name";
    }
    for (size_t i = 0; i < r->n_thresholds; i++) {
        if (!wire_metric_ok(r->thresholds[i].name))
            return "a threshold's name is not a metric name";
    }
    if (r->n_repairs > WIRE_REPAIRS_MAX)
        return "too many repairs";
    for (size_t i = 0; i < r->n_repairs; i++) {
        const char *fault = wire_repair_fault(&r->repairs[i]);
        if (fault)
            return fault;
    }
    return NULL;
}

// The demand with its lists in one malloc'ed block. NULL: out of memory.
static Tocsin__V1__Demand *demand_new(const struct wire_reply *r)
{
    size_t per = sizeof(Tocsin__V1__Threshold) + sizeof(Tocsin__V1__Threshold *);
    Tocsin__V1__Demand *m =
        malloc(sizeof(*m) + r->n_thresholds * per + r->n_faster * sizeof(char *));

    if (!m)
        return NULL;
    Tocsin__V1__Threshold *thresholds = (Tocsin__V1__Threshold *)(m + 1);
    tocsin__v1__demand__init(m);
    m->thresholds = (Tocsin__V1__Threshold **)(thresholds + r->n_thresholds);
    m->faster = (char **)(m->thresholds + r->n_thresholds);
    for (size_t i = 0; i < r->n_thresholds; i++) {
        m->thresholds[m->n_thresholds++] = &thresholds[i];
        tocsin__v1__threshold__init(&thresholds[i]);
        thresholds[i].name = pack_borrow(r->thresholds[i].name);
        thresholds[i].value = r->thresholds[i].value;
    }
    for (size_t i = 0; i < r->n_faster; i++)
        m->faster[m->n_faster++] = pack_borrow(r->faster[i]);
    return m;
}

int reply_encode(const struct wire_reply *r, struct buf *out)
{
    Tocsin__V1__PushReply m;
    Tocsin__V1__Rejected rejected;
    struct repair_packed repairs[WIRE_REPAIRS_MAX];
    Tocsin__V1__Repair *repair_at[WIRE_REPAIRS_MAX];

    if (reply_fault(r))
        return -EINVAL;
    tocsin__v1__push_reply__init(&m);
    tocsin__v1__rejected__init(&rejected);
    m.accepted_seq = r->accepted_seq;
    m.durable_seq = r->durable_seq;
    m.resume_from = r->resume_from;
    m.resume_to = r->resume_to;
    m.retry_after_ms = r->retry_after_ms;
    m.goaway_after_ms = r->goaway_after_ms;
    m.goaway_to = pack_borrow(r->goaway_to);
    m.need_key_frame = r->need_key_frame;
    m.push_id = r->push_id;
    m.sent_us = r->sent_us;
    m.received_us = r->received_us;
    m.replied_us = r->replied_us;
    m.protocol = r->protocol;
    m.collector = pack_borrow(r->collector);
    rejected.series_over_limit = r->series_over_limit;
    rejected.frames_not_held = r->frames_not_held;
    rejected.reason = pack_borrow(r->reason);
    if (r->series_over_limit || r->frames_not_held || rejected.reason[0])
        m.rejected = &rejected;
    m.repairs = repair_at;
    for (; m.n_repairs < r->n_repairs; m.n_repairs++) {
        repair_pack(&r->repairs[m.n_repairs], &repairs[m.n_repairs]);
        repair_at[m.n_repairs] = &repairs[m.n_repairs].m;
    }
    if (r->has_demand || r->n_faster || r->n_thresholds) {
        m.demand = demand_new(r);
        if (!m.demand)
            return -ENOMEM;
    }
    int rc = pack_message(&m.base, WIRE_BODY_MAX, out);
    free(m.demand);
    return rc;
}

static const char *or_null(const char *text)
{
    return text && text[0] ? text : NULL;
}

static int read_demand(
    struct unpack *u, const Tocsin__V1__Demand *m, struct wire_reply *ret, struct err *err)
{
    if (m->n_thresholds > WIRE_DEMANDS_MAX)
        return unpack_refuse(err, "reply: too many demands");
    struct wire_threshold *thresholds =
        arena_alloc(u->arena, (m->n_thresholds + 1) * sizeof(*thresholds));
    if (!thresholds)
        return unpack_no_memory(err);
    for (size_t i = 0; i < m->n_thresholds; i++)
        thresholds[i] =
            (struct wire_threshold){m->thresholds[i]->name, m->thresholds[i]->value};
    ret->has_demand = true;
    ret->faster = (const char *const *)m->faster;
    ret->n_faster = m->n_faster;
    ret->thresholds = thresholds;
    ret->n_thresholds = m->n_thresholds;
    return 0;
}

int reply_decode(
    const uint8_t *body, size_t len, struct arena *a, struct wire_reply *ret, struct err *err)
{
    struct unpack u;
    const void *message;

    if (len > WIRE_BODY_MAX)
        return unpack_refuse(err, "reply of %zu bytes, at most %u", len, WIRE_BODY_MAX);
    unpack_init(&u, a);
    int rc = unpack_message(&u, &tocsin__v1__push_reply__descriptor, body, len, &message, err);
    if (rc < 0)
        return rc;
    const Tocsin__V1__PushReply *m = message;
    struct wire_reply reply = {
        .accepted_seq = m->accepted_seq,
        .durable_seq = m->durable_seq,
        .resume_from = m->resume_from,
        .resume_to = m->resume_to,
        .retry_after_ms = m->retry_after_ms,
        .goaway_after_ms = m->goaway_after_ms,
        .need_key_frame = m->need_key_frame,
        .push_id = m->push_id,
        .sent_us = m->sent_us,
        .received_us = m->received_us,
        .replied_us = m->replied_us,
        .protocol = m->protocol,
        .goaway_to = or_null(m->goaway_to),
        .collector = or_null(m->collector),
    };
    if (m->rejected) {
        reply.series_over_limit = m->rejected->series_over_limit;
        reply.frames_not_held = m->rejected->frames_not_held;
        reply.reason = or_null(m->rejected->reason);
    }
    if (m->demand) {
        rc = read_demand(&u, m->demand, &reply, err);
        if (rc < 0)
            return rc;
    }
    rc = repairs_unpack(&u, m, &reply, err);
    if (rc < 0)
        return rc;
    const char *fault = reply_fault(&reply);
    if (fault)
        return unpack_refuse(err, "reply: %s", fault);
    *ret = reply;
    return 0;
}

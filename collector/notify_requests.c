// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"
#include "collector/api.h"
#include "collector/api_explain.h"
#include "collector/api_hooks.h"
#include "collector/api_v2.h"
#include "collector/notify_state.h"
#include <inttypes.h>
#include <stdlib.h>

void notify_keep_silence(struct notify *n, const struct silence *s, bool gone)
{
    struct journal_write *w = notify_writing(n);
    if (w && journal_write_silence(w, s, gone) < 0)
        log_error("journal_out_of_memory", "silence=%s", s->id);
}

void notify_show_acks(struct notify *n)
{
    if (n->o.acks && ack_board_set(n->o.acks, mutes_acks(n->mutes)) && n->o.board)
        board_touch(n->o.board);
}

void notify_keep_ack(struct notify *n, const struct ack *a, bool gone)
{
    struct journal_write *w = notify_writing(n);
    if (w && journal_write_ack(w, a, gone) < 0)
        log_error("journal_out_of_memory", "ack=%" PRIu64, a->alert_id);
    n->acks_changed = true;
}

void notify_silence_changed(void *ctx, const struct silence *s)
{
    struct notify *n = ctx;
    notify_keep_silence(n, s, false);
    mutes_changed(n->mutes);
    int64_t wall = notify_wall_ms(n);
    log_info("silence", "id=%s state=%s by=%s comment=%s", s->id,
        silence_state_name(silence_state_at(s, wall)), log_q(s->created_by), log_q(s->comment));
}

static void ack_changed(void *ctx, const struct ack *a, const struct notice *about)
{
    struct notify *n = ctx;
    bool active = ack_active(a, notify_wall_ms(n));
    struct event e = {.kind = active ? EVENT_ACKNOWLEDGED : EVENT_ACKNOWLEDGEMENT_ENDED,
        .at_ms = notify_wall_ms(n),
        .alert_id = about->alert_id,
        .fingerprint = about->fingerprint,
        .cause_ms = about->cause_ms,
        .value = about->value,
        .labels = about->labels,
        .group = about->group,
        .file = about->file,
        .who = a->owner,
        .note = a->note,
        .subject = "",
        .matchers = "",
        .until_ms = a->until_ms};
    notify_keep_ack(n, a, false);
    struct journal_write *w = notify_writing(n);
    if (w && journal_write_event(w, &e) < 0)
        log_error("journal_out_of_memory", "ack=%" PRIu64, a->alert_id);
    mutes_changed(n->mutes);
    log_info("ack", "alert=%" PRIu64 " state=%s by=%s note=%s until_ms=%" PRId64, a->alert_id,
        active ? "active" : "ended", log_q(a->owner), log_q(a->note), a->until_ms);
}

static void explain(struct notify *n, struct request *r)
{
    struct api_explain a = {.lanes = n->lanes,
        .ledger = n->ledger,
        .silences = mutes_silences(n->mutes),
        .acks = mutes_acks(n->mutes),
        .now_ms = notify_now_ms(n),
        .wall_ms = notify_wall_ms(n)};
    api_explain_answer(&a, r);
}

void notify_on_requests(void *ctx, int fd, uint32_t events)
{
    struct notify *n = ctx;
    struct request *r;
    struct api_v2 a = {.config = n->o.config,
        .ledger = n->ledger,
        .silences = mutes_silences(n->mutes),
        .version = n->o.version ? n->o.version : "",
        .external_url = n->o.external_url,
        .started_ms = n->started_ms,
        .ctx = n,
        .receiver = notify_receiver_of,
        .changed = notify_silence_changed,
        .acks = mutes_acks(n->mutes),
        .acked = ack_changed};
    struct api_hooks hooks = {n->lanes, n->deliveries, n->ledger};
    (void)fd;
    (void)events;
    ring_drain_wakeup(n->requests);
    while ((r = ring_pop(n->requests))) {
        if (r->kind == REQUEST_HOOKS)
            api_hooks_answer(&hooks, r);
        else if (r->kind == REQUEST_EXPLAIN)
            explain(n, r);
        else
            api_v2_answer(&a, r, notify_wall_ms(n));
        if (!ring_push(n->answers, r))
            request_free(r);
    }
    notify_pump(n); // what a silence held back, or holds back now
}

bool notify_ask(struct notify *n, struct request *r)
{
    return ring_push(n->requests, r);
}

struct ring *notify_answers(struct notify *n)
{
    return n->answers;
}

// SPDX-License-Identifier: Apache-2.0
#include "collector/api_hooks.h"
#include "base/log.h"
#include "base/num.h"
#include "base/when.h"
#include "collector/api.h"
#include "collector/mask.h"
#include "collector/standing.h"
#include <inttypes.h>
#include <string.h>

#define LIMIT_DEFAULT 100
#define LIMIT_MAX     1000

// --- parameters ----------------------------------------------------------------------------------

const char *api_hooks_parameter(const struct request *r, const char *name)
{
    const char *at = (const char *)r->query.data, *end = at ? at + r->query.len : at;
    const char *found = NULL;
    while (at < end) { // name NUL value NUL ...
        const char *value = at + strlen(at) + 1;
        if (strcmp(at, name) == 0)
            found = value;
        at = value + strlen(value) + 1;
    }
    return found;
}

bool api_hooks_number(struct request *r, const char *name, uint64_t *ret)
{
    const char *text = api_hooks_parameter(r, name);
    if (!text || (num_parse_u64(text, strlen(text), ret) && *ret <= INT64_MAX))
        return true;
    api_error(r, 400, "bad_data", "%s=%.40s is not a number", name, text);
    return false;
}

bool api_hooks_time(struct request *r, const char *name, int64_t *ret_ms)
{
    const char *text = api_hooks_parameter(r, name);
    if (!text || when_parse(text, ret_ms))
        return true;
    api_error(r, 400, "bad_data", "%s=%.40s is not a time as 2026-11-25T04:20:00Z", name, text);
    return false;
}

// What a request chooses among integrations and letters.
struct choice {
    const char *receiver; // NULL = any
    uint64_t id, after, limit;
    int64_t since_ms;
    bool anyway;
};

static bool choice_read(struct request *r, struct choice *c)
{
    const char *anyway = api_hooks_parameter(r, "anyway");
    *c =
        (struct choice){.receiver = api_hooks_parameter(r, "receiver"), .limit = LIMIT_DEFAULT};
    c->anyway = anyway && strcmp(anyway, "0") != 0 && strcmp(anyway, "false") != 0;
    if (!api_hooks_number(r, "id", &c->id) || !api_hooks_number(r, "after", &c->after) ||
        !api_hooks_number(r, "limit", &c->limit) || !api_hooks_time(r, "since", &c->since_ms))
        return false;
    c->limit = c->limit < 1 ? 1 : c->limit > LIMIT_MAX ? LIMIT_MAX : c->limit;
    return true;
}

// name is "ops" or "ops/slack0".
static bool named(const char *wanted, const char *name)
{
    size_t n = wanted ? strlen(wanted) : 0;
    return !wanted || (strncmp(name, wanted, n) == 0 && (!name[n] || name[n] == '/'));
}

static bool chosen(const struct choice *c, const struct letter *l)
{
    return named(c->receiver, l->receiver) && (!c->id || l->id == c->id) && l->id > c->after &&
           l->at_ms >= c->since_ms;
}

// --- pieces --------------------------------------------------------------------------------------

static void begin(struct buf *b)
{
    buf_adds(b, "{\"status\":\"success\",\"data\":");
}

static void lane_json(const struct lane *l, struct buf *b)
{
    struct board_receiver s;
    struct tally_view t;
    lane_view(l, &s, &t);
    buf_adds(b, "{\"receiver\":");
    buf_add_json(b, s.name, strlen(s.name));
    api_text(b, "kind", lane_kind(l));
    api_text(b, "route", lane_route(l)->key ? lane_route(l)->key : "{}");
    api_text(b, "to", lane_to(l));
    buf_addf(b,
        ",\"queued\":%zu,\"sent\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"dropped\":%" PRIu64
        ",\"gone\":%s,\"lastStatus\":%d",
        s.queued, s.sent, s.failed, s.dropped, s.gone ? "true" : "false", s.last_status);
    buf_addf(b,
        ",\"lastTries\":%zu,\"lastTriesOk\":%zu,\"p50Ms\":%.3f,\"p99Ms\":%.3f,\"letters\":%zu",
        t.tries, t.ok, t.p50_us / 1000.0, t.p99_us / 1000.0, s.letters);
    api_when(b, "lastSentAt", s.last_sent_ms);
    api_when(b, "failingSince", s.failing_since_ms);
    api_text(b, "lastError", s.last_error);
    buf_addc(b, '}');
}

static void letter_json(const struct api_hooks *a, const struct standing *now,
    const struct letter *l, bool whole, struct buf *b)
{
    const struct lane *lane = lanes_named(a->lanes, l->lane);
    buf_addf(b, "{\"id\":%" PRIu64, l->id);
    api_text(b, "receiver", l->receiver);
    api_text(b, "to", l->to);
    api_text(b, "key", l->key);
    api_text(b, "why", l->why);
    api_when(b, "at", l->at_ms);
    api_when(b, "causeAt", l->cause_ms);
    api_when(b, "decidedAt", l->decided_ms);
    buf_addf(b, ",\"status\":%" PRId64 ",\"tries\":%" PRId64 ",\"bodyBytes\":%zu", l->status,
        l->tries, l->body_len);
    buf_addf(b, ",\"receiverThere\":%s,\"waiting\":%s,\"outOfDate\":%zu,\"changed\":%zu",
        lane ? "true" : "false", lane && lane_replaying(lane, l->id) ? "true" : "false",
        standing_differs(now, l), l->n_alerts);
    buf_adds(b, ",\"alerts\":[");
    for (size_t i = 0; i < l->n_alerts && (whole || i < DELIVERY_ALERTS_MAX); i++)
        buf_addf(b, "%s{\"fingerprint\":\"%016" PRIx64 "\",\"status\":\"%s\",\"now\":\"%s\"}",
            i ? "," : "", l->alerts[i].fingerprint,
            l->alerts[i].resolved ? "resolved" : "firing",
            standing_fires(now, &l->alerts[i]) ? "firing" : "over");
    buf_addc(b, ']');
    if (whole) {
        buf_adds(b, ",\"body\":");
        mask_json(l->body, l->body_len, b);
    }
    buf_addc(b, '}');
}

// --- reading -------------------------------------------------------------------------------------

static void list(const struct api_hooks *a, struct request *r)
{
    struct buf *b = &r->body;
    begin(b);
    buf_adds(b, "{\"hooks\":[");
    for (size_t i = 0; i < lanes_count(a->lanes); i++) {
        if (i)
            buf_addc(b, ',');
        lane_json(lanes_at(a->lanes, i), b);
    }
    const struct letters *letters = deliveries_letters(a->deliveries);
    buf_addf(b, "],\"letters\":%zu,\"lettersLost\":%" PRIu64 ",\"unlogged\":%" PRIu64 "}}",
        letters->n, letters->lost, deliveries_unlogged(a->deliveries));
}

static void list_letters(const struct api_hooks *a, struct request *r, const struct choice *c)
{
    const struct letters *s = deliveries_letters(a->deliveries);
    struct standing now;
    uint64_t last = 0;
    size_t n = 0;
    begin(&r->body);
    buf_adds(&r->body, "{\"letters\":[");
    standing_init(&now, a->ledger);
    for (size_t i = 0; i < s->n; i++) {
        if (!chosen(c, s->l[i]))
            continue;
        if (n == c->limit) {
            last = s->l[i - 1]->id;
            break;
        }
        if (n++)
            buf_addc(&r->body, ',');
        letter_json(a, &now, s->l[i], false, &r->body);
    }
    standing_done(&now);
    buf_addc(&r->body, ']');
    if (last)
        buf_addf(&r->body, ",\"next\":%" PRIu64, last);
    buf_adds(&r->body, "}}");
}

static void one_letter(const struct api_hooks *a, struct request *r, uint64_t id)
{
    const struct letter *l = letters_get(deliveries_letters(a->deliveries), id);
    struct standing now;
    if (!l) {
        api_error(r, 404, "not_found", "there is no dead letter %" PRIu64, id);
        return;
    }
    begin(&r->body);
    standing_init(&now, a->ledger);
    letter_json(a, &now, l, true, &r->body);
    standing_done(&now);
    buf_addc(&r->body, '}');
}

static void errand(const struct api_hooks *a, struct request *r, uint64_t id)
{
    const struct delivery *d = deliveries_recent(a->deliveries, id);
    begin(&r->body);
    if (d)
        delivery_json(d, &r->body);
    else
        buf_addf(&r->body, "{\"id\":%" PRIu64 ",\"outcome\":\"waiting\"}", id);
    buf_addc(&r->body, '}');
}

// --- doing ---------------------------------------------------------------------------------------

static void ordered(struct buf *b, size_t *n, uint64_t id, const char *receiver, uint64_t of)
{
    buf_addf(b, "%s{\"id\":%" PRIu64, (*n)++ ? "," : "", id);
    if (of)
        buf_addf(b, ",\"of\":%" PRIu64, of);
    api_text(b, "receiver", receiver);
    buf_addc(b, '}');
}

static void test(const struct api_hooks *a, struct request *r, const struct choice *c)
{
    size_t n = 0, found = 0;
    begin(&r->body);
    buf_adds(&r->body, "{\"errands\":[");
    for (size_t i = 0; c->receiver && i < lanes_count(a->lanes); i++) {
        struct lane *l = lanes_at(a->lanes, i);
        bool again = false;
        uint64_t id[2];
        for (size_t k = 0; k < i; k++) // another route to it: the same messages
            again |= strcmp(lane_name(lanes_at(a->lanes, k)), lane_name(l)) == 0;
        if (again || lane_repair(l) || !named(c->receiver, lane_name(l)))
            continue;
        found++;
        size_t ids = lane_test(l, id);
        for (size_t k = 0; k < ids; k++)
            ordered(&r->body, &n, id[k], lane_name(l), 0);
        log_info("receiver_test", "receiver=%s", log_q(lane_name(l)));
    }
    buf_adds(&r->body, "]}}");
    if (!found)
        api_error(r, 404, "not_found", "no route leads to a receiver \"%.100s\"",
            c->receiver ? c->receiver : "");
    else if (!n)
        api_error(r, 503, "unavailable", "too many replays and tests wait, or memory is out");
}

// Either may be everything by mistake: one of them has to be said.
static bool says_which(struct request *r, const struct choice *c)
{
    if (c->id || c->receiver)
        return true;
    api_error(r, 400, "bad_data", "id or receiver says which dead letters");
    return false;
}

static void skip(struct buf *b, const struct letter *l, const char *why)
{
    buf_addf(b, "%s{\"id\":%" PRIu64, b->len ? "," : "", l->id);
    api_text(b, "why", why);
    buf_addc(b, '}');
}

static void replay(const struct api_hooks *a, struct request *r, const struct choice *c)
{
    const struct letters *s = deliveries_letters(a->deliveries);
    struct standing now;
    struct buf skipped;
    size_t n = 0;
    if (!says_which(r, c))
        return;
    if (c->id && !letters_get(s, c->id)) {
        api_error(r, 404, "not_found", "there is no dead letter %" PRIu64, c->id);
        return;
    }
    begin(&r->body);
    buf_adds(&r->body, "{\"errands\":[");
    buf_init(&skipped, 1u << 20);
    standing_init(&now, a->ledger);
    for (size_t i = 0; i < s->n; i++) {
        const struct letter *l = s->l[i];
        struct lane *lane = lanes_named(a->lanes, l->lane);
        if (!chosen(c, l))
            continue;
        if (!lane) {
            skip(&skipped, l, "the configuration has this receiver no more");
        } else if (lane_replaying(lane, l->id)) {
            skip(&skipped, l, "it is on its way already");
        } else if (!c->anyway && standing_differs(&now, l)) {
            skip(&skipped, l, "an alert is not as it says any more");
        } else {
            uint64_t id = lane_replay(lane, l, c->anyway);
            if (id)
                ordered(&r->body, &n, id, l->receiver, l->id);
            else
                skip(&skipped, l, "too many wait, or memory is out");
        }
    }
    standing_done(&now);
    buf_adds(&r->body, "],\"skipped\":[");
    buf_add(&r->body, skipped.data, skipped.len);
    buf_adds(&r->body, "]}}");
    buf_done(&skipped);
    log_info("letters_replay", "letters=%zu receiver=%s anyway=%d", n,
        log_q(c->receiver ? c->receiver : ""), c->anyway);
}

static void dismiss(const struct api_hooks *a, struct request *r, const struct choice *c)
{
    const struct letters *s = deliveries_letters(a->deliveries);
    size_t n = 0;
    if (!says_which(r, c))
        return;
    for (size_t i = 0; i < s->n;) {
        if (chosen(c, s->l[i]))
            n += deliveries_settle(a->deliveries, s->l[i]->id);
        else
            i++;
    }
    if (!n && c->id) {
        api_error(r, 404, "not_found", "there is no dead letter %" PRIu64, c->id);
        return;
    }
    for (size_t i = 0; i < lanes_count(a->lanes); i++)
        lane_show(lanes_at(a->lanes, i));
    log_info("letters_dismissed", "letters=%zu receiver=%s", n,
        log_q(c->receiver ? c->receiver : ""));
    begin(&r->body);
    buf_addf(&r->body, "{\"dismissed\":%zu}}", n);
}

void api_hooks_answer(const struct api_hooks *a, struct request *r)
{
    const char *path = r->expr + sizeof(API_HOOKS_PREFIX) - 1;
    bool get = strcmp(r->method, "GET") == 0 || strcmp(r->method, "HEAD") == 0;
    bool post = strcmp(r->method, "POST") == 0;
    struct choice c;
    r->http_status = 200;
    if (!choice_read(r, &c))
        return;
    if (!*path && get)
        list(a, r);
    else if (strcmp(path, "/letters") == 0 && get)
        list_letters(a, r, &c);
    else if (strcmp(path, "/letter") == 0 && get)
        one_letter(a, r, c.id);
    else if (strcmp(path, "/errand") == 0 && get)
        errand(a, r, c.id);
    else if (strcmp(path, "/test") == 0 && post)
        test(a, r, &c);
    else if (strcmp(path, "/replay") == 0 && post)
        replay(a, r, &c);
    else if (strcmp(path, "/dismiss") == 0 && post)
        dismiss(a, r, &c);
    else
        api_error(r, 404, "not_found", "there is no such endpoint, or not by this method");
    if (r->body.failed)
        api_error(r, 503, "unavailable", "the answer is too large, or memory is out");
}

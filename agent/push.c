// SPDX-License-Identifier: Apache-2.0
#include "agent/push.h"
#include "base/secret.h"
#include "wire/decode.h"
#include "wire/encode.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define REPLY_MAX           (64u << 10)
#define FRAMES_PER_BODY     64
#define RESUME_HOLD_NS      (2 * NS_PER_S) // a finished range is not begun again so soon
#define MOVED_FAILURES_MAX  2
#define PATH                "/v1/frames"
#define ADDRESS_CHARS       "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]"
#define CONNECT_MS          2000L
#define LIVE_TIMEOUT_MS     5000L
#define BACKFILL_TIMEOUT_MS 10000L

enum lane_id { LIVE, BACKFILL };

struct lane {
    struct transfer transfer; // first: a transfer is its lane
    struct pusher *p;
    enum lane_id id;
    CURL *easy;
    struct curl_slist *headers;
    struct loop_timer *timer;
    struct buf body, reply;
    char error[CURL_ERROR_SIZE];
    bool in_flight, waiting; // waiting: the timer will wake it
    bool knock;              // the last body failed: ask before anything is sent
    int64_t backoff_ms, retry_after_ms;
    uint64_t first, last; // seqs in flight, 0 = an empty body
    int64_t sent_ns;
};

struct pusher {
    struct loop *loop;
    struct transfers *transfers;
    struct spool *spool;
    const struct clock *clock;
    const struct wire_session *session;
    struct push_hooks hooks;
    struct lane lanes[2];
    char *url, *home; // where frames go now, and where the configuration says
    struct loop_timer *move, *ask;
    unsigned asks; // already made of ASK_MS
    char *move_to; // where to when the timer fires; NULL = stay
    unsigned failures_there;
    struct arena arena; // of one reply
    uint64_t cut_seq;   // the frame that tells of the clock's last step; 0 = it is delivered
    uint64_t live_next; // first seq the live lane has not delivered
    bool key_wanted;    // live waits for a key frame at or above live_next
    uint64_t fill_next,
        fill_end; // backfill: next to send and last; fill_next 0 = nothing to do
    uint64_t filled_from, filled_to;
    int64_t filled_ns;
    uint64_t bodies;
    struct push_stats stats;
    bool noted_failure, noted_once;
};

static int64_t wall_us(const struct pusher *p)
{
    return p->clock->wall_ns(p->clock->ctx) / 1000;
}

static void pump(struct lane *l);

// --- waiting ---------------------------------------------------------------------------------

static void lane_wait(struct lane *l, int64_t ms)
{
    l->waiting = true;
    loop_timer_set(l->timer, clock_mono_ns(l->p->clock) + ms * NS_PER_MS);
}

static void on_wake(void *ctx, int64_t due_ns, int64_t now_ns)
{
    struct lane *l = ctx;
    (void)due_ns;
    (void)now_ns;
    l->waiting = false;
    pump(l);
}

// Decorrelated jitter: between the minimum and three times the last wait.
static int64_t backoff(struct lane *l)
{
    uint32_t r = 0;
    if (random_bytes(&r, sizeof(r)) < 0)
        r = (uint32_t)wall_us(l->p); // still no two hosts in step
    int64_t last = l->backoff_ms < PUSH_BACKOFF_MIN_MS ? PUSH_BACKOFF_MIN_MS : l->backoff_ms;
    int64_t span = last * 3 - PUSH_BACKOFF_MIN_MS;
    int64_t ms = PUSH_BACKOFF_MIN_MS + r % span;
    l->backoff_ms = ms > PUSH_BACKOFF_MAX_MS ? PUSH_BACKOFF_MAX_MS : ms;
    return l->backoff_ms;
}

static int url_set(struct pusher *p, char *url)
{
    for (int i = 0; i < 2; i++)
        if (curl_easy_setopt(p->lanes[i].easy, CURLOPT_URL, url) != CURLE_OK)
            return -ENOMEM; // curl keeps a copy of the old one
    if (p->url != p->home)
        free(p->url);
    p->url = url;
    p->failures_there = 0;
    return 0;
}

static void on_move(void *ctx, int64_t due_ns, int64_t now_ns)
{
    struct pusher *p = ctx;
    (void)due_ns;
    (void)now_ns;
    // A body in flight is not disturbed: the next one goes there.
    if (p->move_to && url_set(p, p->move_to) < 0)
        free(p->move_to);
    p->move_to = NULL;
}

// The collector sends us to another one, by "host:port", with the scheme we use already.
static void take_goaway(struct pusher *p, const struct wire_reply *r)
{
    const char *to = r->goaway_to;
    if (!to || !*to || p->move_to || strspn(to, ADDRESS_CHARS) != strlen(to))
        return;
    size_t scheme = (size_t)(strstr(p->home, "://") - p->home) + 3;
    size_t size = scheme + strlen(to) + sizeof(PATH);
    char *url = malloc(size);
    if (!url)
        return; // it will be asked for again
    snprintf(url, size, "%.*s%s%s", (int)scheme, p->home, to, PATH);
    if (strcmp(url, p->url) == 0) {
        free(url);
        return;
    }
    p->move_to = url;
    loop_timer_set(p->move, clock_mono_ns(p->clock) + r->goaway_after_ms * NS_PER_MS);
}

static void failed(struct lane *l, const char *why)
{
    struct pusher *p = l->p;
    p->stats.failures++;
    l->knock = true;
    int64_t ms = backoff(l);
    if (l->retry_after_ms > ms)
        ms = l->retry_after_ms;
    if (l->id == LIVE) {
        p->stats.connected = false;
        // One we were sent to and that does not answer: back to the one we were told by its owner.
        if (p->url != p->home && ++p->failures_there >= MOVED_FAILURES_MAX)
            url_set(p, p->home);
        if (!p->noted_failure)
            p->hooks.note(p->hooks.ctx, true, why);
        p->noted_failure = true;
    }
    lane_wait(l, ms);
}

// --- replies ---------------------------------------------------------------------------------

static void take_clock(struct lane *l, const struct wire_reply *r)
{
    struct pusher *p = l->p;
    if (l->last < p->cut_seq)
        return; // begun on the clock as it was before
    if (p->cut_seq)
        spool_forget(p->spool, p->cut_seq);
    p->cut_seq = 0;
    int64_t t1 = r->sent_us, t2 = r->received_us, t3 = r->replied_us, t4 = wall_us(p);
    int64_t round_trip = (t4 - t1) - (t3 - t2);
    if (t1 <= 0 || t2 <= 0 || t3 < t2 || t4 < t1 || round_trip < 0)
        return; // a clock stepped meanwhile
    p->stats.clock_offset_us = ((t2 - t1) + (t3 - t4)) / 2;
    p->stats.round_trip_us = round_trip > 0 ? round_trip : 1;
}

void push_clock_cut(struct pusher *p, uint64_t seq)
{
    p->cut_seq = seq;
    p->stats.round_trip_us = 0;
    if (!p->stats.connected)
        spool_forget(p->spool, seq);
}

static void take_resume(struct lane *l, const struct wire_reply *r)
{
    struct pusher *p = l->p;
    if (!r->resume_from || p->fill_next)
        return;
    // Without an end: up to what this body has brought itself.
    uint64_t next = l->id == LIVE && l->first ? l->first : p->live_next;
    uint64_t to = r->resume_to ? r->resume_to : next - 1;
    if (to < r->resume_from || spool_find(p->spool, r->resume_from) == spool_count(p->spool))
        return; // not held any more: the session's oldest_seq has said so
    // The reply may have been under way when the last of the range arrived.
    if (r->resume_from >= p->filled_from && to <= p->filled_to &&
        clock_mono_ns(p->clock) - p->filled_ns < RESUME_HOLD_NS)
        return;
    struct spool_frame f;
    if (!spool_at(p->spool, spool_replay(p->spool, r->resume_from), &f) || f.seq > to)
        return;
    spool_delivered(p->spool, r->resume_from, to, false);
    p->filled_from = r->resume_from;
    p->fill_next = f.seq;
    p->fill_end = to;
    pump(&p->lanes[BACKFILL]);
}

static void accepted(struct lane *l, const struct wire_reply *r)
{
    struct pusher *p = l->p;
    l->knock = false;
    l->backoff_ms = 0;
    bool held = !r->need_key_frame && r->frames_not_held == 0;
    if (l->first && held)
        spool_delivered(p->spool, l->first, l->last, true);
    if (r->accepted_seq > p->stats.accepted_seq)
        p->stats.accepted_seq = r->accepted_seq;
    if (r->durable_seq > p->stats.durable_seq) {
        p->stats.durable_seq = r->durable_seq;
        spool_durable(p->spool, r->durable_seq);
    }
    if (l->id == LIVE) {
        take_goaway(p, r);
        p->failures_there = 0;
        p->stats.connected = true;
        if (p->noted_failure || !p->noted_once)
            p->hooks.note(p->hooks.ctx, false, r->collector ? r->collector : "");
        p->noted_failure = false;
        p->noted_once = true;
        if (l->first)
            p->live_next = l->last + 1;
        if (r->need_key_frame) {
            p->key_wanted = true;
            p->stats.key_frames_asked++;
            p->hooks.want_key(p->hooks.ctx);
        }
    } else if (l->first) {
        p->stats.replayed_frames += l->last - l->first + 1;
        struct spool_frame f;
        uint64_t next = l->last + 1;
        if (r->need_key_frame) {
            // Its chain does not hold what came before: from a key frame again, unless we just did.
            size_t i = spool_replay(p->spool, l->first);
            if (spool_at(p->spool, i, &f) && f.seq < l->first)
                next = f.seq;
            else
                for (i = spool_find(p->spool, next); spool_at(p->spool, i, &f) && !f.key; i++)
                    next = f.seq + 1;
        }
        p->fill_next = next;
        if (next > p->fill_end || spool_find(p->spool, next) == spool_count(p->spool)) {
            p->filled_to = p->fill_end;
            p->filled_ns = clock_mono_ns(p->clock);
            p->fill_next = 0;
        }
    }
    if (r->retry_after_ms)
        lane_wait(l, r->retry_after_ms);
    take_resume(l, r);
}

static void refused(struct lane *l, long status)
{
    struct pusher *p = l->p;
    char why[128];
    const char *hint = status == 401 || status == 403 ? " (check token_file)"
                       : status == 404                ? " (is this the agents' port?)"
                                                      : "";
    snprintf(why, sizeof(why), "HTTP status %ld%s", status, hint);
    // What is no frame to the collector today will not be one tomorrow: leave it out.
    if (l->first && (status == 400 || status == 413 || status == 415 || status == 422)) {
        if (l->id == LIVE) {
            p->live_next = l->last + 1;
            p->key_wanted = true;
            p->hooks.want_key(p->hooks.ctx);
        } else {
            p->fill_next = 0;
        }
    }
    if (status == 429 && l->retry_after_ms == 0)
        l->retry_after_ms = 1000;
    failed(l, why);
}

static void on_done(struct transfer *t, CURLcode result)
{
    struct lane *l = (struct lane *)t;
    struct pusher *p = l->p;
    long status = 0;
    struct err err;
    struct wire_reply r;

    l->in_flight = false;
    curl_easy_getinfo(l->easy, CURLINFO_RESPONSE_CODE, &status);
    if (result != CURLE_OK) {
        failed(l, l->error[0] ? l->error : curl_easy_strerror(result));
    } else if (status != 200) {
        refused(l, status);
    } else {
        arena_reset(&p->arena);
        int rc = reply_decode(l->reply.data, l->reply.len, &p->arena, &r, &err);
        if (rc < 0) {
            failed(l, rc == -EBADMSG ? "the answer is not that of a collector" : strerror(-rc));
        } else if (r.protocol == 0 && r.reason) {
            failed(l, r.reason);
        } else {
            take_clock(l, &r);
            if (l->id == LIVE && r.n_repairs && p->hooks.repairs)
                p->hooks.repairs(p->hooks.ctx, r.repairs, r.n_repairs, l->sent_ns);
            if (l->id == LIVE && r.has_demand && p->hooks.demand)
                p->hooks.demand(p->hooks.ctx, &r);
            accepted(l, &r);
        }
    }
    pump(l);
}

// --- sending ---------------------------------------------------------------------------------

static size_t on_reply(char *data, size_t size, size_t n, void *ctx)
{
    struct lane *l = ctx;
    return buf_add(&l->reply, data, size * n) == 0 ? size * n : 0;
}

static size_t on_header(char *data, size_t size, size_t n, void *ctx)
{
    static const char NAME[] = "retry-after:";
    struct lane *l = ctx;
    size_t len = size * n;
    if (len > sizeof(NAME) - 1 && strncasecmp(data, NAME, sizeof(NAME) - 1) == 0) {
        int64_t s = 0;
        const char *p = data + sizeof(NAME) - 1, *end = data + len;
        while (p < end && *p == ' ')
            p++;
        for (; p < end && *p >= '0' && *p <= '9' && s < 3600; p++)
            s = s * 10 + (*p - '0');
        l->retry_after_ms = (s > 3600 ? 3600 : s) * 1000;
    }
    return len;
}

// The frames as they go out. What had to be unpacked lies in *ret_room, the caller's to free. 0, -ENOMEM.
static int unpack(const struct spool_frame *frames, size_t n, const uint8_t **data,
    size_t *lens, uint8_t **ret_room)
{
    size_t size = 0;
    for (size_t i = 0; i < n; i++)
        size += frames[i].kept_len == frames[i].len ? 0 : frames[i].len;
    uint8_t *at = *ret_room = size ? malloc(size) : NULL;
    if (size && !at)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        data[i] = spool_bytes_of(&frames[i], at);
        lens[i] = data[i] ? frames[i].len : 0;
        at += data[i] == at && at ? frames[i].len : 0;
    }
    return 0;
}

static void post(struct lane *l, const struct spool_frame *frames, size_t n)
{
    struct pusher *p = l->p;
    const uint8_t *data[FRAMES_PER_BODY];
    size_t lens[FRAMES_PER_BODY];
    uint8_t *room;
    int rc = unpack(frames, n, data, lens, &room);
    struct wire_session session = *p->session;
    session.newest_seq = spool_newest(p->spool);
    session.oldest_seq = spool_oldest(p->spool);
    struct push_meta meta = {.lane = l->id == LIVE ? 0 : 1,
        .sent_us = wall_us(p),
        .clock_offset_us = p->stats.clock_offset_us,
        .round_trip_us = p->stats.round_trip_us,
        .id = ++p->bodies};
    buf_reset(&l->body);
    buf_reset(&l->reply);
    l->first = n ? frames[0].seq : 0;
    l->last = n ? frames[n - 1].seq : 0;
    l->retry_after_ms = 0;
    l->error[0] = 0;
    l->sent_ns = clock_mono_ns(p->clock);
    if (rc == 0)
        rc = push_encode(&session, &meta, data, lens, n, &l->body);
    free(room);
    if (rc < 0) {
        failed(l, strerror(-rc));
        return;
    }
    curl_easy_setopt(l->easy, CURLOPT_POSTFIELDS, l->body.len ? (char *)l->body.data : "");
    curl_easy_setopt(l->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)l->body.len);
    l->in_flight = true;
    p->stats.bodies++;
    if (transfer_start(p->transfers, l->easy, &l->transfer) < 0) {
        l->in_flight = false;
        failed(l, "out of memory");
    }
}

// As many frames from seq on as a body may hold; at least one, however long.
static size_t gather(const struct pusher *p, uint64_t seq, uint64_t to, size_t max_bytes,
    struct spool_frame frames[FRAMES_PER_BODY])
{
    size_t n = 0, bytes = 0;
    for (size_t i = spool_find(p->spool, seq); n < FRAMES_PER_BODY; i++) {
        if (!spool_at(p->spool, i, &frames[n]) || frames[n].seq > to)
            break;
        bytes += frames[n].len + 8;
        if (n > 0 && bytes > max_bytes)
            break;
        n++;
    }
    return n;
}

static void pump_live(struct lane *l)
{
    struct pusher *p = l->p;
    struct spool_frame frames[FRAMES_PER_BODY], f;
    size_t i = spool_find(p->spool, p->live_next);

    if (l->knock) {
        post(l, NULL, 0);
        return;
    }
    if (i == spool_count(p->spool))
        return;
    spool_at(p->spool, i, &f);
    // Behind, or the frames before it are gone: the newest key frame among the last few will do,
    // else the next frame is to be one.
    int64_t fresh_ns = clock_mono_ns(p->clock) - PUSH_BEHIND_NS;
    bool behind = f.made_ns < fresh_ns || (f.seq > p->live_next && !f.key);
    if (behind || p->key_wanted) {
        size_t k = spool_count(p->spool);
        while (k > i && spool_at(p->spool, k - 1, &f) && !f.key)
            k--;
        if (k == i || f.made_ns < fresh_ns) {
            if (!p->key_wanted)
                p->hooks.want_key(p->hooks.ctx);
            p->key_wanted = true;
            return;
        }
        p->key_wanted = false;
        p->live_next = f.seq;
    }
    size_t n = gather(p, p->live_next, UINT64_MAX, WIRE_BODY_MAX / 2, frames);
    post(l, frames, n);
}

static void pump_backfill(struct lane *l)
{
    struct pusher *p = l->p;
    struct spool_frame frames[FRAMES_PER_BODY];
    if (!p->fill_next)
        return;
    if (p->fill_next < spool_oldest(p->spool))
        p->fill_next = spool_oldest(p->spool); // evicted meanwhile; the oldest is a key frame
    size_t n = gather(p, p->fill_next, p->fill_end, PUSH_BODY_MAX - 1024, frames);
    if (n == 0)
        p->fill_next = 0;
    else
        post(l, frames, n);
}

// When a rule has looked at an event, and when one that waits for its turn has.
static const int64_t ASK_MS[] = {20, 50, 180};
#define ASKS (sizeof(ASK_MS) / sizeof(ASK_MS[0]))

static void on_ask(void *ctx, int64_t due_ns, int64_t now_ns)
{
    struct pusher *p = ctx;
    struct lane *l = &p->lanes[LIVE];
    (void)due_ns;
    if (++p->asks < ASKS)
        loop_timer_set(p->ask, now_ns + ASK_MS[p->asks] * NS_PER_MS);
    // With a body under way a reply comes anyway.
    if (!l->in_flight && !l->waiting)
        post(l, NULL, 0);
}

void push_ask_soon(struct pusher *p)
{
    p->asks = 0;
    loop_timer_set(p->ask, clock_mono_ns(p->clock) + ASK_MS[0] * NS_PER_MS);
}

static void pump(struct lane *l)
{
    if (l->in_flight || l->waiting)
        return;
    if (l->id == LIVE)
        pump_live(l);
    else
        pump_backfill(l);
}

void push_kick(struct pusher *p)
{
    pump(&p->lanes[LIVE]);
}

bool push_idle(const struct pusher *p)
{
    const struct lane *l = &p->lanes[LIVE];
    return !l->in_flight && spool_find(p->spool, p->live_next) == spool_count(p->spool);
}

const struct push_stats *push_stats(const struct pusher *p)
{
    return &p->stats;
}

static int lane_init(
    struct lane *l, struct pusher *p, enum lane_id id, const struct push_options *o)
{
    l->p = p;
    l->id = id;
    l->transfer.done = on_done;
    l->timer = loop_timer_new(p->loop, on_wake, l);
    l->easy = curl_easy_init();
    buf_init(&l->body, WIRE_BODY_MAX + 4096);
    buf_init(&l->reply, REPLY_MAX);
    if (!l->timer || !l->easy)
        return -ENOMEM;
    // No Expect: it costs a round trip, and a second of waiting where it is not known.
    static const char *const FIXED[] = {
        "Content-Type: application/x-protobuf", "Expect:", "Accept:"};
    for (size_t i = 0; i < sizeof(FIXED) / sizeof(FIXED[0]); i++) {
        struct curl_slist *more = curl_slist_append(l->headers, FIXED[i]);
        if (!more)
            return -ENOMEM;
        l->headers = more;
    }
    CURLcode rc = CURLE_OK;
#define SET(option, value)                                                                     \
    do {                                                                                       \
        if (rc == CURLE_OK)                                                                    \
            rc = curl_easy_setopt(l->easy, option, value);                                     \
    } while (0)
    SET(CURLOPT_URL, p->url);
    SET(CURLOPT_POST, 1L);
    SET(CURLOPT_HTTPHEADER, l->headers);
    SET(CURLOPT_WRITEFUNCTION, on_reply);
    SET(CURLOPT_WRITEDATA, l);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, l);
    SET(CURLOPT_ERRORBUFFER, l->error);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    SET(CURLOPT_TIMEOUT_MS, id == LIVE ? LIVE_TIMEOUT_MS : BACKFILL_TIMEOUT_MS);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    // So that a change of DNS or of a balancer takes effect.
    SET(CURLOPT_MAXLIFETIME_CONN, 600L);
    SET(CURLOPT_BUFFERSIZE, 16384L);
    SET(CURLOPT_UPLOAD_BUFFERSIZE, 16384L);
    if (o->token) {
        SET(CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
        SET(CURLOPT_XOAUTH2_BEARER, o->token);
    }
    if (o->ca_file)
        SET(CURLOPT_CAINFO, o->ca_file);
#undef SET
    return rc == CURLE_OK ? 0 : rc == CURLE_OUT_OF_MEMORY ? -ENOMEM : -EINVAL;
}

struct pusher *push_new(struct loop *loop, struct transfers *m, struct spool *spool,
    const struct clock *clock, const struct wire_session *session, const struct push_options *o,
    const struct push_hooks *h)
{
    struct pusher *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->loop = loop;
    p->transfers = m;
    p->spool = spool;
    p->clock = clock;
    p->session = session;
    p->hooks = *h;
    p->live_next = 1;
    arena_init(&p->arena, 256u << 10);
    size_t len = strlen(o->collector);
    while (len > 0 && o->collector[len - 1] == '/')
        len--;
    p->home = p->url = malloc(len + sizeof(PATH));
    p->move = loop_timer_new(loop, on_move, p);
    p->ask = loop_timer_new(loop, on_ask, p);
    if (p->url) {
        memcpy(p->url, o->collector, len);
        strcpy(p->url + len, PATH);
    }
    if (!p->url || !p->move || !p->ask || lane_init(&p->lanes[LIVE], p, LIVE, o) < 0 ||
        lane_init(&p->lanes[BACKFILL], p, BACKFILL, o) < 0) {
        push_free(p);
        return NULL;
    }
    return p;
}

void push_free(struct pusher *p)
{
    if (!p)
        return;
    for (int i = 0; i < 2; i++) {
        struct lane *l = &p->lanes[i];
        transfer_stop(p->transfers, l->easy);
        curl_easy_cleanup(l->easy);
        curl_slist_free_all(l->headers);
        loop_timer_free(l->timer);
        buf_done(&l->body);
        buf_done(&l->reply);
    }
    arena_done(&p->arena);
    loop_timer_free(p->move);
    loop_timer_free(p->ask);
    free(p->move_to);
    if (p->url != p->home)
        free(p->url);
    free(p->home);
    free(p);
}

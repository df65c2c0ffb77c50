// SPDX-License-Identifier: Apache-2.0
#include "collector/live.h"
#include "base/map.h"
#include "collector/live_state.h"
#include "rules/eval.h"
#include "rules/parse.h"
#include "wire/live.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define STEP_MIN_MS   200
#define STEP_MAX_MS   3600000
#define WINDOW_MAX_MS (24 * 3600 * 1000LL)
#define CLIENTS_MAX   1024
#define STATE_MAX     (16u << 20)
#define POINTS_MAX    (64u << 20)

// A series of a feed, as the clients know it.
struct column {
    uint32_t id;
    uint64_t fingerprint;
    int64_t last_ms;
    struct labels *labels;
};

// One expression at one step, evaluated once however many watch it.
struct feed {
    struct feed *next;
    int64_t step_ms, window_ms; // the longest window of its subscribers
    int64_t last_ms;            // newest row sent; 0 = none yet
    struct arena arena;
    struct expr_root x;
    struct selections *selections;
    struct column *columns; // sorted by fingerprint
    size_t n, cap;
    uint64_t version; // of the table
    bool cut;         // over LIVE_COLUMNS_MAX
    char error[256];
    size_t users;
};

struct sub {
    uint64_t client;
    uint16_t id;
    struct feed *feed;
    int64_t window_ms, since_ms;
    uint64_t version; // of the table it was sent; 0 = none
    uint32_t seq;
    bool behind; // wants its points since since_ms (0: the whole window)
};

struct live_subs {
    const struct api_context *c;
    struct live_state *state;
    struct eval *eval;
    struct feed *feeds;
    struct sub *subs;
    size_t n, cap;
    uint64_t clients[CLIENTS_MAX];
    size_t n_clients;
    bool noticed;
    uint64_t board_seen, state_hash;
    int64_t state_ms;
    uint32_t state_seq;
};

struct out { // where messages of one call go
    live_emit_fn *fn;
    void *ctx;
    int64_t now_ms;
};

struct live_subs *live_subs_new(const struct api_context *c)
{
    struct live_subs *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->c = c;
    s->state = live_state_new(c);
    if (!s->state) {
        free(s);
        return NULL;
    }
    return s;
}

static void feed_free(struct feed *f)
{
    for (size_t i = 0; i < f->n; i++)
        free(f->columns[i].labels);
    free(f->columns);
    selections_free(f->selections);
    expr_done(&f->x);
    arena_done(&f->arena);
    free(f);
}

static void feed_release(struct live_subs *s, struct feed *f)
{
    if (--f->users)
        return;
    struct feed **at = &s->feeds;
    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    feed_free(f);
}

void live_subs_free(struct live_subs *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n; i++)
        feed_release(s, s->subs[i].feed);
    free(s->subs);
    live_state_free(s->state);
    eval_free(s->eval);
    free(s);
}

size_t live_subs_count(const struct live_subs *s)
{
    return s->n;
}

static struct live_out *message_new(
    uint64_t client, uint16_t sub, enum live_type type, size_t max)
{
    struct live_out *m = calloc(1, sizeof(*m));
    if (!m)
        return NULL;
    m->client = client;
    m->sub = sub;
    m->type = (uint8_t)type;
    buf_init(&m->message, max + LIVE_HEADER);
    return m;
}

static bool send_json(const struct out *o, uint64_t client, uint16_t sub, uint32_t seq,
    enum live_type type, const struct buf *json)
{
    struct live_out *m = message_new(client, sub, type, json->len);
    struct live_head h = {.type = type, .sub = sub, .seq = seq, .server_ms = (double)o->now_ms};
    if (!m || json->failed ||
        live_encode_json(&h, (const char *)json->data, json->len, &m->message) < 0) {
        live_out_free(m);
        return false;
    }
    return o->fn(o->ctx, m);
}

static void send_error(
    const struct out *o, uint64_t client, uint16_t sub, const char *text, int col)
{
    struct buf json;
    buf_init(&json, 4096);
    buf_adds(&json, "{\"error\":");
    buf_add_json(&json, text, strlen(text));
    buf_addf(&json, ",\"line\":1,\"col\":%d}", col);
    send_json(o, client, sub, 0, LIVE_ERROR, &json);
    buf_done(&json);
}

static bool send_table(const struct out *o, struct sub *u)
{
    const struct feed *f = u->feed;
    struct buf json;
    buf_init(&json, POINTS_MAX);
    buf_addc(&json, '[');
    for (size_t i = 0; i < f->n; i++) {
        buf_addf(&json, "%s{\"id\":%" PRIu32 ",\"labels\":", i ? "," : "", f->columns[i].id);
        labels_json(f->columns[i].labels, &json);
        buf_addc(&json, '}');
    }
    buf_addc(&json, ']');
    bool ok = send_json(o, u->client, u->id, ++u->seq, LIVE_SERIES, &json);
    if (ok)
        u->version = f->version;
    buf_done(&json);
    return ok;
}

static bool send_points(
    const struct out *o, struct sub *u, bool snapshot, const struct live_points *p)
{
    if (u->version != u->feed->version && !send_table(o, u))
        return false;
    struct live_out *m = message_new(u->client, u->id, LIVE_POINTS, POINTS_MAX);
    struct live_head h = {.type = LIVE_POINTS,
        .flags = snapshot ? LIVE_FLAG_SNAPSHOT : 0,
        .sub = u->id,
        .seq = ++u->seq,
        .server_ms = (double)o->now_ms};
    if (!m || live_encode_points(&h, p, &m->message) < 0) {
        live_out_free(m);
        return false;
    }
    return o->fn(o->ctx, m);
}

// The column of these labels, made when new. NULL: over the limit, or no memory.
static struct column *feed_column(struct feed *f, const struct labels *labels, int64_t t_ms)
{
    uint64_t fingerprint = labels_fingerprint(labels);
    size_t lo = 0, hi = f->n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (f->columns[mid].fingerprint < fingerprint)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo < f->n && f->columns[lo].fingerprint == fingerprint) {
        if (t_ms > f->columns[lo].last_ms)
            f->columns[lo].last_ms = t_ms;
        return &f->columns[lo];
    }
    f->cut = f->cut || f->n >= LIVE_COLUMNS_MAX;
    if (f->n >= LIVE_COLUMNS_MAX)
        return NULL;
    if (f->n == f->cap) {
        size_t cap = f->cap ? f->cap * 2 : 16;
        struct column *grown = realloc(f->columns, cap * sizeof(*grown));
        if (!grown)
            return NULL;
        f->columns = grown;
        f->cap = cap;
    }
    struct labels *copy = labels_dup(labels);
    if (!copy)
        return NULL;
    // Two label sets may share the low half of their hash: the later one takes the next number.
    uint32_t id = (uint32_t)fingerprint;
    for (size_t i = 0; i < f->n; i++)
        if (f->columns[i].id == id) {
            id++;
            i = (size_t)-1;
        }
    memmove(&f->columns[lo + 1], &f->columns[lo], (f->n - lo) * sizeof(*f->columns));
    f->columns[lo] = (struct column){id, fingerprint, t_ms, copy};
    f->n++;
    f->version++;
    return &f->columns[lo];
}

// Series nobody's window reaches any more leave the table.
static void feed_prune(struct feed *f, int64_t now_ms)
{
    size_t n = 0;
    for (size_t i = 0; i < f->n; i++) {
        if (f->columns[i].last_ms < now_ms - f->window_ms - 60000)
            free(f->columns[i].labels);
        else
            f->columns[n++] = f->columns[i];
    }
    if (n != f->n)
        f->version++;
    f->n = n;
}

static void feed_failed(
    struct live_subs *s, struct feed *f, const char *text, const struct out *o)
{
    if (strncmp(f->error, text, sizeof(f->error) - 1) == 0)
        return;
    snprintf(f->error, sizeof(f->error), "%s", text);
    for (size_t i = 0; i < s->n; i++)
        if (s->subs[i].feed == f)
            send_error(o, s->subs[i].client, s->subs[i].id, text, 1);
}

static bool have_eval(struct live_subs *s, struct pipeline *p)
{
    if (!s->eval)
        s->eval = eval_new(pipeline_source(p), &(struct eval_options){0});
    return s->eval != NULL;
}

// The points a subscription starts with, or what it missed.
static void catch_up(
    struct live_subs *s, struct pipeline *p, struct sub *u, const struct out *o)
{
    struct feed *f = u->feed;
    struct err err = {0};
    struct matrix m;
    uint32_t *ids = NULL;
    double *times = NULL, *values = NULL;
    if (!f->last_ms)
        f->last_ms = (o->now_ms - LIVE_GRACE_MS) / f->step_ms * f->step_ms;
    int64_t end = f->last_ms / f->step_ms * f->step_ms;
    int64_t start = end - u->window_ms / f->step_ms * f->step_ms + f->step_ms;
    bool snapshot = u->since_ms < start;
    if (!snapshot)
        start = (u->since_ms / f->step_ms + 1) * f->step_ms;

    u->behind = false;
    if (start > end) {
        if (u->version != f->version && !send_table(o, u))
            u->behind = true;
        return;
    }
    int rc = have_eval(s, p) ? eval_range(s->eval, &f->x, start, end, f->step_ms, &m, &err)
                             : -ENOMEM;
    if (rc < 0) {
        feed_failed(s, f, err.msg[0] ? err.msg : strerror(-rc), o);
        if (s->eval)
            eval_reset(s->eval);
        return;
    }
    ids = calloc(m.n + 1, sizeof(*ids));
    times = calloc(m.steps + 1, sizeof(*times));
    values = calloc(m.n * m.steps + 1, sizeof(*values));
    if (!ids || !times || !values)
        goto out;
    struct live_points points = {
        .rows = (uint32_t)m.steps, .t_ms = times, .ids = ids, .v = values};
    for (size_t i = 0; i < m.steps; i++)
        times[i] = (double)(m.start_ms + (int64_t)i * m.step_ms);
    for (size_t r = 0; r < m.n; r++) {
        size_t newest = m.steps;
        double *to = values + (size_t)points.columns * m.steps;
        for (size_t i = 0; i < m.steps; i++) {
            bool gone = double_bits(m.rows[r].v[i]) == NAN_ABSENT_BITS ||
                        (m.rows[r].h && m.rows[r].h[i]);
            to[i] = gone ? double_from_bits(NAN_NORMAL_BITS) : m.rows[r].v[i];
            if (!gone)
                newest = i;
        }
        if (newest == m.steps)
            continue;
        const struct column *c = feed_column(f, &m.rows[r].labels, (int64_t)times[newest]);
        if (c)
            ids[points.columns++] = c->id;
    }
    // An empty expression still has its table: the client then knows it is empty.
    if (!u->version && !f->version)
        f->version++;
    if (send_points(o, u, snapshot, &points))
        u->since_ms = end;
    else
        u->behind = true;
out:
    eval_reset(s->eval);
    free(ids);
    free(times);
    free(values);
}

// One row of a feed to everyone who watches it.
static void feed_row(
    struct live_subs *s, struct pipeline *p, struct feed *f, int64_t t_ms, const struct out *o)
{
    struct err err = {0};
    struct value v;
    int rc =
        have_eval(s, p) ? eval_instant(s->eval, &f->x, f->selections, t_ms, &v, &err) : -ENOMEM;
    f->last_ms = t_ms;
    if (rc < 0) {
        feed_failed(s, f, err.msg[0] ? err.msg : strerror(-rc), o);
        if (s->eval)
            eval_reset(s->eval);
        return;
    }
    f->error[0] = '\0';
    struct element one = {.value = v.scalar};
    struct vector whole = v.type == TYPE_VECTOR ? v.vector : (struct vector){&one, 1, 1};
    uint32_t *ids = calloc(whole.n + 1, sizeof(*ids));
    double *values = calloc(whole.n + 1, sizeof(*values));
    double time = (double)t_ms;
    struct live_points points = {.rows = 1, .t_ms = &time, .ids = ids, .v = values};
    for (size_t i = 0; ids && values && i < whole.n; i++) {
        if (whole.e[i].state != ELEMENT_VALUE || whole.e[i].hist)
            continue;
        const struct column *c = feed_column(f, &whole.e[i].labels, t_ms);
        if (!c)
            continue;
        ids[points.columns] = c->id;
        values[points.columns++] = whole.e[i].value;
    }
    for (size_t i = 0; ids && values && i < s->n; i++) {
        struct sub *u = &s->subs[i];
        if (u->feed != f || u->behind)
            continue;
        if (send_points(o, u, false, &points))
            u->since_ms = t_ms;
        else
            u->behind = true; // the ring was full: what is missing comes from the windows
    }
    eval_reset(s->eval);
    free(ids);
    free(values);
}

static bool state_render(
    struct live_subs *s, struct pipeline *p, int64_t now_ms, struct buf *json)
{
    buf_init(json, STATE_MAX);
    return live_state_json(s->state, p, now_ms, json) == 0;
}

static void state_tick(struct live_subs *s, struct pipeline *p, const struct out *o)
{
    uint64_t board = s->c && s->c->board ? board_generation(s->c->board) : 0;
    bool news = s->noticed || board != s->board_seen;
    int64_t gap = news ? LIVE_STATE_GAP_MS : 1000;
    struct buf json;
    if (o->now_ms - s->state_ms < gap)
        return;
    s->state_ms = o->now_ms;
    s->board_seen = board;
    s->noticed = false;
    if (state_render(s, p, o->now_ms, &json)) {
        uint64_t hash = hash_bytes(json.data, json.len, 1);
        if (hash != s->state_hash && send_json(o, 0, 0, ++s->state_seq, LIVE_STATE, &json))
            s->state_hash = hash;
    }
    buf_done(&json);
}

static struct sub *sub_find(struct live_subs *s, uint64_t client, uint16_t id)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->subs[i].client == client && s->subs[i].id == id)
            return &s->subs[i];
    return NULL;
}

static void sub_remove(struct live_subs *s, struct sub *u)
{
    feed_release(s, u->feed);
    *u = s->subs[--s->n];
}

static void client_gone(struct live_subs *s, uint64_t client)
{
    for (size_t i = s->n; i-- > 0;)
        if (s->subs[i].client == client)
            sub_remove(s, &s->subs[i]);
    for (size_t i = 0; i < s->n_clients; i++)
        if (s->clients[i] == client) {
            s->clients[i] = s->clients[--s->n_clients];
            break;
        }
}

static void client_seen(
    struct live_subs *s, struct pipeline *p, uint64_t client, const struct out *o)
{
    struct buf json;
    for (size_t i = 0; i < s->n_clients; i++)
        if (s->clients[i] == client)
            return;
    if (s->n_clients == CLIENTS_MAX)
        return;
    s->clients[s->n_clients++] = client;
    if (state_render(s, p, o->now_ms, &json))
        send_json(o, client, 0, ++s->state_seq, LIVE_STATE, &json);
    buf_done(&json);
}

// The feed of this expression and step, shared with those who have it already.
static struct feed *feed_of(
    struct live_subs *s, const struct request *r, int64_t step_ms, const struct out *o)
{
    size_t len = strlen(r->expr);
    struct parse_error e = {0};
    for (struct feed *f = s->feeds; f; f = f->next)
        if (f->step_ms == step_ms && f->x.len == len && memcmp(f->x.text, r->expr, len) == 0) {
            f->users++;
            return f;
        }
    struct feed *f = calloc(1, sizeof(*f));
    if (!f)
        return NULL;
    arena_init(&f->arena, 16u << 20);
    f->users = 1;
    f->step_ms = step_ms;
    int rc = len > EXPR_TEXT_MAX ? -E2BIG : expr_parse(r->expr, len, &f->arena, &f->x, &e);
    if (rc == 0 && f->x.root->type != TYPE_VECTOR && f->x.root->type != TYPE_SCALAR) {
        snprintf(e.msg, sizeof(e.msg),
            "a live chart needs an instant vector or a scalar, this is %s",
            type_name(f->x.root->type));
        rc = -EINVAL;
    }
    if (rc == 0) {
        f->selections = selections_new(&f->x);
        rc = f->selections ? 0 : -ENOMEM;
    }
    if (rc < 0) {
        send_error(o, r->client, r->sub,
            rc == -ENOMEM ? "out of memory" : (rc == -E2BIG ? "expression too long" : e.msg),
            e.start + 1);
        feed_free(f);
        return NULL;
    }
    f->next = s->feeds;
    s->feeds = f;
    return f;
}

static void subscribe(
    struct live_subs *s, struct pipeline *p, const struct request *r, const struct out *o)
{
    int64_t window = r->window_ms, step = r->step_ms;
    size_t mine = 0;
    struct sub *u = sub_find(s, r->client, r->sub);
    if (u)
        sub_remove(s, u);
    for (size_t i = 0; i < s->n; i++)
        mine += s->subs[i].client == r->client;
    if (s->n >= LIVE_SUBS_MAX || mine >= LIVE_CLIENT_SUBS_MAX) {
        send_error(o, r->client, r->sub, "too many subscriptions", 1);
        return;
    }
    window = window < 1000 ? 1000 : (window > WINDOW_MAX_MS ? WINDOW_MAX_MS : window);
    step = step <= 0 ? 1000 : (step < STEP_MIN_MS ? STEP_MIN_MS : step);
    step = step > STEP_MAX_MS ? STEP_MAX_MS : step;
    if (window / step > LIVE_STEPS_MAX)
        step = (window / LIVE_STEPS_MAX + 999) / 1000 * 1000;
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 16;
        struct sub *grown = realloc(s->subs, cap * sizeof(*grown));
        if (!grown) {
            send_error(o, r->client, r->sub, "out of memory", 1);
            return;
        }
        s->subs = grown;
        s->cap = cap;
    }
    struct feed *f = feed_of(s, r, step, o);
    if (!f)
        return;
    if (window > f->window_ms)
        f->window_ms = window;
    s->subs[s->n++] = (struct sub){.client = r->client,
        .id = r->sub,
        .feed = f,
        .window_ms = window,
        .since_ms = r->since_ms};
    catch_up(s, p, &s->subs[s->n - 1], o);
}

void live_subs_request(struct live_subs *s, struct pipeline *p, const struct request *r,
    int64_t now_ms, live_emit_fn *fn, void *ctx)
{
    struct out o = {fn, ctx, now_ms};
    struct sub *u;
    if (r->kind == REQUEST_CLIENT_GONE) {
        client_gone(s, r->client);
    } else if (r->kind == REQUEST_UNSUBSCRIBE) {
        u = sub_find(s, r->client, r->sub);
        if (u)
            sub_remove(s, u);
    } else if (r->kind == REQUEST_SUBSCRIBE) {
        client_seen(s, p, r->client, &o);
        if (r->expr)
            subscribe(s, p, r, &o);
    }
}

void live_subs_notice(struct live_subs *s, const struct notice *n)
{
    live_state_notice(s->state, n);
    s->noticed = true;
}

static int64_t feed_due(const struct feed *f)
{
    return (f->last_ms / f->step_ms + 1) * f->step_ms + LIVE_GRACE_MS;
}

void live_subs_tick(
    struct live_subs *s, struct pipeline *p, int64_t now_ms, live_emit_fn *fn, void *ctx)
{
    struct out o = {fn, ctx, now_ms};
    bool at_once = s->noticed;
    if (!s->n_clients) {
        s->noticed = false;
        return;
    }
    // First the state, so that the alert is on the page before its chart's next point.
    state_tick(s, p, &o);
    for (size_t i = 0; i < s->n; i++)
        if (s->subs[i].behind)
            catch_up(s, p, &s->subs[i], &o);
    for (struct feed *f = s->feeds; f; f = f->next) {
        if (now_ms >= feed_due(f)) {
            // After a pause of ours only the newest row; the subscribers catch up on the rest.
            int64_t newest = (now_ms - LIVE_GRACE_MS) / f->step_ms * f->step_ms;
            if (newest - f->last_ms / f->step_ms * f->step_ms > f->step_ms) {
                f->last_ms = newest;
                for (size_t i = 0; i < s->n; i++)
                    if (s->subs[i].feed == f)
                        catch_up(s, p, &s->subs[i], &o);
            } else {
                feed_row(s, p, f, newest, &o);
            }
            feed_prune(f, now_ms);
        }
        if (at_once && now_ms > f->last_ms)
            feed_row(s, p, f, now_ms, &o);
    }
}

int64_t live_subs_next(const struct live_subs *s)
{
    if (!s->n_clients)
        return INT64_MAX;
    uint64_t board = s->c && s->c->board ? board_generation(s->c->board) : 0;
    bool news = s->noticed || board != s->board_seen;
    int64_t next = s->state_ms + (news ? LIVE_STATE_GAP_MS : 1000);
    for (const struct feed *f = s->feeds; f; f = f->next)
        if (feed_due(f) < next)
            next = feed_due(f);
    return next;
}

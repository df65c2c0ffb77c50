// SPDX-License-Identifier: Apache-2.0
#include "collector/http.h"
#include "base/listener.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/thread.h"
#include "collector/answer.h"
#include "collector/api.h"
#include "collector/api_hooks.h"
#include "collector/archive.h"
#include "collector/hub.h"
#include "collector/notify.h"
#include "collector/params.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define LOOK_MS 250

// One HTTP request. READING its body, WAITING for the shard (suspended), or ANSWERED.
enum visit_state { VISIT_READING, VISIT_WAITING, VISIT_ANSWERED };
struct visit {
    enum visit_state state;
    uint64_t id;
    struct MHD_Connection *c;
    struct request *answer; // NULL in ANSWERED: it did not come in time
    int64_t deadline_ms;
    struct visit *prev, *next; // while WAITING
    bool too_large, metrics;
    struct buf body;
};

struct http {
    struct http_options o;
    struct loop *loop;
    struct listener *listener;
    struct hub *hub;
    struct loop_timer *look;
    struct loop_io *replies, *answers, *archive, *reloaded;
    struct visit *waiting;
    uint64_t visits;
    atomic_bool ready;
    pthread_t thread;
    bool running;
};

static int64_t mono_ms(const struct http *h)
{
    return clock_mono_ns(&h->o.clock) / NS_PER_MS;
}

// --- login: the token typed once, kept in a cookie --------------------------------------------

static const char login_page[] =
    "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Tocsin</title>"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
    "<meta name=\"color-scheme\" content=\"dark light\">"
    "<form method=\"post\" action=\"/login\"><h1>Tocsin</h1>"
    "<p><label>Token <input name=\"token\" type=\"password\" autofocus required></label> "
    "<button>Open</button></p>"
    "<p>The token is in the file that <code>token_file</code> of the collector names.</p>"
    "</form></html>\n";

static enum MHD_Result login(struct http *h, struct visit *v)
{
    static const char field[] = "token=";
    const char *body = buf_cstr(&v->body);
    char cookie[SECRET_MAX + 128];
    if (!h->o.auth.token)
        return answer_redirect(v->c, "/", NULL);
    if (strncmp(body, field, sizeof(field) - 1) != 0)
        return answer_with(v->c, 200, HTML_TYPE, answer_copied(login_page));
    char *token = strdup(body + sizeof(field) - 1);
    int len = token ? params_decode(token) : -ENOMEM;
    bool ok = len > 0 && len <= SECRET_MAX &&
              secret_equal(token, (size_t)len, h->o.auth.token, h->o.auth.token_len);
    if (ok)
        snprintf(cookie, sizeof(cookie),
            "tocsin_token=%s; Path=/; HttpOnly; SameSite=Strict; Max-Age=31536000", token);
    secret_free(token);
    return ok ? answer_redirect(v->c, "/", cookie)
              : answer_with(v->c, 401, HTML_TYPE, answer_copied(login_page));
}

// --- asking the shard --------------------------------------------------------------------------

static void unlink_visit(struct http *h, struct visit *v)
{
    if (v->prev)
        v->prev->next = v->next;
    else
        h->waiting = v->next;
    if (v->next)
        v->next->prev = v->prev;
    v->prev = v->next = NULL;
}

static enum MHD_Result ask(struct http *h, struct visit *v, struct request *r)
{
    v->id = ++h->visits;
    r->client = v->id;
    bool notify = r->kind == REQUEST_ALERTMANAGER || r->kind == REQUEST_HOOKS ||
                  r->kind == REQUEST_EXPLAIN;
    bool archive = r->kind == REQUEST_ARCHIVE || r->kind == REQUEST_EVENTS;
    bool taken = notify                      ? notify_ask(h->o.notify, r)
                 : archive                   ? archive_ask(h->o.archive, r)
                 : r->kind == REQUEST_RELOAD ? ring_push(h->o.reloads, r)
                                             : shard_request(h->o.shard, r);
    if (!taken) {
        request_free(r);
        return answer_api_error(
            v->c, 503, "unavailable", "too many requests are waiting, try again");
    }
    v->state = VISIT_WAITING;
    v->deadline_ms = mono_ms(h) + HTTP_DEADLINE_MS;
    v->prev = NULL;
    v->next = h->waiting;
    if (h->waiting)
        h->waiting->prev = v;
    h->waiting = v;
    MHD_suspend_connection(v->c);
    return MHD_YES;
}

static void visit_answered(struct http *h, struct visit *v, struct request *r)
{
    unlink_visit(h, v);
    v->answer = r;
    v->state = VISIT_ANSWERED;
    MHD_resume_connection(v->c);
}

// True: somebody waited for it.
static bool answer_in(struct http *h, struct request *r)
{
    struct visit *v = h->waiting;
    while (v && v->id != r->client)
        v = v->next;
    if (v)
        visit_answered(h, v, r);
    else
        request_free(r); // came after its deadline
    return v != NULL;
}

static void take_answers(struct http *h, struct ring *ring)
{
    struct request *r;
    bool resumed = false;
    ring_drain_wakeup(ring);
    while ((r = ring_pop(ring)))
        resumed |= answer_in(h, r);
    if (resumed)
        listener_kick(h->listener);
}

static void on_answers(void *ctx, int fd, uint32_t events)
{
    struct http *h = ctx;
    (void)fd;
    (void)events;
    take_answers(h, notify_answers(h->o.notify));
}

static void on_reloaded(void *ctx, int fd, uint32_t events)
{
    struct http *h = ctx;
    (void)fd;
    (void)events;
    take_answers(h, h->o.reloaded);
}

static void on_archive(void *ctx, int fd, uint32_t events)
{
    struct http *h = ctx;
    (void)fd;
    (void)events;
    take_answers(h, archive_answers(h->o.archive));
}

static void on_replies(void *ctx, int fd, uint32_t events)
{
    struct http *h = ctx;
    struct ring *ring = shard_replies(h->o.shard);
    struct reply_item *item;
    bool resumed = false;
    (void)fd;
    (void)events;
    ring_drain_wakeup(ring);
    while ((item = ring_pop(ring))) {
        if (item->live)
            hub_deliver(h->hub, item->live);
        if (item->request)
            resumed |= answer_in(h, item->request);
        free(item);
    }
    if (resumed)
        listener_kick(h->listener);
}

static void on_look(void *ctx, int64_t due_ns, int64_t now_ns)
{
    struct http *h = ctx;
    int64_t now = mono_ms(h);
    bool resumed = false;
    (void)due_ns;
    for (struct visit *v = h->waiting, *next; v; v = next) {
        next = v->next;
        if (v->deadline_ms > now)
            continue;
        visit_answered(h, v, NULL);
        resumed = true;
    }
    if (resumed)
        listener_kick(h->listener);
    loop_timer_set(h->look, now_ns + LOOK_MS * NS_PER_MS);
}

static enum MHD_Result metrics(struct http *h, struct visit *v)
{
    struct listener_stats s;
    struct buf *b = &v->answer->body;
    if (h->o.metrics)
        h->o.metrics(h->o.metrics_ctx, b);
    listener_stats(h->listener, &s);
    buf_addf(b,
        "# HELP tocsin_collector_http_connections Connections to the page and API.\n"
        "# TYPE tocsin_collector_http_connections gauge\n"
        "tocsin_collector_http_connections %zu\n"
        "# HELP tocsin_collector_live_clients Open WebSockets of live pages.\n"
        "# TYPE tocsin_collector_live_clients gauge\n"
        "tocsin_collector_live_clients %zu\n",
        s.connections, hub_clients(h->hub));
    return answer_body(v->c, 200, "text/plain; version=0.0.4; charset=utf-8", b);
}

static enum MHD_Result answered(struct http *h, struct visit *v)
{
    if (!v->answer)
        return answer_api_error(v->c, 503, "timeout", "no answer within 10 s");
    if (v->metrics)
        return metrics(h, v);
    if (v->answer->kind == REQUEST_RELOAD)
        return answer_body(
            v->c, v->answer->http_status, "text/plain; charset=utf-8", &v->answer->body);
    return answer_body(v->c, v->answer->http_status, JSON_TYPE, &v->answer->body);
}

// --- the API -----------------------------------------------------------------------------------

static const struct api_route {
    const char *path;
    enum request_kind kind;
    const char *what; // REQUEST_SERIES: how expr begins
} api_routes[] = {
    {"/api/v1/query", REQUEST_QUERY, NULL},
    {"/api/v1/query_range", REQUEST_QUERY_RANGE, NULL},
    {"/api/v1/series", REQUEST_SERIES, "series"},
    {"/api/v1/labels", REQUEST_SERIES, "labels"},
    {"/api/v1/alerts", REQUEST_ALERTS, NULL},
    {"/api/v1/rules", REQUEST_RULES, NULL},
    {"/api/v1/status/tocsin", REQUEST_STATUS, NULL},
    {"/metrics", REQUEST_METRICS, NULL},
};

struct filling {
    struct request *r;
    struct err err;
    int rc;
};

static enum MHD_Result fill_one(
    void *ctx, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct filling *f = ctx;
    (void)kind;
    f->rc = params_add(f->r, name, value ? value : "", &f->err);
    return f->rc == 0 ? MHD_YES : MHD_NO;
}

static enum MHD_Result api(struct http *h, struct visit *v, enum request_kind kind,
    const char *what, const char *label)
{
    struct filling f = {.r = calloc(1, sizeof(*f.r))};
    if (!f.r)
        return MHD_NO;
    f.r->kind = kind;
    buf_init(&f.r->body, REQUEST_REPLY_MAX);
    if (what &&
        asprintf(&f.r->expr, "%s%s%s", what, label ? " " : "", label ? label : "") < 0) {
        f.r->expr = NULL;
        f.rc = -ENOMEM;
    }
    if (f.rc == 0)
        MHD_get_connection_values(v->c, MHD_GET_ARGUMENT_KIND, fill_one, &f);
    if (f.rc == 0 && v->body.len)
        f.rc = params_form(f.r, (const char *)v->body.data, v->body.len, &f.err);
    if (f.rc == 0)
        f.rc = params_check(f.r, &f.err);
    if (f.rc < 0) {
        request_free(f.r);
        if (f.rc == -ENOMEM)
            return answer_api_error(v->c, 503, "unavailable", "out of memory");
        return answer_api_error(v->c, 400, "bad_data", f.err.msg);
    }
    v->metrics = kind == REQUEST_METRICS;
    return ask(h, v, f.r);
}

static enum MHD_Result query_one(
    void *ctx, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct buf *b = ctx;
    (void)kind;
    value = value ? value : "";
    buf_add(b, name, strlen(name) + 1);
    buf_add(b, value, strlen(value) + 1);
    return b->failed ? MHD_NO : MHD_YES;
}

// What is not the shard's: passed on as it came.
static enum MHD_Result elsewhere(struct http *h, struct visit *v, enum request_kind kind,
    const char *url, const char *method)
{
    static const char *const METHODS[] = {"GET", "POST", "DELETE"};
    struct request *r = calloc(1, sizeof(*r));
    if (!r)
        return MHD_NO;
    r->kind = kind;
    r->method = "HEAD";
    for (size_t i = 0; i < 3; i++)
        if (strcmp(method, METHODS[i]) == 0)
            r->method = METHODS[i];
    buf_init(&r->body, REQUEST_REPLY_MAX);
    buf_init(&r->query, HTTP_BODY_MAX);
    r->expr = strdup(url);
    MHD_get_connection_values(v->c, MHD_GET_ARGUMENT_KIND, query_one, &r->query);
    r->posted = v->body;
    v->body = (struct buf){0};
    if (!r->expr || r->query.failed) {
        request_free(r);
        return answer_api_error(v->c, 503, "unavailable", "out of memory");
    }
    return ask(h, v, r);
}

static enum MHD_Result reload(struct http *h, struct visit *v)
{
    struct request *r = calloc(1, sizeof(*r));
    if (!r)
        return MHD_NO;
    r->kind = REQUEST_RELOAD;
    buf_init(&r->body, REQUEST_REPLY_MAX);
    return ask(h, v, r);
}

static enum MHD_Result build_info(struct http *h, struct MHD_Connection *c)
{
    char text[256];
    snprintf(text, sizeof(text),
        "{\"status\":\"success\",\"data\":{\"application\":\"tocsin\",\"version\":\"%s\"}}",
        h->o.version);
    return answer_with(c, 200, JSON_TYPE, answer_copied(text));
}

static enum MHD_Result route(struct http *h, struct listener_conn *conn, struct visit *v,
    const char *url, const char *method)
{
    static const char values_prefix[] = "/api/v1/label/", values_suffix[] = "/values";
    for (size_t i = 0; i < sizeof(api_routes) / sizeof(*api_routes); i++)
        if (strcmp(url, api_routes[i].path) == 0)
            return api(h, v, api_routes[i].kind, api_routes[i].what, NULL);
    if (h->o.notify && strncmp(url, "/api/v2/", 8) == 0)
        return elsewhere(h, v, REQUEST_ALERTMANAGER, url, method);
    if (h->o.archive && strcmp(url, API_HOOKS_PREFIX "/log") == 0)
        return elsewhere(h, v, REQUEST_ARCHIVE, url, method);
    if (h->o.notify && strcmp(url, "/api/v1/alerts/explain") == 0)
        return elsewhere(h, v, REQUEST_EXPLAIN, url, method);
    if (h->o.archive && strcmp(url, "/api/v1/alerts/log") == 0)
        return elsewhere(h, v, REQUEST_EVENTS, url, method);
    size_t hooks = sizeof(API_HOOKS_PREFIX) - 1;
    if (h->o.notify && strncmp(url, API_HOOKS_PREFIX, hooks) == 0 &&
        (!url[hooks] || url[hooks] == '/'))
        return elsewhere(h, v, REQUEST_HOOKS, url, method);
    const struct asset *asset = asset_find(url);
    if (asset)
        return answer_asset(v->c, asset);
    if (strcmp(url, "/v1/live") == 0)
        return hub_upgrade(h->hub, conn, v->c);
    if (strcmp(url, "/api/v1/status/buildinfo") == 0)
        return build_info(h, v->c);
    size_t len = strlen(url), pre = sizeof(values_prefix) - 1, suf = sizeof(values_suffix) - 1;
    if (len > pre + suf && strncmp(url, values_prefix, pre) == 0 &&
        strcmp(url + len - suf, values_suffix) == 0) {
        char name[256];
        snprintf(name, sizeof(name), "%.*s", (int)(len - pre - suf), url + pre);
        return api(h, v, REQUEST_SERIES, "values", name);
    }
    return strncmp(url, "/api/", 5) == 0
               ? answer_api_error(v->c, 404, "not_found", "there is no such endpoint")
               : answer_text(v->c, 404, "there is no such page; the page is at /\n");
}

// --- one request -------------------------------------------------------------------------------

static const char *header(struct MHD_Connection *c, const char *name)
{
    return MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);
}

static enum MHD_Result refuse_visitor(
    struct MHD_Connection *c, const char *url, enum auth_verdict verdict)
{
    char text[256];
    const char *accept = header(c, MHD_HTTP_HEADER_ACCEPT);
    // A person is led to where the token is typed; a program gets its 401.
    if ((verdict == AUTH_NO_TOKEN || verdict == AUTH_BAD_TOKEN) && strcmp(url, "/") == 0 &&
        accept && strstr(accept, "text/html"))
        return answer_redirect(c, "/login", NULL);
    snprintf(text, sizeof(text), "%s\n", auth_reason(verdict));
    return answer_text(c, auth_status(verdict), text);
}

static enum MHD_Result dispatch(struct http *h, struct listener_conn *conn, struct visit *v,
    const char *url, const char *method)
{
    struct auth_request a = {header(v->c, MHD_HTTP_HEADER_HOST),
        header(v->c, MHD_HTTP_HEADER_ORIGIN), header(v->c, MHD_HTTP_HEADER_AUTHORIZATION),
        header(v->c, MHD_HTTP_HEADER_COOKIE)};
    enum auth_verdict verdict = auth_check(&h->o.auth, &a);
    bool token_missing = verdict == AUTH_NO_TOKEN || verdict == AUTH_BAD_TOKEN;
    bool get = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    bool post = strcmp(method, "POST") == 0;
    if (v->too_large)
        return answer_text(v->c, 413, "the request is larger than 128 KiB\n");
    // What a load balancer asks needs no secret.
    if (strcmp(url, "/-/healthy") == 0)
        return answer_text(v->c, 200, "Tocsin is healthy.\n");
    if (strcmp(url, "/-/ready") == 0)
        return atomic_load(&h->ready) ? answer_text(v->c, 200, "Tocsin is ready.\n")
                                      : answer_text(v->c, 503, "not ready\n");
    if (verdict != AUTH_OK && !(token_missing && strcmp(url, "/login") == 0))
        return refuse_visitor(v->c, url, verdict);
    if (strcmp(url, "/login") == 0 && (get || post))
        return login(h, v);
    if (h->o.reloads && strcmp(url, "/-/reload") == 0)
        return post || strcmp(method, "PUT") == 0
                   ? reload(h, v)
                   : answer_text(v->c, 405, "POST or PUT reloads\n");
    bool v2 = strncmp(url, "/api/v2/", 8) == 0 && (post || strcmp(method, "DELETE") == 0);
    if (!get && !v2 && !(post && strncmp(url, "/api/v1/", 8) == 0))
        return answer_text(v->c, 405, "GET, or POST of a form to /api/v1/\n");
    return route(h, conn, v, url, method);
}

static enum MHD_Result on_request(void *ctx, struct listener_conn *conn,
    struct MHD_Connection *c, const char *url, const char *method, const char *upload,
    size_t *upload_len, void **req)
{
    struct http *h = ctx;
    struct visit *v = *req;
    if (!v) {
        v = calloc(1, sizeof(*v));
        if (!v)
            return MHD_NO;
        v->c = c;
        buf_init(&v->body, HTTP_BODY_MAX);
        *req = v;
        return MHD_YES;
    }
    if (*upload_len) {
        v->too_large |= buf_add(&v->body, upload, *upload_len) < 0;
        *upload_len = 0;
        return MHD_YES;
    }
    switch (v->state) {
    case VISIT_READING: return dispatch(h, conn, v, url, method);
    case VISIT_WAITING: return MHD_YES;
    case VISIT_ANSWERED: return answered(h, v);
    }
    return MHD_NO;
}

static void on_completed(
    void *ctx, struct listener_conn *conn, void **req, enum MHD_RequestTerminationCode why)
{
    struct http *h = ctx;
    struct visit *v = *req;
    (void)conn;
    (void)why;
    if (!v)
        return;
    if (v->state == VISIT_WAITING)
        unlink_visit(h, v);
    request_free(v->answer);
    buf_done(&v->body);
    free(v);
    *req = NULL;
}

// --- the thread --------------------------------------------------------------------------------

static void *run(void *ctx)
{
    struct http *h = ctx;
    int rc = loop_run(h->loop);
    if (rc < 0)
        log_error("ui_ended", "error=%s", log_q(strerror(-rc)));
    return NULL;
}

static void http_free(struct http *h)
{
    // MHD must not end with a suspended connection in its hands.
    while (h->waiting)
        visit_answered(h, h->waiting, NULL);
    hub_free(h->hub);
    loop_timer_free(h->look);
    loop_io_del(h->replies);
    loop_io_del(h->answers);
    loop_io_del(h->reloaded);
    listener_free(h->listener);
    loop_free(h->loop);
    free(h);
}

static int prepare(struct http *h, struct err *err)
{
    struct listener_options lo = {.address = h->o.address,
        .connections_max = h->o.connections_max,
        .per_ip_max = h->o.per_ip_max,
        .upgrade = true,
        .suspend = true};
    struct listener_handler lh = {.ctx = h, .request = on_request, .completed = on_completed};
    h->loop = loop_new();
    if (!h->loop) {
        err_set(err, "cannot start the ui loop: %s", strerror(errno));
        return -errno;
    }
    int rc = listener_open(h->loop, &lo, &lh, &h->listener, err);
    if (rc < 0)
        return rc;
    h->o.auth.loopback = listener_loopback(h->listener);
    struct hub_options ho = {.loop = h->loop,
        .shard = h->o.shard,
        .clock = h->o.clock,
        .version = h->o.version,
        .instance = h->o.instance,
        .interval_ms = h->o.interval_ms};
    h->hub = hub_new(&ho);
    h->look = loop_timer_new(h->loop, on_look, h);
    h->replies =
        loop_io_add(h->loop, ring_fd(shard_replies(h->o.shard)), EPOLLIN, on_replies, h);
    if (h->o.notify)
        h->answers =
            loop_io_add(h->loop, ring_fd(notify_answers(h->o.notify)), EPOLLIN, on_answers, h);
    if (h->o.archive)
        h->archive = loop_io_add(
            h->loop, ring_fd(archive_answers(h->o.archive)), EPOLLIN, on_archive, h);
    if (h->o.reloaded)
        h->reloaded = loop_io_add(h->loop, ring_fd(h->o.reloaded), EPOLLIN, on_reloaded, h);
    if (!h->hub || !h->look || !h->replies || (h->o.notify && !h->answers) ||
        (h->o.archive && !h->archive) || (h->o.reloaded && !h->reloaded)) {
        err_set(err, "out of memory");
        return -ENOMEM;
    }
    loop_timer_set(h->look, loop_now_ns(h->loop) + LOOK_MS * NS_PER_MS);
    return 0;
}

struct http *http_start(const struct http_options *o, struct err *err)
{
    struct http *h = calloc(1, sizeof(*h));
    if (!h) {
        err_set(err, "out of memory");
        return NULL;
    }
    h->o = *o;
    atomic_init(&h->ready, false);
    if (prepare(h, err) < 0)
        goto fail;
    if (thread_start(&h->thread, "ui", run, h, err) < 0)
        goto fail;
    h->running = true;
    return h;
fail:
    http_free(h);
    return NULL;
}

const char *http_address(const struct http *h)
{
    return listener_address(h->listener);
}

void http_ready(struct http *h, bool ready)
{
    if (h)
        atomic_store(&h->ready, ready);
}

void http_stop(struct http *h)
{
    if (!h)
        return;
    loop_stop(h->loop);
    if (h->running)
        pthread_join(h->thread, NULL);
    http_free(h);
}

// SPDX-License-Identifier: Apache-2.0
#include "collector/notify.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/num.h"
#include "base/secret.h"
#include "base/thread.h"
#include "collector/deliver.h"
#include <curl/curl.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>

#define TRY_TIMEOUT_MS 10000
#define DRAIN_MAX      4096 // notices taken in one turn
#define REPLY_KEPT     256  // bytes of an answer shown in the log

// Decided together and not told to anybody yet: the journal has it on its way to the disk.
struct held {
    struct held *next;
    struct notice **n;
    size_t count;
    uint64_t tag;
    int64_t due_ms; // then it goes out whatever the disk does
    bool written;
};

// One webhook of one receiver.
struct target {
    struct notify *n;
    size_t index;
    char name[BOARD_NAME_MAX];
    char id[BOARD_NAME_MAX + 24]; // in the journal
    struct deliver *deliver;
    CURL *curl;
    struct curl_slist *headers;
    bool flying;
    struct deliver_message message;
    char url[2048];
    char error[CURL_ERROR_SIZE];
    char reply[REPLY_KEPT];
    size_t reply_len;
    int64_t retry_after_ms;
    struct board_receiver shown;
};

struct notify {
    struct notify_options o;
    struct ring *notices;
    struct loop *loop;
    struct loop_io *ring_io;
    struct held *held, **held_end;
    uint64_t tag;
    bool
        overtaken; // something went out before it was on disk, and the disk still owes an answer
    struct loop_timer *curl_timer, *due_timer;
    CURLM *multi;
    struct target *targets;
    size_t n_targets;
    pthread_t thread;
    atomic_int_fast64_t grace_ms; // set before loop_stop
};

static int64_t now_ms(const struct notify *n)
{
    return clock_mono_ns(&n->o.clock) / NS_PER_MS;
}

static void pump(struct notify *n);

static void show(struct target *t)
{
    struct deliver_stats s;
    if (!t->n->o.board)
        return;
    deliver_stats(t->deliver, &s);
    t->shown.queued = s.queued;
    t->shown.sent = s.sent;
    t->shown.failed = s.failed;
    t->shown.dropped = s.dropped;
    t->shown.alerts_dropped = s.alerts_dropped;
    board_receiver_set(t->n->o.board, t->index, &t->shown);
}

static void show_members(struct target *t, enum board_outcome outcome, int status)
{
    int64_t wall_ms = clock_wall_ms(&t->n->o.clock);
    for (size_t i = 0; t->n->o.board && i < t->message.n_changed; i++) {
        struct board_delivery d = {
            .fingerprint = t->message.changed[i].fingerprint,
            .receiver = t->index,
            .outcome = outcome,
            .resolved = t->message.changed[i].resolved,
            .status = status,
            .at_ms = wall_ms,
            .tries = t->message.tries + 1,
        };
        board_delivery_set(t->n->o.board, &d);
    }
}

static size_t on_reply(char *data, size_t size, size_t n, void *ctx)
{
    struct target *t = ctx;
    size_t room = sizeof(t->reply) - 1 - t->reply_len, take = size * n < room ? size * n : room;
    memcpy(t->reply + t->reply_len, data, take);
    t->reply_len += take;
    t->reply[t->reply_len] = '\0';
    return size * n;
}

// Retry-After in seconds, or as a date.
static size_t on_header(char *data, size_t size, size_t n, void *ctx)
{
    static const char NAME[] = "retry-after:";
    struct target *t = ctx;
    size_t len = size * n, at = sizeof(NAME) - 1;
    if (len <= at || strncasecmp(data, NAME, at) != 0)
        return len;
    while (at < len && (data[at] == ' ' || data[at] == '\t'))
        at++;
    size_t end = len;
    while (end > at && (data[end - 1] == '\r' || data[end - 1] == '\n' || data[end - 1] == ' '))
        end--;
    char text[64];
    uint64_t seconds;
    if (end - at >= sizeof(text))
        return len;
    memcpy(text, data + at, end - at);
    text[end - at] = '\0';
    if (num_parse_u64(text, end - at, &seconds)) {
        t->retry_after_ms = seconds < 86400 ? (int64_t)seconds * 1000 : 86400 * 1000;
        return len;
    }
    time_t when = curl_getdate(text, NULL);
    if (when != -1) {
        int64_t wait = (int64_t)when * 1000 - clock_wall_ms(&t->n->o.clock);
        t->retry_after_ms = wait > 0 ? wait : 0;
    }
    return len;
}

static bool header_add(struct target *t, const char *line)
{
    struct curl_slist *more = curl_slist_append(t->headers, line);
    if (more)
        t->headers = more;
    return more != NULL;
}

// Writes down what the receiver has learned, so that a restart does not tell it again.
static void write_told(struct target *t)
{
    size_t count;
    struct notify *n = t->n;
    const struct deliver_told *told = deliver_told(t->deliver, &count);
    struct journal_write *w = n->o.journal && count ? journal_write_new() : NULL;
    if (!w)
        return;
    int64_t at_ms = clock_wall_ms(&n->o.clock);
    for (size_t i = 0; i < count; i++)
        if (journal_write_told(w, t->id, told[i].alert_id, told[i].told, at_ms) < 0)
            break; // it is told again after a restart, with the same key
    (void)journal_commit(n->o.journal, w, 0);
}

// Puts the next message of this webhook on the wire, if one is due.
static bool launch(struct target *t, int64_t now)
{
    char line[128];
    bool taken = !t->flying && deliver_take(t->deliver, now, &t->message);
    write_told(t);
    if (!taken)
        return false;
    curl_slist_free_all(t->headers);
    t->headers = NULL;
    t->reply_len = 0;
    t->reply[0] = '\0';
    t->error[0] = '\0';
    t->retry_after_ms = -1;
    // An empty Expect saves the round trip curl would wait for with a larger body.
    bool ok = header_add(t, "Content-Type: application/json") && header_add(t, "Expect:");
    snprintf(line, sizeof(line), "Idempotency-Key: %s", t->message.key);
    ok = ok && header_add(t, line);
    if (t->n->overtaken)
        ok = ok && header_add(t, "Tocsin-Durable: false");
    if (t->message.cause_ms) {
        snprintf(line, sizeof(line), "Tocsin-Cause-Ms: %lld", (long long)t->message.cause_ms);
        ok = ok && header_add(t, line);
        snprintf(
            line, sizeof(line), "Tocsin-Decided-Ms: %lld", (long long)t->message.decided_ms);
        ok = ok && header_add(t, line);
    }
    curl_easy_setopt(t->curl, CURLOPT_HTTPHEADER, t->headers);
    curl_easy_setopt(t->curl, CURLOPT_POSTFIELDS, (const char *)t->message.body->data);
    curl_easy_setopt(t->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)t->message.body->len);
    t->flying = ok && curl_multi_add_handle(t->n->multi, t->curl) == CURLM_OK;
    if (!t->flying)
        deliver_done(t->deliver, now, 0, -1);
    return t->flying;
}

static void landed(struct target *t, CURLcode code)
{
    long status = 0;
    struct notify *n = t->n;
    if (code == CURLE_OK)
        curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_multi_remove_handle(n->multi, t->curl);
    t->flying = false;

    enum deliver_verdict v =
        deliver_done(t->deliver, now_ms(n), (int)status, t->retry_after_ms);
    write_told(t);
    // deliver_done keeps message.changed until the next take, so it may still be read here.
    t->shown.last_status = (int)status;
    if (v == DELIVER_SENT) {
        t->shown.last_sent_ms = clock_wall_ms(&n->o.clock);
        t->shown.failing_since_ms = 0;
        t->shown.last_error[0] = '\0';
        show_members(t, BOARD_SENT, (int)status);
        log_info("alert_delivered", "receiver=%s alerts=%zu tries=%u delay_ms=%lld",
            log_q(t->name), t->message.n_changed, t->message.tries + 1,
            (long long)(t->message.decided_ms ? t->shown.last_sent_ms - t->message.decided_ms
                                              : 0));
        show(t);
        return;
    }
    if (!t->shown.failing_since_ms)
        t->shown.failing_since_ms = clock_wall_ms(&n->o.clock);
    if (status)
        snprintf(t->shown.last_error, sizeof(t->shown.last_error), "HTTP %ld%s%s", status,
            t->reply_len ? ": " : "", t->reply);
    else
        snprintf(t->shown.last_error, sizeof(t->shown.last_error), "%s",
            t->error[0] ? t->error : curl_easy_strerror(code));
    switch (v) {
    case DELIVER_SENT: break;
    case DELIVER_RETRY:
        show_members(t, BOARD_RETRYING, (int)status);
        log_warn("alert_delivery_failed", "receiver=%s tries=%u error=%s", log_q(t->name),
            t->message.tries + 1, log_q(t->shown.last_error));
        break;
    case DELIVER_DROPPED:
        show_members(t, BOARD_DROPPED, (int)status);
        log_error("alert_delivery_dropped", "receiver=%s tries=%u error=%s", log_q(t->name),
            t->message.tries + 1, log_q(t->shown.last_error));
        break;
    case DELIVER_GONE:
        show_members(t, BOARD_DROPPED, (int)status);
        log_error("receiver_gone", "receiver=%s hint=%s", log_q(t->name),
            log_q("it answered 410 Gone; nothing more is sent to it until a restart"));
        break;
    }
    show(t);
}

static void reap(struct notify *n)
{
    int left;
    CURLMsg *m;
    while ((m = curl_multi_info_read(n->multi, &left))) {
        struct target *t = NULL;
        CURLcode code = m->data.result;
        if (m->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&t);
        landed(t, code); // m is gone from here on
    }
}

// Hands on what is written, or has waited long enough, in the order of decision.
static void release(struct notify *n, int64_t now)
{
    while (n->held && (n->held->written || n->held->due_ms <= now)) {
        struct held *h = n->held;
        n->held = h->next;
        if (!n->held)
            n->held_end = &n->held;
        if (!h->written && !n->overtaken) {
            n->overtaken = true;
            log_error("page_before_journal", "waited_ms=%d hint=%s", NOTIFY_DURABLE_MS,
                log_q("the disk is slow or refuses; a crash now would forget these alerts"));
        }
        for (size_t i = 0; i < n->n_targets; i++) {
            struct target *t = &n->targets[i];
            if (deliver_add(t->deliver, (const struct notice *const *)h->n, h->count, now) < 0)
                log_error("alert_queue_out_of_memory", "receiver=%s", log_q(t->name));
            write_told(t);
            show(t);
        }
        for (size_t i = 0; i < h->count; i++)
            free(h->n[i]);
        free(h->n);
        free(h);
    }
}

// Sends all that is due and sets the timer for what is not yet.
static void pump(struct notify *n)
{
    int64_t due = INT64_MAX, now = now_ms(n);
    reap(n);
    release(n, now);
    if (n->held)
        due = n->held->due_ms;
    for (size_t i = 0; i < n->n_targets; i++) {
        launch(&n->targets[i], now);
        int64_t d = deliver_next(n->targets[i].deliver);
        if (d < due)
            due = d;
    }
    if (due == INT64_MAX)
        loop_timer_stop(n->due_timer);
    else
        loop_timer_set(n->due_timer, due * NS_PER_MS);
}

static void on_due(void *ctx, int64_t due_ns, int64_t at_ns)
{
    (void)due_ns;
    (void)at_ns;
    pump(ctx);
}

// --- libcurl's sockets and timer in our loop ---
static void on_socket(void *ctx, int fd, uint32_t events)
{
    struct notify *n = ctx;
    int running, what = 0;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLRDHUP))
        what |= CURL_CSELECT_IN;
    if (events & EPOLLOUT)
        what |= CURL_CSELECT_OUT;
    if (events & EPOLLERR)
        what |= CURL_CSELECT_ERR;
    curl_multi_socket_action(n->multi, fd, what, &running);
    pump(n);
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_ctx)
{
    struct notify *n = ctx;
    struct loop_io *io = socket_ctx;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        loop_io_del(io);
        curl_multi_assign(n->multi, fd, NULL);
        return 0;
    }
    uint32_t events =
        (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
    if (io)
        return loop_io_mod(io, events) < 0 ? -1 : 0;
    io = loop_io_add(n->loop, fd, events, on_socket, n);
    return io && curl_multi_assign(n->multi, fd, io) == CURLM_OK ? 0 : -1;
}

static int set_timer(CURLM *multi, long timeout_ms, void *ctx)
{
    struct notify *n = ctx;
    (void)multi;
    if (timeout_ms < 0)
        loop_timer_stop(n->curl_timer);
    else
        loop_timer_set(
            n->curl_timer, clock_mono_ns(&n->o.clock) + (int64_t)timeout_ms * NS_PER_MS);
    return 0;
}

static void on_curl_timer(void *ctx, int64_t due_ns, int64_t at_ns)
{
    struct notify *n = ctx;
    int running;
    (void)due_ns;
    (void)at_ns;
    curl_multi_socket_action(n->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    pump(n);
}

// Sends the batch to the journal. False: nothing will come back, so nobody is to wait for it.
static bool write_down(
    struct notify *n, struct notice *const *batch, size_t count, uint64_t tag)
{
    struct journal_write *w = n->o.journal ? journal_write_new() : NULL;
    if (!w)
        return false;
    for (size_t i = 0; i < count; i++)
        if (journal_write_alert(w, batch[i]) < 0) {
            log_error("journal_out_of_memory", "alerts=%zu", count - i);
            break;
        }
    return journal_commit(n->o.journal, w, tag);
}

// Takes what there is; what was decided together stays together. False: nothing.
static bool drain(struct notify *n)
{
    static _Thread_local struct notice *batch[DRAIN_MAX];
    size_t count = 0;
    struct notice *one;
    while (count < DRAIN_MAX && (one = ring_pop(n->notices)))
        batch[count++] = one;
    if (!count)
        return false;
    struct held *h = calloc(1, sizeof(*h));
    struct notice **own = malloc(count * sizeof(*own));
    if (!h || !own) {
        log_error("notice_lost", "reason=%s lost=%zu", log_q("out of memory"), count);
        for (size_t i = 0; i < count; i++)
            free(batch[i]);
        free(h);
        free(own);
        return true;
    }
    memcpy(own, batch, count * sizeof(*own));
    *h = (struct held){
        .n = own, .count = count, .tag = ++n->tag, .due_ms = now_ms(n) + NOTIFY_DURABLE_MS};
    h->written = !write_down(n, own, count, h->tag);
    *n->held_end = h;
    n->held_end = &h->next;
    return true;
}

static void on_written(void *ctx, int fd, uint32_t events)
{
    struct notify *n = ctx;
    void *item;
    (void)fd;
    (void)events;
    ring_drain_wakeup(journal_done(n->o.journal));
    while ((item = ring_pop(journal_done(n->o.journal)))) {
        uint64_t tag = (uint64_t)(uintptr_t)item;
        for (struct held *h = n->held; h && h->tag <= tag; h = h->next)
            h->written = true;
        if (tag == n->tag)
            n->overtaken = !journal_ok(n->o.journal);
    }
    pump(n);
}

static void on_notices(void *ctx, int fd, uint32_t events)
{
    struct notify *n = ctx;
    bool any = false;
    (void)fd;
    (void)events;
    ring_drain_wakeup(n->notices);
    while (drain(n))
        any = true;
    if (any)
        pump(n);
}

static bool busy(const struct notify *n)
{
    struct deliver_stats s;
    for (size_t i = 0; i < n->n_targets; i++) {
        deliver_stats(n->targets[i].deliver, &s);
        if (s.queued)
            return true;
    }
    return n->held || ring_len(n->notices) > 0;
}

static void *run(void *ctx)
{
    struct notify *n = ctx;
    pump(n); // what an earlier run left
    int rc = loop_run(n->loop);
    if (rc < 0)
        log_error("notify_loop_failed", "error=%s", log_q(strerror(-rc)));
    int64_t until = now_ms(n) + atomic_load(&n->grace_ms);
    on_notices(n, -1, 0);
    while (busy(n) && now_ms(n) < until && loop_once(n->loop, 20) == 0)
        ;
    return NULL;
}

static int target_open(struct notify *n, const struct config_receiver *r,
    const struct config_webhook *w, struct target *t, struct err *err)
{
    const struct config_route *route = &n->o.config->route;
    char *secret = NULL;
    int rc = 0;

    t->n = n;
    t->index = (size_t)(t - n->targets);
    snprintf(t->name, sizeof(t->name), "%s", r->name);
    snprintf(t->id, sizeof(t->id), "%s/%zu", t->name, t->index);
    snprintf(t->shown.name, sizeof(t->shown.name), "%s", r->name);
    if (w->url_file) {
        rc = secret_read(w->url_file, &secret, err);
        if (rc < 0)
            return rc;
    }
    const char *url = secret ? secret : w->url;
    if (strlen(url) >= sizeof(t->url)) {
        err_set(err, "receiver %s: the URL is too long", r->name);
        rc = -EINVAL;
        goto out;
    }
    snprintf(t->url, sizeof(t->url), "%s", url);
    uint64_t seed = 0;
    random_bytes(&seed, sizeof(seed));
    struct deliver_options o = {
        .receiver = r->name,
        .external_url = n->o.external_url,
        .group_by = route->group_by,
        .n_group_by = route->n_group_by,
        .group_by_all = route->group_by_all,
        .group_wait_ms = route->group_wait_ms,
        .repeat_ms = route->repeat_interval_ms,
        .send_resolved = w->send_resolved,
        .max_alerts = w->max_alerts,
        .seed = seed,
    };
    t->deliver = deliver_new(&o);
    t->curl = curl_easy_init();
    if (!t->deliver || !t->curl) {
        rc = -ENOMEM;
        err_set(err, "receiver %s: out of memory", r->name);
        goto out;
    }
    curl_easy_setopt(t->curl, CURLOPT_PRIVATE, t);
    CURLcode code = curl_easy_setopt(t->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    if (code == CURLE_OK)
        code = curl_easy_setopt(t->curl, CURLOPT_URL, t->url);
    if (code != CURLE_OK) {
        rc = -EINVAL;
        err_set(err, "receiver %s: %s", r->name, curl_easy_strerror(code));
        goto out;
    }
    curl_easy_setopt(t->curl, CURLOPT_POST, 1L);
    curl_easy_setopt(t->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(t->curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(t->curl, CURLOPT_TIMEOUT_MS, (long)TRY_TIMEOUT_MS);
    curl_easy_setopt(t->curl, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(t->curl, CURLOPT_USERAGENT, "tocsin-collector");
    curl_easy_setopt(t->curl, CURLOPT_ERRORBUFFER, t->error);
    curl_easy_setopt(t->curl, CURLOPT_WRITEFUNCTION, on_reply);
    curl_easy_setopt(t->curl, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(t->curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(t->curl, CURLOPT_HEADERDATA, t);
    show(t);
out:
    secret_free(secret);
    return rc;
}

static void target_close(struct target *t)
{
    if (t->flying)
        curl_multi_remove_handle(t->n->multi, t->curl);
    curl_easy_cleanup(t->curl);
    curl_slist_free_all(t->headers);
    deliver_free(t->deliver);
}

static void notify_free(struct notify *n)
{
    while (n->held) {
        struct held *h = n->held;
        n->held = h->next;
        for (size_t i = 0; i < h->count; i++)
            free(h->n[i]);
        free(h->n);
        free(h);
    }
    for (size_t i = 0; i < n->n_targets; i++)
        target_close(&n->targets[i]);
    free(n->targets);
    if (n->multi)
        curl_multi_cleanup(n->multi);
    loop_free(n->loop);
    curl_global_cleanup();
    free(n);
}

static int open_targets(struct notify *n, struct err *err)
{
    const struct config *c = n->o.config;
    const struct config_receiver *r =
        c->has_route ? config_receiver(c, c->route.receiver) : NULL;
    if (!c->has_route)
        return 0;
    if (!r) {
        err_set(err, "the route names receiver \"%s\", which is not there", c->route.receiver);
        return -EINVAL;
    }
    n->targets = calloc(r->n_webhooks + 1, sizeof(*n->targets));
    if (!n->targets) {
        err_set(err, "out of memory");
        return -ENOMEM;
    }
    for (size_t i = 0; i < r->n_webhooks; i++) {
        n->n_targets++;
        int rc = target_open(n, r, &r->webhooks[i], &n->targets[i], err);
        if (rc < 0)
            return rc;
        if (r->n_webhooks > 1) { // told apart on the status page
            snprintf(n->targets[i].shown.name, BOARD_NAME_MAX, "%s/%zu", r->name, i);
            show(&n->targets[i]);
        }
    }
    return 0;
}

// Each episode of the journal to each webhook, as this one knows it.
static void restore(void *ctx, const struct journal_row *r)
{
    struct notify *n = ctx;
    int64_t now = now_ms(n), ago_ms = clock_wall_ms(&n->o.clock) - now;
    for (size_t i = 0; i < n->n_targets; i++) {
        struct target *t = &n->targets[i];
        enum told told = TOLD_NOTHING;
        int64_t at_ms = 0;
        for (size_t k = 0; k < r->n; k++)
            if (strcmp(r->receiver[k], t->id) == 0) {
                told = r->told[k];
                at_ms = r->at_ms[k] - ago_ms;
            }
        if (deliver_restore(t->deliver, r->notice, told, at_ms, now) < 0)
            log_error("alert_queue_out_of_memory", "receiver=%s", log_q(t->name));
        show(t);
    }
}

static int open_journal(struct notify *n, struct err *err)
{
    if (!n->o.journal)
        return 0;
    journal_each(n->o.journal, restore, n);
    if (!loop_io_add(n->loop, ring_fd(journal_done(n->o.journal)), EPOLLIN, on_written, n)) {
        err_set(err, "out of memory");
        return -ENOMEM;
    }
    return journal_start(n->o.journal, n->n_targets, err);
}

struct notify *notify_start(
    const struct notify_options *o, struct ring *notices, struct err *err)
{
    struct notify *n = calloc(1, sizeof(*n));
    if (!n) {
        err_set(err, "out of memory");
        return NULL;
    }
    n->o = *o;
    n->notices = notices;
    n->held_end = &n->held;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    n->loop = loop_new();
    n->multi = curl_multi_init();
    if (!n->loop || !n->multi) {
        err_set(err, "cannot start the notifier: %s", strerror(errno));
        goto fail;
    }
    n->ring_io = loop_io_add(n->loop, ring_fd(notices), EPOLLIN, on_notices, n);
    n->curl_timer = loop_timer_new(n->loop, on_curl_timer, n);
    n->due_timer = loop_timer_new(n->loop, on_due, n);
    if (!n->ring_io || !n->curl_timer || !n->due_timer) {
        err_set(err, "cannot start the notifier: %s", strerror(errno));
        goto fail;
    }
    curl_multi_setopt(n->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    curl_multi_setopt(n->multi, CURLMOPT_SOCKETDATA, n);
    curl_multi_setopt(n->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(n->multi, CURLMOPT_TIMERDATA, n);
    if (open_targets(n, err) < 0 || open_journal(n, err) < 0)
        goto fail;
    if (thread_start(&n->thread, "notify", run, n, err) < 0)
        goto fail;
    return n;
fail:
    notify_free(n);
    return NULL;
}

void notify_stop(struct notify *n, int64_t grace_ms)
{
    if (!n)
        return;
    atomic_store(&n->grace_ms, grace_ms);
    loop_stop(n->loop);
    pthread_join(n->thread, NULL);
    notify_free(n);
}

// SPDX-License-Identifier: Apache-2.0
// One page: libcurl's part, and the parser's.
#include "agent/scrape_state.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name, *type;
} PROTOCOLS[] = {
    {"PrometheusProto",
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"},
    {"OpenMetricsText1.0.0", "application/openmetrics-text;version=1.0.0"},
    {"OpenMetricsText0.0.1", "application/openmetrics-text;version=0.0.1"},
    {"PrometheusText0.0.4", "text/plain;version=0.0.4"},
};

// --- samples -----------------------------------------------------------------------------------------

static bool on_sample(
    void *ctx, struct exposition *x, const struct exposition_sample *sample, struct err *err)
{
    struct scrape *s = ctx;
    uint32_t series = intake_find(s->in, sample->key, sample->key_len);
    if (!series) {
        const char *name;
        const struct wire_label *labels;
        size_t n;
        if (!exposition_labels(x, &name, &labels, &n, err))
            return false;
        series = intake_add(s->in, sample->key, sample->key_len, name, labels, n, sample->kind,
            sample->unit, err);
        if (!series)
            return !err->msg[0]; // no room is no fault of the page
    }
    bool stamped = sample->has_stamp && s->target->job->honor_timestamps;
    int64_t stamp_ms = stamped ? sample->stamp_ms : 0;
    if (sample->unsupported || (stamped && stamp_ms == 0))
        intake_refuse(s->in, series);
    else if (sample->histogram)
        intake_set_histogram(s->in, series, sample->histogram, stamp_ms);
    else
        intake_set(s->in, series, sample->value, stamp_ms);
    return true;
}

// --- the page ----------------------------------------------------------------------------------------

// True while this round of the loop has time for pages left.
static bool slice_left(struct scrapes *e)
{
    int64_t round = loop_now_ns(e->env->loop);
    if (round != e->slice_round_ns) {
        e->slice_round_ns = round;
        e->slice_ns = 0;
    }
    return e->slice_ns < SCRAPE_SLICE_NS;
}

static void on_resume(void *ctx, int64_t due_ns, int64_t now_ns)
{
    struct scrape *s = ctx;
    (void)due_ns;
    (void)now_ns;
    if (s->active)
        curl_easy_pause(s->easy, CURLPAUSE_CONT);
}

static bool begin_page(struct scrape *s)
{
    const char *type = NULL;
    long status = 0;
    enum exposition_format format;
    curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200)
        return false; // its body is of no use
    curl_easy_getinfo(s->easy, CURLINFO_CONTENT_TYPE, &type);
    exposition_format_of(type ? type : "", &format);
    exposition_begin(s->page, format);
    s->begun = true;
    return true;
}

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
    struct scrape *s = ctx;
    struct scrapes *e = s->engine;
    size_t len = size * n;
    if (!slice_left(e)) {
        loop_timer_set(s->resume, loop_now_ns(e->env->loop));
        return CURL_WRITEFUNC_PAUSE;
    }
    s->body += len;
    if (s->body > s->target->job->body_limit) {
        err_set(&s->err, "the page has more than %llu bytes (body_size_limit)",
            (unsigned long long)s->target->job->body_limit);
        return 0;
    }
    if (!s->begun && !begin_page(s))
        return len;
    int64_t begun = clock_mono_ns(&e->env->clock), cpu = sampler_cpu_begin();
    int rc = exposition_feed(s->page, data, len, &s->err);
    sampler_cpu_end(e->cost, cpu);
    e->slice_ns += clock_mono_ns(&e->env->clock) - begun;
    return rc < 0 ? 0 : len;
}

static bool judge(struct scrape *s, CURLcode result)
{
    long status = 0;
    uint64_t limit = s->target->job->sample_limit;
    if (s->err.msg[0])
        return false;
    curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &status);
    if (result != CURLE_OK) {
        err_set(&s->err, "%.200s", s->error[0] ? s->error : curl_easy_strerror(result));
        return false;
    }
    if (status != 200) {
        err_set(&s->err, "status %ld", status);
        return false;
    }
    if (!s->begun) // an empty page
        begin_page(s);
    if (exposition_end(s->page, &s->err) < 0)
        return false;
    if (limit && intake_so_far(s->in).kept > limit) {
        err_set(&s->err, "more than %llu samples (sample_limit)", (unsigned long long)limit);
        return false;
    }
    return true;
}

static void on_done(struct transfer *t, CURLcode result)
{
    struct scrape *s = (struct scrape *)((char *)t - offsetof(struct scrape, transfer));
    loop_timer_stop(s->resume);
    int64_t cpu = sampler_cpu_begin();
    scrape_done(s, judge(s, result));
    sampler_cpu_end(s->engine->cost, cpu);
}

// --- libcurl -----------------------------------------------------------------------------------------

static bool add_header(struct scrape *s, const char *text)
{
    struct curl_slist *more = curl_slist_append(s->headers, text);
    if (more)
        s->headers = more;
    return more != NULL;
}

static bool make_headers(struct scrape *s)
{
    const struct scrape_job *j = s->target->job;
    char text[1024];
    int at = snprintf(text, sizeof(text), "Accept: ");
    for (size_t i = 0; i < j->n_protocols; i++)
        for (size_t k = 0; k < sizeof(PROTOCOLS) / sizeof(PROTOCOLS[0]); k++)
            if (strcmp(PROTOCOLS[k].name, j->protocols[i]) == 0)
                at += snprintf(text + at, sizeof(text) - (size_t)at, "%s;q=0.%zu,",
                    PROTOCOLS[k].type, j->n_protocols + 1 - i);
    snprintf(text + at, sizeof(text) - (size_t)at, "*/*;q=0.1");
    if (!add_header(s, text))
        return false;
    snprintf(text, sizeof(text), "X-Prometheus-Scrape-Timeout-Seconds: %g",
        (double)s->target->timeout_ms / 1e3);
    if (!add_header(s, text))
        return false;
    if (!j->auth.credentials)
        return true;
    struct buf line;
    buf_init(&line, 64u << 10);
    buf_addf(&line, "Authorization: %s %s", j->auth.type, j->auth.credentials);
    bool good = !line.failed && add_header(s, buf_cstr(&line));
    buf_done(&line);
    return good;
}

static CURLcode prepare(struct scrape *s)
{
    const struct scrape_target *t = s->target;
    const struct scrape_job *j = t->job;
    bool packed = j->compression == 1 || (j->compression == -1 && !t->local);
    CURLcode rc = CURLE_OK;
#define SET(option, value)                                                                     \
    do {                                                                                       \
        if (rc == CURLE_OK)                                                                    \
            rc = curl_easy_setopt(s->easy, option, value);                                     \
    } while (0)
    SET(CURLOPT_URL, t->url);
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_HTTPHEADER, s->headers);
    SET(CURLOPT_USERAGENT, "tocsin-agent");
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, s);
    SET(CURLOPT_ERRORBUFFER, s->error);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, j->follow_redirects ? 1L : 0L);
    SET(CURLOPT_MAXREDIRS, 10L);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_TIMEOUT_MS, (long)t->timeout_ms);
    // On the loopback packing costs both sides more than it saves.
    if (packed)
        SET(CURLOPT_ACCEPT_ENCODING, "gzip");
    if (j->auth.user) {
        SET(CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        SET(CURLOPT_USERNAME, j->auth.user);
        SET(CURLOPT_PASSWORD, j->auth.password);
    }
    if (j->tls.ca_file)
        SET(CURLOPT_CAINFO, j->tls.ca_file);
    if (j->tls.cert_file) {
        SET(CURLOPT_SSLCERT, j->tls.cert_file);
        SET(CURLOPT_SSLKEY, j->tls.key_file);
    }
    if (j->tls.insecure) {
        SET(CURLOPT_SSL_VERIFYPEER, 0L);
        SET(CURLOPT_SSL_VERIFYHOST, 0L);
    }
#undef SET
    return rc;
}

// What libcurl is to take for the name's address: its own resolver is not asked.
static bool tell_address(struct scrape *s)
{
    const struct scrape_target *t = s->target;
    char address[INET6_ADDRSTRLEN], entry[WIRE_HOST_MAX + sizeof(address) + 16];
    if (endpoint_is_address(t->host))
        return true;
    if (!endpoint_text(&s->endpoint, address, sizeof(address)))
        return false;
    bool v6 = strchr(address, ':');
    snprintf(entry, sizeof(entry), "%s:%u:%s%s%s", t->host, t->port, v6 ? "[" : "", address,
        v6 ? "]" : "");
    curl_slist_free_all(s->address);
    s->address = curl_slist_append(NULL, entry);
    return s->address && curl_easy_setopt(s->easy, CURLOPT_RESOLVE, s->address) == CURLE_OK;
}

static bool setup(struct scrape *s)
{
    s->transfer.done = on_done;
    if (!s->resume)
        s->resume = loop_timer_new(s->engine->env->loop, on_resume, s);
    if (!s->page)
        s->page = exposition_new(on_sample, s);
    s->easy = curl_easy_init();
    if (s->resume && s->page && s->easy && make_headers(s) && prepare(s) == CURLE_OK)
        return true;
    scrape_fetch_free(s);
    return false;
}

int scrape_fetch(struct scrape *s)
{
    s->error[0] = '\0';
    s->body = 0;
    s->begun = false;
    if ((s->easy || setup(s)) && tell_address(s) &&
        transfer_start(s->engine->transfers, s->easy, &s->transfer) == 0)
        return 0;
    err_set(&s->err, "out of memory");
    return -ENOMEM;
}

void scrape_fetch_stop(struct scrape *s)
{
    if (s->resume)
        loop_timer_stop(s->resume);
    transfer_stop(s->engine->transfers, s->easy);
}

void scrape_fetch_free(struct scrape *s)
{
    curl_easy_cleanup(s->easy);
    curl_slist_free_all(s->headers);
    curl_slist_free_all(s->address);
    loop_timer_free(s->resume);
    exposition_free(s->page);
    s->easy = NULL;
    s->headers = s->address = NULL;
    s->resume = NULL;
    s->page = NULL;
}

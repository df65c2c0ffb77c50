// SPDX-License-Identifier: Apache-2.0
/*
 * Probes that read what a service shows of itself (page.h). The first page is the question of every turn:
 * its answer is the latency and the verdict. Once in a while the same attempt goes on to all pages for
 * their numbers, which are no part of the latency.
 */
#include "agent/probe.h"
#include "agent/probe_numbers.h"
#include "agent/probe_request.h"
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct page_attempt {
    struct probe_attempt attempt;
    struct request request;
    struct buf body;
    struct page_round round;
    size_t nth;                 // page
    bool numbers;               // this attempt asks for them
    struct probe_result result; // of the first page
};

static struct page_attempt *of(struct probe_attempt *a)
{
    return (struct page_attempt *)a;
}

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
    struct page_attempt *a = ctx;
    return buf_add(&a->body, data, size * n) < 0 ? 0 : size * n;
}

static void finish(struct page_attempt *a, bool whole)
{
    if (a->numbers)
        numbers_end(probe_numbers(a->attempt.probe), a, whole);
    a->numbers = false;
    probe_done(&a->attempt, &a->result);
}

// What the page says: NULL is all is well.
static bool read_page(struct page_attempt *a, CURLcode result, struct probe_result *r)
{
    const struct page_kind *kind = probe_config(a->attempt.probe)->page;
    struct page_sink sink;
    long status = 0;
    curl_easy_getinfo(a->request.easy, CURLINFO_RESPONSE_CODE, &status);
    *r = (struct probe_result){.status = (int)status};
    if (result == CURLE_WRITE_ERROR && a->body.failed) {
        r->class = a->body.failed == -ENOMEM ? CLASS_LOCAL : CLASS_PROTOCOL;
        snprintf(r->detail, sizeof(r->detail), "the page is longer than %zu KiB",
            kind->limit_bytes >> 10);
        return false;
    }
    if (result != CURLE_OK) {
        r->class = request_failed(&a->request, result, r->detail, sizeof(r->detail));
        return false;
    }
    if (status != 200) {
        r->class = status == 401 || status == 403 ? CLASS_LOGIN : CLASS_STATUS;
        snprintf(r->detail, sizeof(r->detail), "status %ld", status);
        return false;
    }
    if (a->numbers)
        sink = numbers_sink(probe_numbers(a->attempt.probe));
    if (!kind->read(
            &a->round, a->nth, buf_cstr(&a->body), a->body.len, a->numbers ? &sink : NULL)) {
        r->class = CLASS_PROTOCOL;
        snprintf(r->detail, sizeof(r->detail), "not a page of %s", kind->name);
        return false;
    }
    r->cert_expiry = request_cert_expiry(&a->request);
    return r->success = true;
}

static bool ask(struct page_attempt *a)
{
    struct probe *p = a->attempt.probe;
    const struct probe_config *c = probe_config(p);
    char url[2 * WIRE_VALUE_MAX];
    size_t len = strlen(c->target);
    // A slash at the end of the base is not one more in the page's.
    bool slash = *c->page->pages[a->nth] && c->target[len - 1] == '/';
    snprintf(url, sizeof(url), "%.*s%s", (int)(len - slash), c->target, c->page->pages[a->nth]);
    buf_reset(&a->body);
    return curl_easy_setopt(a->request.easy, CURLOPT_URL, url) == CURLE_OK &&
           request_start(&a->request, probe_transfers(p), c, probe_endpoint(p));
}

static void on_done(struct transfer *t, CURLcode result)
{
    struct page_attempt *a =
        (struct page_attempt *)((char *)t - offsetof(struct page_attempt, request.transfer));
    struct env *env = probe_env(a->attempt.probe);
    const struct page_kind *kind = probe_config(a->attempt.probe)->page;
    struct probe_result r;
    bool ok = read_page(a, result, &r);
    if (a->nth == 0) {
        a->result = r;
        if (ok)
            probe_answered(&a->attempt, clock_mono_ns(&env->clock));
    }
    a->nth++;
    bool more = ok && a->numbers && a->nth < PAGES_MAX && kind->pages[a->nth];
    if (!more || !ask(a))
        finish(a, ok && !more);
}

static bool setup(struct page_attempt *a, const struct probe_config *c)
{
    if (!request_setup(&a->request, c, probe_env(a->attempt.probe), on_done, on_body, a))
        return false;
    buf_init(&a->body, c->page->limit_bytes);
    CURLcode rc = CURLE_OK;
    if (c->words.user)
        rc = curl_easy_setopt(a->request.easy, CURLOPT_USERNAME, c->words.user);
    if (rc == CURLE_OK && c->words.password)
        rc = curl_easy_setopt(a->request.easy, CURLOPT_PASSWORD, c->words.password);
    return rc == CURLE_OK;
}

static int page_start(
    struct probe_attempt *attempt, const struct endpoint *to, char *detail, size_t size)
{
    struct page_attempt *a = of(attempt);
    const struct probe_config *c = probe_config(attempt->probe);
    struct env *env = probe_env(attempt->probe);
    struct numbers *n = probe_numbers(attempt->probe);
    (void)to;
    if (!n || (!a->request.easy && !setup(a, c))) {
        request_free(&a->request);
        a->request = (struct request){0};
        snprintf(detail, size, "cannot set up the request");
        return -ENOMEM;
    }
    a->nth = 0;
    a->round = (struct page_round){0};
    a->numbers = numbers_begin(
        n, a, clock_mono_ns(&env->clock), clock_wall_ms(&env->clock), c->page->values_ms);
    if (ask(a))
        return 0;
    snprintf(detail, size, "out of memory");
    return -ENOMEM;
}

static void page_stop(struct probe_attempt *attempt)
{
    struct page_attempt *a = of(attempt);
    request_stop(&a->request, probe_transfers(attempt->probe));
    if (a->numbers)
        numbers_end(probe_numbers(attempt->probe), a, false);
    a->numbers = false;
}

static void page_free(struct probe_attempt *attempt)
{
    struct page_attempt *a = of(attempt);
    request_free(&a->request);
    buf_done(&a->body);
}

static void page_cut(struct probe_attempt *attempt)
{
    finish(of(attempt), false);
}

const struct probe_ops PROBE_OPS_PAGE = {.size = sizeof(struct page_attempt),
    .start = page_start,
    .stop = page_stop,
    .free = page_free,
    .cut = page_cut};

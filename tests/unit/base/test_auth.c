// SPDX-License-Identifier: Apache-2.0
#include "base/auth.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <string.h>

static const struct auth LOOPBACK = {.loopback = true};
static const struct auth PROXIED = {.loopback = true, .external_host = "tocsin.example.com"};
static const struct auth OUTSIDE = {.token = "s3cret", .token_len = 6};

static enum auth_verdict ask(const struct auth *a, const char *host, const char *origin,
    const char *authorization, const char *cookie)
{
    struct auth_request r = {host, origin, authorization, cookie};
    return auth_check(a, &r);
}

static void loopback_answers_only_to_its_names(void)
{
    static const char *const GOOD[] = {"localhost", "LocalHost:7311", "127.0.0.1",
        "127.0.0.1:7311", "127.9.8.7:1", "[::1]", "[::1]:7311"};
    static const char *const BAD[] = {"evil.example", "127.0.0.1.evil.example",
        "127.evil.example:7311", "localhost.evil.example", "[::2]:7311", "128.0.0.1", "127.0.0",
        "127.0.0.", "localhos", "[::1", "[::10]"};
    for (size_t i = 0; i < sizeof(GOOD) / sizeof(GOOD[0]); i++)
        CU_ASSERT_EQUAL(ask(&LOOPBACK, GOOD[i], NULL, NULL, NULL), AUTH_OK);
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++)
        CU_ASSERT_EQUAL(ask(&LOOPBACK, BAD[i], NULL, NULL, NULL), AUTH_FOREIGN_HOST);
    CU_ASSERT_EQUAL(ask(&LOOPBACK, NULL, NULL, NULL, NULL), AUTH_NO_HOST);
    CU_ASSERT_EQUAL(ask(&LOOPBACK, "", NULL, NULL, NULL), AUTH_NO_HOST);
    CU_ASSERT_EQUAL(ask(&PROXIED, "tocsin.example.com", NULL, NULL, NULL), AUTH_OK);
    CU_ASSERT_EQUAL(ask(&PROXIED, "other.example.com", NULL, NULL, NULL), AUTH_FOREIGN_HOST);
}

static void an_origin_must_be_the_host_asked_for(void)
{
    CU_ASSERT_EQUAL(
        ask(&LOOPBACK, "localhost:7311", "http://localhost:7311", NULL, NULL), AUTH_OK);
    CU_ASSERT_EQUAL(ask(&LOOPBACK, "localhost:7311", "http://localhost:8080", NULL, NULL),
        AUTH_FOREIGN_ORIGIN);
    CU_ASSERT_EQUAL(ask(&LOOPBACK, "localhost:7311", "https://evil.example", NULL, NULL),
        AUTH_FOREIGN_ORIGIN);
    CU_ASSERT_EQUAL(ask(&LOOPBACK, "localhost:7311", "null", NULL, NULL), AUTH_FOREIGN_ORIGIN);
    CU_ASSERT_EQUAL(ask(&LOOPBACK, "localhost:7311", "http://x@localhost:7311", NULL, NULL),
        AUTH_FOREIGN_ORIGIN);
    CU_ASSERT_EQUAL(
        ask(&PROXIED, "127.0.0.1:7311", "https://tocsin.example.com", NULL, NULL), AUTH_OK);
}

static void elsewhere_a_token_is_needed(void)
{
    CU_ASSERT_EQUAL(ask(&OUTSIDE, "any.host", NULL, NULL, NULL), AUTH_NO_TOKEN);
    CU_ASSERT_EQUAL(ask(&OUTSIDE, "any.host", NULL, "Bearer s3cret", NULL), AUTH_OK);
    CU_ASSERT_EQUAL(ask(&OUTSIDE, "any.host", NULL, "bearer   s3cret", NULL), AUTH_OK);
    CU_ASSERT_EQUAL(ask(&OUTSIDE, "any.host", NULL, "Bearer s3cre", NULL), AUTH_BAD_TOKEN);
    CU_ASSERT_EQUAL(ask(&OUTSIDE, "any.host", NULL, "Bearer s3crets", NULL), AUTH_BAD_TOKEN);
    CU_ASSERT_EQUAL(ask(&OUTSIDE, "any.host", NULL, "Bearer ", NULL), AUTH_BAD_TOKEN);
    CU_ASSERT_EQUAL(ask(&OUTSIDE, "any.host", NULL, "Basic s3cret", NULL), AUTH_BAD_TOKEN);
    // A wrong header is not saved by a right cookie.
    CU_ASSERT_EQUAL(
        ask(&OUTSIDE, "any.host", NULL, "Bearer x", "tocsin_token=s3cret"), AUTH_BAD_TOKEN);
}

static void the_page_carries_it_in_a_cookie(void)
{
    CU_ASSERT_EQUAL(ask(&OUTSIDE, "h", NULL, NULL, "tocsin_token=s3cret"), AUTH_OK);
    CU_ASSERT_EQUAL(ask(&OUTSIDE, "h", NULL, NULL, "a=b; tocsin_token=s3cret; c=d"), AUTH_OK);
    CU_ASSERT_EQUAL(ask(&OUTSIDE, "h", NULL, NULL, "xtocsin_token=s3cret"), AUTH_NO_TOKEN);
    CU_ASSERT_EQUAL(ask(&OUTSIDE, "h", NULL, NULL, "tocsin_token="), AUTH_BAD_TOKEN);
    CU_ASSERT_EQUAL(ask(&OUTSIDE, "h", NULL, NULL, ";;  ; "), AUTH_NO_TOKEN);
    CU_ASSERT_EQUAL(ask(&OUTSIDE, "h", "http://evil.example", NULL, "tocsin_token=s3cret"),
        AUTH_FOREIGN_ORIGIN);
}

static void an_open_port_must_be_wanted(void)
{
    struct err err;
    CU_ASSERT_EQUAL(auth_policy("listen.http", "127.0.0.1:0", false, false, &err), 0);
    CU_ASSERT_EQUAL(auth_policy("listen.http", "[::1]:7311", false, false, &err), 0);
    CU_ASSERT_EQUAL(auth_policy("listen.http", "localhost:7311", false, false, &err), 0);
    CU_ASSERT_EQUAL(auth_policy("listen.http", "0.0.0.0:7311", false, true, &err), -EPERM);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.msg, "token_file"));
    CU_ASSERT_EQUAL(auth_policy("listen.http", "0.0.0.0:7311", true, false, &err), -EPERM);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.msg, "insecure_plaintext"));
    CU_ASSERT_EQUAL(auth_policy("listen.http", "[::]:7311", true, true, &err), 0);
    CU_ASSERT_EQUAL(auth_policy("listen.http", "10.0.0.1", true, true, &err), -EINVAL);
    CU_ASSERT_EQUAL(auth_policy("listen.http", "host.example:1", true, true, &err), -EINVAL);
    CU_ASSERT_EQUAL(auth_policy("listen.http", "127.0.0.1:65536", true, true, &err), -EINVAL);
}

static void a_host_is_found_in_a_url(void)
{
    char host[16];
    CU_ASSERT_TRUE(auth_url_host("https://a.b:1/x?y#z", host, sizeof(host)));
    CU_ASSERT_STRING_EQUAL(host, "a.b:1");
    CU_ASSERT_TRUE(auth_url_host("http://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/", host, sizeof(host)));
    CU_ASSERT_EQUAL(strlen(host), 15);
    CU_ASSERT_FALSE(auth_url_host("a.b:1", host, sizeof(host)));
    CU_ASSERT_FALSE(auth_url_host("http://", host, sizeof(host)));
    CU_ASSERT_FALSE(auth_url_host("://x", host, sizeof(host)));
}

static void every_verdict_has_a_status_and_a_reason(void)
{
    static const int STATUS[] = {200, 400, 403, 403, 401, 401};
    for (int v = AUTH_OK; v <= AUTH_BAD_TOKEN; v++) {
        CU_ASSERT_EQUAL(auth_status((enum auth_verdict)v), STATUS[v]);
        CU_ASSERT_TRUE(strlen(auth_reason((enum auth_verdict)v)) > 1);
    }
}

static const struct test TESTS[] = {
    {"loopback answers only to its names", loopback_answers_only_to_its_names},
    {"an origin must be the host asked for", an_origin_must_be_the_host_asked_for},
    {"elsewhere a token is needed", elsewhere_a_token_is_needed},
    {"the page carries it in a cookie", the_page_carries_it_in_a_cookie},
    {"an open port must be wanted", an_open_port_must_be_wanted},
    {"a host is found in a URL", a_host_is_found_in_a_url},
    {"every verdict has a status and a reason", every_verdict_has_a_status_and_a_reason},
};

int main(void)
{
    return test_main("auth", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}

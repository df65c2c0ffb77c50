// SPDX-License-Identifier: Apache-2.0
// Whole verbs against a small server of canned answers.
#include "cli/verb.h"
#include "tests/lib/run.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// Answers the first request with status and body, and keeps it.
struct fake {
    int fd;
    char url[64], request[4096];
    const char *status, *body;
    pthread_t thread;
};

static void answer(int fd, const char *status, const char *body)
{
    char head[200];
    int n = snprintf(head, sizeof(head),
        "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", status,
        strlen(body));
    send(fd, head, (size_t)n, MSG_NOSIGNAL);
    send(fd, body, strlen(body), MSG_NOSIGNAL);
}

static void hear(int fd, char *request, size_t size)
{
    size_t len = 0;
    while (len < size - 1 && !strstr(request, "\r\n\r\n")) {
        ssize_t n = recv(fd, request + len, size - 1 - len, 0);
        if (n <= 0)
            break;
        len += (size_t)n;
        request[len] = '\0';
    }
}

static void *serve(void *ctx)
{
    struct fake *f = ctx;
    int fd = accept(f->fd, NULL, NULL);
    if (fd < 0)
        return NULL; // nobody asked
    hear(fd, f->request, sizeof(f->request));
    answer(fd, f->status, f->body);
    close(fd);
    // What a verb asks besides has nothing in it.
    while ((fd = accept(f->fd, NULL, NULL)) >= 0) {
        char request[4096] = "";
        hear(fd, request, sizeof(request));
        answer(fd, "200 OK", "[]");
        close(fd);
    }
    return NULL;
}

static void fake_init(struct fake *f, const char *status, const char *body)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t len = sizeof(a);
    *f = (struct fake){.status = status, .body = body};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    f->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL_FATAL(bind(f->fd, (struct sockaddr *)&a, sizeof(a)), 0);
    CU_ASSERT_EQUAL_FATAL(listen(f->fd, 4), 0);
    CU_ASSERT_EQUAL_FATAL(getsockname(f->fd, (struct sockaddr *)&a, &len), 0);
    snprintf(f->url, sizeof(f->url), "http://127.0.0.1:%u", ntohs(a.sin_port));
    CU_ASSERT_EQUAL_FATAL(pthread_create(&f->thread, NULL, serve, f), 0);
}

static void fake_done(struct fake *f)
{
    shutdown(f->fd, SHUT_RDWR); // a verb that never asked must not hold us
    pthread_join(f->thread, NULL);
    close(f->fd);
}

// Runs `tocsin ARGS`; the output is the caller's.
#define ARGS_MAX 10
static int run(const char *const *args, const char *url, char **ret, struct err *err)
{
    char *argv[ARGS_MAX + 1] = {strdup("tocsin")};
    size_t len = 0;
    int argc = 1;
    struct cli c = {.url = url, .out = open_memstream(ret, &len)};
    CU_ASSERT_PTR_NOT_NULL_FATAL(c.out);
    for (; *args && argc < ARGS_MAX; args++)
        argv[argc++] = strdup(*args);
    *err = (struct err){0};
    int rc = verb_main(&c, argc, argv, err);
    fclose(c.out);
    while (argc > 0)
        free(argv[--argc]);
    return rc;
}
#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static int asked(const char *const *args, const char *status, const char *body, char **ret,
    struct err *err, char *request)
{
    struct fake f;
    fake_init(&f, status, body);
    int rc = run(args, f.url, ret, err);
    fake_done(&f);
    if (request)
        memcpy(request, f.request, sizeof(f.request));
    return rc;
}

static void usage(void)
{
    static const struct {
        const char *args[5], *says;
    } CASES[] = {
        {{"statsu"}, "unknown verb statsu"},
        {{"rules", "chekc"}, "rules needs a second word: check"},
        {{"--json"}, "which verb?"},
        {{"query"}, "query needs EXPR"},
        {{"query", "a", "b"}, "too many arguments: b"},
        {{"query", "a", "--rnage", "5m"}, "unknown option --rnage"},
        {{"query", "a", "--range"}, "--range needs a value"},
        {{"query", "a", "--range=soon"}, "not a duration"},
        {{"query", "a", "--time=noon"}, "--time noon"},
        {{"alerts", "--fail-on", "fire"}, "--fail-on takes one of: firing pending"},
        {{"alerts", "--json=yes"}, "--json takes no value"},
        {{"hooks", "listen", "--port", "70000"}, "not a port"},
        {{"completion", "tcsh"}, "no completion for tcsh"},
        {{"status", "--url", "gopher://x"}, "not an http://"},
        {{"status", "--token-file", "/nowhere"}, "/nowhere"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct err err;
        char *out = NULL;
        CU_ASSERT_EQUAL(run(CASES[i].args, "http://127.0.0.1:1", &out, &err), CLI_USAGE);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.msg, CASES[i].says));
        free(out);
    }
}

static void helps(void)
{
    struct err err;
    char *all = NULL;
    CU_ASSERT_EQUAL(run(ARGS("--help"), "", &all, &err), CLI_YES);
    for (const struct verb *v = VERBS; v->name; v++) {
        char *one = NULL;
        const char *args[] = {v->name, v->sub ? v->sub : "--help", "--help", NULL};
        CU_ASSERT_PTR_NOT_NULL(strstr(all, v->summary));
        CU_ASSERT_EQUAL(run(args, "", &one, &err), CLI_YES);
        CU_ASSERT_NSTRING_EQUAL(one, "Usage: tocsin ", 14);
        for (const struct verb_option *o = v->options; o && o->name; o++)
            CU_ASSERT_PTR_NOT_NULL(strstr(one, o->help));
        free(one);
    }
    free(all);
}

static void completes(void)
{
    static const char *const SHELLS[] = {"bash", "zsh", "fish"};
    for (size_t i = 0; i < 3; i++) {
        struct err err;
        char *out = NULL;
        CU_ASSERT_EQUAL(run(ARGS("completion", SHELLS[i]), "", &out, &err), CLI_YES);
        for (const struct verb *v = VERBS; v->name; v++) {
            CU_ASSERT_PTR_NOT_NULL(strstr(out, v->name));
            for (const struct verb_option *o = v->options; o && o->name; o++)
                CU_ASSERT_PTR_NOT_NULL(strstr(out, o->name));
        }
        // Two verbs have an option of this name with other values.
        CU_ASSERT_PTR_NOT_NULL(strstr(out, "error warning"));
        CU_ASSERT_PTR_NOT_NULL(strstr(out, "firing pending"));
        free(out);
    }
}

#define ALERTS                                                                                 \
    "{\"status\":\"success\",\"data\":{\"alerts\":["                                           \
    "{\"labels\":{\"alertname\":\"B\",\"x\":\"2\"},\"annotations\":{},\"state\":\"pending\","  \
    "\"activeAt\":\"2025-11-25T04:20:01Z\",\"value\":\"1e+00\"},"                              \
    "{\"labels\":{\"alertname\":\"A\",\"x\":\"2\"},\"annotations\":{\"summary\":\"two\"},"     \
    "\"state\":\"firing\",\"activeAt\":\"2025-11-25T04:20:01Z\",\"value\":\"1e+00\"},"         \
    "{\"labels\":{\"alertname\":\"A\",\"x\":\"1\"},\"annotations\":{\"summary\":\"one\"},"     \
    "\"state\":\"firing\",\"activeAt\":\"2025-11-25T04:20:01Z\",\"value\":\"1e+00\"}]}}"
#define NO_ALERTS "{\"status\":\"success\",\"data\":{\"alerts\":[]}}"

static void alerts_sorted(void)
{
    struct err err;
    char *out = NULL;
    CU_ASSERT_EQUAL(asked(ARGS("alerts"), "200 OK", ALERTS, &out, &err, NULL), CLI_YES);
    const char *one = strstr(out, "one"), *two = strstr(out, "two"),
               *p = strstr(out, "pending");
    CU_ASSERT_TRUE(one && two && p && one < two && two < p);
    free(out);
}

static void alerts_fail_on(void)
{
    struct err err;
    char *out = NULL;
    CU_ASSERT_EQUAL(
        asked(ARGS("alerts", "--fail-on=firing"), "200 OK", ALERTS, &out, &err, NULL), CLI_NO);
    CU_ASSERT_STRING_EQUAL(err.msg, "");
    free(out);
    CU_ASSERT_EQUAL(asked(ARGS("--json", "alerts", "--fail-on", "pending"), "200 OK", NO_ALERTS,
                        &out, &err, NULL),
        CLI_YES);
    CU_ASSERT_STRING_EQUAL(out, "[\n]\n");
    free(out);
}

static void exit_codes(void)
{
    static const struct {
        const char *status, *body;
        int rc;
        const char *says;
    } CASES[] = {
        {"401 Unauthorized", "no", CLI_DENIED, "give a token"},
        {"403 Forbidden", "{\"error\":\"foreign \\u001b[1m host\"}", CLI_DENIED,
            "foreign \uFFFD[1m host"},
        {"400 Bad Request", "{\"status\":\"error\",\"error\":\"1:3: parse error\"}", CLI_NO,
            "1:3: parse error"},
        {"503 Service Unavailable", "{\"error\":\"the queue is full\"}", CLI_UNREACHABLE,
            "the queue is full"},
        {"404 Not Found", "<html>", CLI_UNREACHABLE, "is this a collector"},
        {"200 OK", "<html>", CLI_UNREACHABLE, "not JSON"},
        {"200 OK", "[1]", CLI_UNREACHABLE, "not JSON"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct err err;
        char *out = NULL;
        int rc = asked(ARGS("query", "up"), CASES[i].status, CASES[i].body, &out, &err, NULL);
        CU_ASSERT_EQUAL(rc, CASES[i].rc);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.msg, CASES[i].says));
        free(out);
    }
    struct err err;
    char *out = NULL;
    CU_ASSERT_EQUAL(run(ARGS("status"), "http://127.0.0.1:1", &out, &err), CLI_UNREACHABLE);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.msg, "not reachable"));
    free(out);
}

static void query_vector(void)
{
    struct err err;
    char *out = NULL, request[4096];
    int rc = asked(ARGS("query", "a + b{c=\"d e\"}", "--time", "2025-11-25T04:20:01Z"),
        "200 OK",
        "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":["
        "{\"metric\":{\"z\":\"1\",\"__name__\":\"m\",\"a\":\"2\"},\"value\":[1.5,\"42\"]},"
        "{\"metric\":{},\"histogram\":[1.5,{\"count\":\"3\",\"sum\":\"6\",\"buckets\":[]}]}]}}",
        &out, &err, request);
    CU_ASSERT_EQUAL(rc, CLI_YES);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "m{a=\"2\", z=\"1\"}  42\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "count 3, sum 6, 0 buckets"));
    CU_ASSERT_PTR_NOT_NULL(strstr(request,
        "GET /api/v1/query?query=a%20%2B%20b%7Bc%3D%22d%20e%22%7D&time=1764044401.000 "));
    free(out);
}

static void query_range(void)
{
    struct err err;
    char *out = NULL, request[4096];
    int rc = asked(ARGS("query", "x", "--range=1m", "--time=1000"), "200 OK",
        "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":["
        "{\"metric\":{\"__name__\":\"x\"},\"values\":[[940,\"1\"],[970,\"NaN\"],[1000,\"9\"]]}]}}",
        &out, &err, request);
    CU_ASSERT_EQUAL(rc, CLI_YES);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "x       ▁"));
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "█    1     9     9\n"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(request, "/query_range?query=x&start=940.000&end=1000.000&step=1.000 "));
    free(out);
}

#define STATUS                                                                                  \
    "{\"status\":\"success\",\"data\":{\"problems\":["                                          \
    "{\"severity\":\"warning\",\"what\":\"agent a is silent\"},"                                \
    "{\"severity\":\"error\",\"what\":\"agent b is down\"}],\"version\":\"1\",\"now_ms\":9000," \
    "\"started_ms\":1000,\"alerts\":{\"firing\":1,\"pending\":0},\"rules\":{\"total\":8,"       \
    "\"unhealthy\":0},\"agents\":[{\"host\":\"a\",\"state\":\"suspect\",\"version\":\"1\","     \
    "\"last_frame_ms\":7000,\"series\":300,\"skew_ms\":-3}],\"receivers\":[]}}"

static void status_problems_first(void)
{
    struct err err;
    char *out = NULL;
    CU_ASSERT_EQUAL(asked(ARGS("status"), "200 OK", STATUS, &out, &err, NULL), CLI_YES);
    static const char TOP[] =
        "2 problems\n  error    agent b is down\n  warning  agent a is silent\n\nagents: 1\n";
    CU_ASSERT_NSTRING_EQUAL(out, TOP, sizeof(TOP) - 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "rules: 8, 0 unhealthy; 1 alerts firing, 0 pending\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "2.0 s"));
    free(out);
    CU_ASSERT_EQUAL(
        asked(ARGS("status", "--fail-on", "error"), "200 OK", STATUS, &out, &err, NULL),
        CLI_NO);
    free(out);
}

static const struct test TESTS[] = {
    {"wrong usage is exit 2 and says what is wrong", usage},
    {"every verb and option is in the help", helps},
    {"every verb and option is completed in each shell", completes},
    {"alerts are firing first, then in a stable order", alerts_sorted},
    {"--fail-on makes the exit code of alerts", alerts_fail_on},
    {"each way a collector can refuse has its exit code", exit_codes},
    {"a vector is a table, the expression is encoded", query_vector},
    {"a range is a sparkline with lowest, highest and last", query_range},
    {"status shows errors, then warnings, then the rest", status_problems_first},
};
int main(void)
{
    return test_main("verb", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}

// SPDX-License-Identifier: Apache-2.0
/*
 * What a hostile peer can do to the ingest port, done to a running collector:
 *
 *     hostile PORT PID [slow]
 *
 * While each attack runs, two well-behaved agents on an address of their own push: one over a
 * connection it keeps, one over a new connection each time. Each attack must end in 4xx or a
 * closed connection within 10 s, nobody well-behaved may wait longer than 1 s, and the collector's
 * peak memory (VmHWM) must stay below 256 MiB. `slow` is for a collector
 * under a sanitizer: memory is not judged, others may wait 5 s and be told 429. Prints what it
 * found and `N passed, N failed`.
 */
#include "wire/decode.h"
#include "wire/encode.h"
#include "wire/tocsin.pb-c.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define GOOD_ADDRESS 0x7f0000c8u // 127.0.0.200
#define LIMIT_MS     10000
#define IDLE         10000
#define SERIES       1000000
#define RSS_MAX_KIB  (256 * 1024)

static int port, passed, failed;
static bool slow;

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static int64_t wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static void check(bool ok, const char *what, const char *detail)
{
    printf("%s %s%s%s\n", ok ? "ok  " : "FAIL", what, *detail ? ": " : "", detail);
    *(ok ? &passed : &failed) += 1;
}

static int dial(uint32_t from)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(from)};
    struct sockaddr_in to = {.sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        .sin_port = htons((uint16_t)port)};
    struct timeval wait = {.tv_sec = 15};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
    if (fd == -1 || bind(fd, (struct sockaddr *)&a, sizeof(a)) == -1 ||
        connect(fd, (struct sockaddr *)&to, sizeof(to)) == -1) {
        if (fd != -1)
            close(fd);
        return -1;
    }
    return fd;
}

static bool send_all(int fd, const void *data, size_t len)
{
    for (const char *p = data; len;) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

// Status of the answer, 0 = closed without one, -1 = neither within the time.
static int answer(int fd, int64_t until_ms)
{
    char text[8192];
    size_t len = 0;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int64_t left = until_ms - now_ms();
        if (left <= 0 || poll(&p, 1, (int)left) <= 0)
            return -1;
        ssize_t n = recv(fd, text + len, sizeof(text) - 1 - len, 0);
        if (n <= 0)
            return 0;
        len += (size_t)n;
        text[len] = '\0';
        char *end = strstr(text, "\r\n\r\n"), *length = strstr(text, "Content-Length: ");
        if (end && length && len >= (size_t)(end + 4 - text) + strtoul(length + 16, NULL, 10))
            return atoi(text + 9);
    }
}

#define HEAD                                                                                   \
    "POST /v1/frames HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-protobuf\r\n"

static int post(int fd, const uint8_t *body, size_t len, int64_t wait_ms)
{
    char head[256];
    int n = snprintf(head, sizeof(head), HEAD "Content-Length: %zu\r\n\r\n", len);
    if (!send_all(fd, head, (size_t)n) || !send_all(fd, body, len))
        return 0;
    return answer(fd, now_ms() + wait_ms);
}

// --- agents --------------------------------------------------------------------------------------

struct sender {
    struct wire_session session;
    struct chain_out *chain;
    uint64_t seq, bodies;
};

static void sender_init(struct sender *s, uint8_t id, const char *host, uint64_t epoch)
{
    *s = (struct sender){.session = {.agent_id = {0xaa, id},
                             .epoch = epoch,
                             .nonce = epoch,
                             .host = host,
                             .version = "1",
                             .protocol_min = 1,
                             .protocol_max = 1,
                             .oldest_seq = 1}};
    s->chain = chain_out_new();
}

static int push_at(struct sender *s, int fd, int64_t ahead_ms, struct batch_sample *samples,
    size_t n, int64_t wait_ms)
{
    struct batch_group g = {.interval_ms = 1000,
        .tick = (int64_t)s->seq,
        .stamp_ms = wall_ms() + ahead_ms,
        .samples = samples,
        .n = n};
    struct batch b = {.seq = ++s->seq, .wall_ms = wall_ms(), .groups = &g, .n_groups = 1};
    struct push_meta m = {.sent_us = wall_ms() * 1000, .id = ++s->bodies};
    struct buf frame, body;
    bool key;
    buf_init(&frame, 8u << 20);
    buf_init(&body, 8u << 20);
    s->session.newest_seq = s->seq;
    int status = -2;
    if (chain_out_encode(s->chain, &b, &frame, &key) == 0) {
        const uint8_t *data = frame.data;
        if (push_encode(&s->session, &m, &data, &frame.len, 1, &body) == 0)
            status = post(fd, body.data, body.len, wait_ms);
    }
    buf_done(&frame);
    buf_done(&body);
    return status;
}

static int push(
    struct sender *s, int fd, struct batch_sample *samples, size_t n, int64_t wait_ms)
{
    return push_at(s, fd, 0, samples, n, wait_ms);
}

static atomic_bool quiet;
static atomic_llong worst_ms;
static atomic_int refused;

// The well-behaved: one keeps its connection, one makes a new one each time.
static void *behave(void *ctx)
{
    bool keep = ctx != NULL;
    struct sender s;
    sender_init(&s, keep ? 1 : 2, keep ? "old" : "new", 1);
    struct batch_declare d = {.id = 1, .name = "x", .unit = ""};
    chain_out_declare(s.chain, &d);
    struct batch_sample one = {.id = 1, .kind = SAMPLE_VALUE, .value = 1};
    int fd = -1;
    while (!quiet) {
        int64_t start = now_ms();
        if (fd == -1)
            fd = dial(GOOD_ADDRESS);
        int status = fd == -1 ? -3 : push(&s, fd, &one, 1, 5000);
        int64_t took = now_ms() - start;
        if (took > worst_ms)
            worst_ms = took;
        if (status != 200)
            refused++;
        if (!keep || status != 200) {
            close(fd);
            fd = -1;
        }
        usleep(200000);
    }
    if (fd != -1)
        close(fd);
    chain_out_free(s.chain);
    return NULL;
}

// --- attacks -------------------------------------------------------------------------------------

static void one_byte_a_second(void)
{
    enum { N = 20 };
    static const char TEXT[] = HEAD "X-Slow: aaaaaaaaaaaaaaaaaaaa";
    int fd[N], open = N;
    int64_t start = now_ms(), last = 0;
    for (int i = 0; i < N; i++)
        fd[i] = dial(0x7f000100u);
    for (int k = 0; open && now_ms() - start < 15000; k++) {
        for (int i = 0; i < N; i++) {
            char c;
            if (fd[i] == -1)
                continue;
            send(fd[i], TEXT + k % (int)(sizeof(TEXT) - 1), 1, MSG_NOSIGNAL);
            if (recv(fd[i], &c, 1, MSG_DONTWAIT) == 0 ||
                (errno != EAGAIN && errno != EWOULDBLOCK)) {
                close(fd[i]);
                fd[i] = -1;
                open--;
                last = now_ms() - start;
            }
        }
        sleep(1);
    }
    char text[64];
    snprintf(text, sizeof(text), "%d still open, the last closed after %lld ms", open,
        (long long)last);
    check(open == 0 && last <= LIMIT_MS + 1000, "one header byte a second", text);
}

static void idle_connections(void)
{
    int *fd = calloc(IDLE, sizeof(*fd));
    int connected = 0, open = 0;
    for (int i = 0; i < IDLE; i++) {
        fd[i] = dial(0x7f000201u + (uint32_t)i / 250);
        connected += fd[i] != -1;
    }
    // Each has its own 10 s; all were made by now.
    int64_t start = now_ms();
    for (int i = 0; i < IDLE; i++)
        if (fd[i] != -1 && answer(fd[i], start + LIMIT_MS) == -1)
            open++;
    char text[96];
    snprintf(text, sizeof(text), "%d made, %d still open after %lld ms", connected, open,
        (long long)(now_ms() - start));
    check(connected == IDLE && open == 0, "10,000 idle connections", text);
    for (int i = 0; i < IDLE; i++)
        if (fd[i] != -1)
            close(fd[i]);
    free(fd);
}

static void raw(
    const char *what, const char *request, const void *body, size_t len, bool only_400)
{
    int fd = dial(0x7f000100u), status = 0;
    if (send_all(fd, request, strlen(request)) && send_all(fd, body, len))
        status = answer(fd, now_ms() + LIMIT_MS);
    close(fd);
    char text[32];
    snprintf(text, sizeof(text), "%d", status);
    check(
        only_400 ? status == 400 : status == 0 || (status >= 400 && status < 500), what, text);
}

static void large_bodies(void)
{
    enum { CHUNK = 1 << 16 };
    static char chunk[CHUNK + 16];
    for (int chunked = 0; chunked < 2; chunked++) {
        int fd = dial(0x7f000100u);
        int64_t start = now_ms();
        size_t sent = 0;
        bool ok =
            chunked ? send_all(fd, HEAD "Transfer-Encoding: chunked\r\n\r\n", sizeof(HEAD) + 29)
                    : send_all(fd, HEAD "Content-Length: 104857600\r\n\r\n", sizeof(HEAD) + 28);
        int head = chunked ? snprintf(chunk, 16, "%x\r\n", CHUNK) : 0;
        memset(chunk + head, 'x', CHUNK);
        if (chunked)
            memcpy(chunk + head + CHUNK, "\r\n", 2);
        while (ok && sent < 104857600 && now_ms() - start < LIMIT_MS) {
            ok = send_all(fd, chunk, (size_t)(head + CHUNK + 2 * chunked));
            sent += CHUNK;
        }
        int status = ok ? answer(fd, start + LIMIT_MS) : 0;
        close(fd);
        char text[64];
        snprintf(text, sizeof(text), "%d after %zu KiB and %lld ms", status, sent / 1024,
            (long long)(now_ms() - start));
        check((status == 0 || status == 413) && now_ms() - start < LIMIT_MS,
            chunked ? "100 MB in chunks" : "100 MB announced", text);
    }
}

static void wrong_bytes(void)
{
    static uint8_t noise[4096];
    srand(5);
    for (size_t i = 0; i < sizeof(noise); i++)
        noise[i] = (uint8_t)rand();
    raw("noise for a protobuf", HEAD "Content-Length: 4096\r\n\r\n", noise, sizeof(noise),
        true);
    raw("two lengths", HEAD "Content-Length: 4\r\nContent-Length: 5\r\n\r\n", noise, 4, true);
    raw("a length and chunks", HEAD "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
        "0\r\n\r\n", 5, true);
    raw("a length below zero", HEAD "Content-Length: -4\r\n\r\n", noise, 4, true);
    raw("another content type",
        "POST /v1/frames HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\n"
        "Content-Length: 4\r\n\r\n",
        noise, 4, false);
    raw("a foreign host",
        "POST /v1/frames HTTP/1.1\r\nHost: evil.example\r\nContent-Type: application/x-protobuf\r\n"
        "Content-Length: 4\r\n\r\n",
        noise, 4, false);
    raw("a foreign page", HEAD "Origin: http://evil.example\r\nContent-Length: 4\r\n\r\n",
        noise, 4, false);
    raw("no HTTP at all", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n", "", 0,
        false);
}

// A frame by hand, so that it can break the rules: one declared id and one run of samples.
static int post_raw_frame(uint64_t epoch, uint32_t id, uint32_t skip, uint32_t length)
{
    Tocsin__V1__Declare d = TOCSIN__V1__DECLARE__INIT, *ds[] = {&d};
    Tocsin__V1__Group g = TOCSIN__V1__GROUP__INIT, *gs[] = {&g};
    Tocsin__V1__Frame f = TOCSIN__V1__FRAME__INIT;
    Tocsin__V1__Session s = TOCSIN__V1__SESSION__INIT;
    Tocsin__V1__Push p = TOCSIN__V1__PUSH__INIT;
    uint8_t agent[16] = {0xbb}, boot[16] = {0}, kinds = 2;
    uint32_t runs[2] = {skip, length};
    double value = 1;
    d.id = id;
    d.name = (char *)(uintptr_t) "x";
    g.interval_ms = 1000;
    g.n_runs = 2;
    g.runs = runs;
    g.kinds.data = &kinds;
    g.kinds.len = 1;
    g.n_raws = 1;
    g.raws = &value;
    f.seq = 1;
    f.wall_ms = wall_ms();
    f.n_declares = 1;
    f.declares = ds;
    f.n_groups = 1;
    f.groups = gs;
    s.agent_id = (ProtobufCBinaryData){16, agent};
    s.boot_id = (ProtobufCBinaryData){16, boot};
    s.epoch = s.nonce = epoch; // a session for each, or the second would count as sent twice
    s.host = (char *)(uintptr_t) "evil";
    s.protocol_min = s.protocol_max = 1;
    s.newest_seq = s.oldest_seq = 1;
    uint8_t frame[512], body[1024];
    ProtobufCBinaryData fd_ = {tocsin__v1__frame__pack(&f, frame), frame};
    p.session = &s;
    p.n_frames = 1;
    p.frames = &fd_;
    size_t len = tocsin__v1__push__pack(&p, body);
    int fd = dial(0x7f000100u);
    int status = post(fd, body, len, LIMIT_MS);
    close(fd);
    return status;
}

static void ids_out_of_range(void)
{
    static const struct {
        uint32_t id, skip, length;
        int want;
    } CASES[] = {{1, 0, 1, 200}, {0, 0, 1, 400}, {70000, 69999, 1, 400},
        {4294967295u, 0, 1, 400}, {1, 4294967295u, 1, 400}, {1, 0, 4294967295u, 400},
        {1, 5, 1, 400}};
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        char what[96], got[16];
        int status = post_raw_frame(i + 1, CASES[i].id, CASES[i].skip, CASES[i].length);
        snprintf(what, sizeof(what), "id %u, run %u+%u", CASES[i].id, CASES[i].skip,
            CASES[i].length);
        snprintf(got, sizeof(got), "%d", status);
        check(status == CASES[i].want, what, got);
    }
}

// What is stamped an hour ahead must not stand before what comes after it.
static void from_the_future(void)
{
    struct sender s;
    sender_init(&s, 4, "ahead", 1);
    struct batch_declare d = {.id = 1, .name = "ahead", .unit = ""};
    chain_out_declare(s.chain, &d);
    int fd = dial(0x7f000100u), bad = 0;
    for (int i = 1; i <= 20; i++) {
        struct batch_sample one = {.id = 1, .kind = SAMPLE_VALUE, .value = i};
        bad += push_at(&s, fd, i == 10 ? 3500000 : 0, &one, 1, LIMIT_MS) != 200;
    }
    close(fd);
    chain_out_free(s.chain);
    check(bad == 0, "a sample from the future is left out, its frame is taken", "");
}

// A million names from one agent: as many sessions as that takes, since each has 65,536 ids at most.
static void a_million_series(void)
{
    enum { PER_FRAME = 8000, PER_SESSION = 64000 };
    static struct batch_sample samples[PER_FRAME];
    uint32_t made = 0;
    int bad = 0;
    int64_t start = now_ms();
    int fd = dial(0x7f000100u);
    for (uint64_t epoch = 1; made < SERIES; epoch++) {
        struct sender s;
        sender_init(&s, 3, "greedy", epoch);
        for (uint32_t id = 1; id <= PER_SESSION && made < SERIES;) {
            size_t n = 0;
            for (; n < PER_FRAME && made < SERIES; n++, id++, made++) {
                char value[24];
                snprintf(value, sizeof(value), "%u", made);
                struct wire_label l = {"n", value};
                struct batch_declare d = {
                    .id = id, .name = "greed", .labels = &l, .n_labels = 1, .unit = ""};
                chain_out_declare(s.chain, &d);
                samples[n] =
                    (struct batch_sample){.id = id, .kind = SAMPLE_VALUE, .value = made};
            }
            int status;
            // 429 means what it says.
            for (int tries = 0;
                 (status = push(&s, fd, samples, n, LIMIT_MS)) == 429 && tries < 20; tries++)
                usleep(200000);
            if (status == 0) {
                close(fd);
                fd = dial(0x7f000100u);
            }
            bad += status != 200;
        }
        chain_out_free(s.chain);
    }
    close(fd);
    char text[64];
    snprintf(text, sizeof(text), "%u declared in %lld ms, %d bodies not taken", made,
        (long long)(now_ms() - start), bad);
    check(made == SERIES && bad == 0, "a million series from one agent", text);
}

static long peak_kib(const char *pid)
{
    char path[64], line[256];
    long kib = -1;
    snprintf(path, sizeof(path), "/proc/%s/status", pid);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "VmHWM: %ld", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return kib;
}

static void during(const char *what, void (*attack)(void), const char *pid)
{
    worst_ms = 0;
    refused = 0;
    attack();
    char text[128];
    snprintf(text, sizeof(text), "slowest %lld ms, %d not taken; peak memory so far %ld MiB",
        (long long)worst_ms, (int)refused, peak_kib(pid) / 1024);
    char name[96];
    snprintf(name, sizeof(name), "others meanwhile (%s)", what);
    check(worst_ms <= (slow ? 5000 : 1000) && (slow || refused == 0), name, text);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fputs("usage: hostile PORT PID [slow]\n", stderr);
        return 2;
    }
    port = atoi(argv[1]);
    slow = argc > 3;
    setvbuf(stdout, NULL, _IOLBF, 0);
    struct rlimit r;
    getrlimit(RLIMIT_NOFILE, &r);
    r.rlim_cur = r.rlim_max < IDLE + 200 ? r.rlim_max : IDLE + 200;
    setrlimit(RLIMIT_NOFILE, &r);
    pthread_t keep, fresh;
    pthread_create(&keep, NULL, behave, argv);
    pthread_create(&fresh, NULL, behave, NULL);
    during("wrong bytes", wrong_bytes, argv[2]);
    during("ids out of range", ids_out_of_range, argv[2]);
    during("large bodies", large_bodies, argv[2]);
    during("slow headers", one_byte_a_second, argv[2]);
    during("idle connections", idle_connections, argv[2]);
    during("a million series", a_million_series, argv[2]);
    during("the future", from_the_future, argv[2]);
    quiet = true;
    pthread_join(keep, NULL);
    pthread_join(fresh, NULL);
    char text[32];
    snprintf(text, sizeof(text), "%ld MiB", peak_kib(argv[2]) / 1024);
    if (!slow)
        check(peak_kib(argv[2]) > 0 && peak_kib(argv[2]) <= RSS_MAX_KIB,
            "peak memory at most 256 MiB", text);
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}

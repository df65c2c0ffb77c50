// SPDX-License-Identifier: Apache-2.0
/*
 * A service whose answers take as long as it is asked for, and its client, who measures: the truth that
 * request latency from the kernel is compared with. Threads and no loop, so that nothing waits but for
 * what was planted.
 *
 * What the client measures must not be its own: to be woken costs 50 us on an idle CPU of a virtual
 * machine, and milliseconds on a busy one. So it has the first CPU and the service the others; it goes
 * before all others there, if it may (SCHED_FIFO); and it is awake when the answer comes: it sleeps for
 * most of the time it asked for, then tries to read until it can. Where the service is late, the client
 * and the kernel both see it. What is left is a CPU that the host takes away: so the client says what an
 * answer took at least, until it last tried in vain, and at most, until it had it; a microsecond lies
 * between the two, or what it was not there for.
 *
 *     delays serve ADDRESS [CERT KEY]      ADDRESS: 127.0.0.1:PORT or /PATH; with a certificate TLS
 *     delays ask ADDRESS N CLIENTS MICROSECONDS [tls|tls1.2] [fresh] [body=BYTES] [pace=MICROSECONDS]
 *
 * A request is eight bytes (microseconds, bytes of body) and the body, sent in pieces of 8 KiB with a pause
 * after each; the answer is four bytes. `ask` prints how many were answered; the median and the 99th
 * percentile of the seconds from the last byte sent to the answer, at least and at most; and whether it
 * went before all others (1 or 0). fresh: a connection for each request.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define PIECE 8192
// A sleeper is woken so much too late at times: while another is in a long system call of a kernel that
// does not preempt one.
#define LATE_US 4000
// The service does not sleep for less.
#define SHORT_US 1000

static SSL_CTX *tls;
static struct sockaddr_storage address;
static socklen_t address_len;
static long n_left;
static bool fresh;
static uint32_t delay_us, body_bytes, pace_us;
static double *at_least, *at_most;
static long n_took;

struct end {
    int fd;
    SSL *ssl;
    bool spins;   // stays awake until there is something to read
    double tried; // in vain
};

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool put(struct end *e, const void *p, size_t n)
{
    if (e->ssl)
        return SSL_write(e->ssl, p, (int)n) == (int)n;
    return send(e->fd, p, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static bool nothing_yet(const struct end *e, ssize_t k)
{
    if (!e->spins || (e->ssl ? SSL_get_error(e->ssl, (int)k) != SSL_ERROR_WANT_READ
                             : k != -1 || errno != EAGAIN))
        return false;
    sched_yield(); // to those of us that are awake for the same reason
    return true;
}

static bool get(struct end *e, void *to, size_t n)
{
    for (size_t at = 0; at < n;) {
        double begun = seconds();
        ssize_t k = e->ssl ? SSL_read(e->ssl, (char *)to + at, (int)(n - at))
                           : recv(e->fd, (char *)to + at, n - at, e->spins ? MSG_DONTWAIT : 0);
        if (k > 0)
            at += (size_t)k;
        else if (nothing_yet(e, k))
            e->tried = begun;
        else
            return false;
    }
    return true;
}

static void done(struct end *e)
{
    if (e->ssl)
        SSL_shutdown(e->ssl);
    SSL_free(e->ssl);
    if (e->fd != -1)
        close(e->fd);
    *e = (struct end){.fd = -1};
}

static void sleep_us(uint32_t us)
{
    struct timespec t = {us / 1000000, us % 1000000 * 1000};
    prctl(PR_SET_TIMERSLACK, 1);
    nanosleep(&t, NULL);
}

static void work_us(uint32_t us)
{
    double end = seconds() + us / 1e6;

    if (us >= SHORT_US)
        sleep_us(us);
    while (seconds() < end)
        ;
}

static void take_cpus(bool client)
{
    cpu_set_t all, mine;
    int first = 0;

    sched_getaffinity(0, sizeof(all), &all);
    if (CPU_COUNT(&all) < 2)
        return;
    while (!CPU_ISSET(first, &all))
        first++;
    CPU_ZERO(&mine);
    CPU_SET(first, &mine);
    if (!client)
        CPU_XOR(&mine, &mine, &all);
    sched_setaffinity(0, sizeof(mine), &mine);
}

static bool parse_address(const char *s)
{
    struct sockaddr_un *u = (struct sockaddr_un *)&address;
    struct sockaddr_in *in = (struct sockaddr_in *)&address;
    char host[64];
    unsigned port;

    if (s[0] == '/') {
        u->sun_family = AF_UNIX;
        snprintf(u->sun_path, sizeof(u->sun_path), "%s", s);
        address_len = sizeof(*u);
        return true;
    }
    address_len = sizeof(*in);
    in->sin_family = AF_INET;
    if (sscanf(s, "%63[^:]:%u", host, &port) != 2 ||
        inet_pton(AF_INET, host, &in->sin_addr) != 1)
        return false;
    in->sin_port = htons((uint16_t)port);
    return true;
}

static void *serve_one(void *ctx)
{
    struct end e = {.fd = (int)(intptr_t)ctx};
    uint32_t head[2];
    static char sink[PIECE];
    int one = 1;

    setsockopt(e.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (tls) {
        e.ssl = SSL_new(tls);
        SSL_set_fd(e.ssl, e.fd);
        if (SSL_accept(e.ssl) != 1)
            goto out;
    }
    while (get(&e, head, sizeof(head))) {
        for (uint32_t left = head[1]; left > 0;) {
            uint32_t n = left < PIECE ? left : PIECE;
            if (!get(&e, sink, n))
                goto out;
            left -= n;
        }
        work_us(head[0]);
        if (!put(&e, head, 4))
            break;
    }
out:
    done(&e);
    return NULL;
}

static int serve(void)
{
    int one = 1, fd = socket(address.ss_family, SOCK_STREAM, 0);

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&address, address_len) || listen(fd, 128)) {
        perror("listen");
        close(fd);
        return 1;
    }
    for (;;) {
        pthread_t t;
        int peer = accept(fd, NULL, NULL);
        if (peer != -1 && pthread_create(&t, NULL, serve_one, (void *)(intptr_t)peer) == 0)
            pthread_detach(t);
    }
}

static bool open_end(struct end *e)
{
    int one = 1;

    *e = (struct end){.fd = socket(address.ss_family, SOCK_STREAM, 0)};
    if (connect(e->fd, (struct sockaddr *)&address, address_len))
        return false;
    setsockopt(e->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (tls) {
        e->ssl = SSL_new(tls);
        SSL_set_fd(e->ssl, e->fd);
        if (SSL_connect(e->ssl) != 1 || fcntl(e->fd, F_SETFL, O_NONBLOCK))
            return false;
    }
    e->spins = true;
    return true;
}

static void took(double least, double most)
{
    long i = __atomic_fetch_add(&n_took, 1, __ATOMIC_RELAXED);

    at_least[i] = least > 0 ? least : 0;
    at_most[i] = most;
}

static bool ask_once(struct end *e)
{
    static char piece[PIECE];
    uint32_t head[2] = {delay_us, body_bytes}, answer;
    double begun = seconds();

    if (!put(e, head, sizeof(head)))
        return false;
    for (uint32_t left = body_bytes; left > 0;) {
        uint32_t n = left < PIECE ? left : PIECE;
        if (pace_us)
            sleep_us(pace_us);
        begun = seconds();
        if (!put(e, piece, n))
            return false;
        left -= n;
    }
    if (delay_us > LATE_US)
        sleep_us(delay_us - LATE_US);
    if (!get(e, &answer, sizeof(answer)))
        return false;
    took(e->tried - begun, seconds() - begun);
    return true;
}

static void *ask(void *ctx)
{
    struct end e = {.fd = -1};

    (void)ctx;
    while (__atomic_sub_fetch(&n_left, 1, __ATOMIC_RELAXED) >= 0) {
        bool ok = (e.fd != -1 || open_end(&e)) && ask_once(&e);
        if (fresh || !ok)
            done(&e);
    }
    done(&e);
    return NULL;
}

// Seconds of the request that so many of a hundred were not slower than.
static double percentile(const double *took, long q)
{
    return n_took ? took[(q * n_took + 99) / 100 - 1] : 0;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc < 3 || !parse_address(argv[2]))
        return 2;
    take_cpus(strcmp(argv[1], "ask") == 0);
    if (strcmp(argv[1], "serve") == 0) {
        if (argc == 5) {
            tls = SSL_CTX_new(TLS_server_method());
            if (SSL_CTX_use_certificate_chain_file(tls, argv[3]) != 1 ||
                SSL_CTX_use_PrivateKey_file(tls, argv[4], SSL_FILETYPE_PEM) != 1)
                return 1;
        }
        return serve();
    }
    if (argc < 6)
        return 2;
    long n = n_left = atol(argv[3]);
    int clients = atoi(argv[4]);
    delay_us = (uint32_t)atol(argv[5]);
    for (int i = 6; i < argc; i++) {
        if (strncmp(argv[i], "tls", 3) == 0) {
            tls = SSL_CTX_new(TLS_client_method());
            if (strcmp(argv[i], "tls1.2") == 0)
                SSL_CTX_set_max_proto_version(tls, TLS1_2_VERSION);
        }
        fresh |= strcmp(argv[i], "fresh") == 0;
        sscanf(argv[i], "body=%u", &body_bytes);
        sscanf(argv[i], "pace=%u", &pace_us);
    }
    int first =
        sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 1}) == 0;
    at_least = calloc((size_t)n, sizeof(*at_least));
    at_most = calloc((size_t)n, sizeof(*at_most));
    pthread_t *threads = calloc((size_t)clients, sizeof(*threads));
    for (int i = 0; i < clients; i++)
        pthread_create(&threads[i], NULL, ask, NULL);
    for (int i = 0; i < clients; i++)
        pthread_join(threads[i], NULL);
    qsort(at_least, (size_t)n_took, sizeof(*at_least), by_value);
    qsort(at_most, (size_t)n_took, sizeof(*at_most), by_value);
    printf("%ld %.9f %.9f %.9f %.9f %d\n", n_took, percentile(at_least, 50),
        percentile(at_least, 99), percentile(at_most, 50), percentile(at_most, 99), first);
    return 0;
}

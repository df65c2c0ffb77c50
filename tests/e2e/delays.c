// SPDX-License-Identifier: Apache-2.0
/*
 * A service whose answers take as long as it is asked for, and its client, who measures: the truth that
 * request latency from the kernel is compared with. Threads and no loop, so that nothing waits but for
 * what was planted.
 *
 *     delays serve ADDRESS [CERT KEY]      ADDRESS: 127.0.0.1:PORT or /PATH; with a certificate TLS
 *     delays ask ADDRESS N CLIENTS MICROSECONDS [tls] [fresh] [body=BYTES] [pace=MICROSECONDS]
 *
 * A request is eight bytes (microseconds, bytes of body) and the body, sent in pieces of 8 KiB with a pause
 * after each; the answer is four bytes. `ask` prints how many were answered and the median and 99th
 * percentile of the seconds from the last byte sent to the answer. fresh: a connection for each request.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
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

static SSL_CTX *tls;
static struct sockaddr_storage address;
static socklen_t address_len;
static long n_left;
static bool fresh;
static uint32_t delay_us, body_bytes, pace_us;
static double *took;
static long n_took;

struct end {
    int fd;
    SSL *ssl;
};

static bool put(struct end *e, const void *p, size_t n)
{
    if (e->ssl)
        return SSL_write(e->ssl, p, (int)n) == (int)n;
    return send(e->fd, p, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static bool get(struct end *e, void *to, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t k = e->ssl ? SSL_read(e->ssl, (char *)to + at, (int)(n - at))
                           : recv(e->fd, (char *)to + at, n - at, 0);
        if (k <= 0)
            return false;
        at += (size_t)k;
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

static void pause_us(uint32_t us)
{
    struct timespec t = {us / 1000000, us % 1000000 * 1000};
    prctl(PR_SET_TIMERSLACK, 1);
    nanosleep(&t, NULL);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
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
        pause_us(head[0]);
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
        return SSL_connect(e->ssl) == 1;
    }
    return true;
}

static double ask_once(struct end *e)
{
    static char piece[PIECE];
    uint32_t head[2] = {delay_us, body_bytes}, answer;
    double begun = seconds();

    if (!put(e, head, sizeof(head)))
        return -1;
    for (uint32_t left = body_bytes; left > 0;) {
        uint32_t n = left < PIECE ? left : PIECE;
        if (pace_us)
            pause_us(pace_us);
        begun = seconds();
        if (!put(e, piece, n))
            return -1;
        left -= n;
    }
    return get(e, &answer, sizeof(answer)) ? seconds() - begun : -1;
}

static void *ask(void *ctx)
{
    struct end e = {.fd = -1};

    (void)ctx;
    while (__atomic_sub_fetch(&n_left, 1, __ATOMIC_RELAXED) >= 0) {
        double s = e.fd != -1 || open_end(&e) ? ask_once(&e) : -1;
        if (s >= 0)
            took[__atomic_fetch_add(&n_took, 1, __ATOMIC_RELAXED)] = s;
        if (fresh || s < 0)
            done(&e);
    }
    done(&e);
    return NULL;
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
    took = calloc((size_t)n, sizeof(*took));
    pthread_t *threads = calloc((size_t)clients, sizeof(*threads));
    for (int i = 0; i < clients; i++)
        pthread_create(&threads[i], NULL, ask, NULL);
    for (int i = 0; i < clients; i++)
        pthread_join(threads[i], NULL);
    qsort(took, (size_t)n_took, sizeof(*took), by_value);
    printf("%ld %.9f %.9f\n", n_took, n_took ? took[n_took / 2] : 0,
        n_took ? took[(long)((double)n_took * 0.99)] : 0);
    return 0;
}

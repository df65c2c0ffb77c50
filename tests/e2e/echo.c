// SPDX-License-Identifier: Apache-2.0
/*
 * A server that answers redis-benchmark, wrk and pgbench without doing anything: what they measure of it is
 * their own, their way through the kernel and being woken. It has the last CPU, before all others if it
 * may, and while somebody is connected it never sleeps: nobody has to wake it.
 *
 *     echo ADDRESS      127.0.0.1:PORT or /PATH
 *
 * A request has to come in one piece; its first byte tells the protocol. When the last has gone it prints how
 * many there were, and median and 99th percentile of the seconds that it took itself, from the last look that
 * found nothing to the send.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define ENDS 64
#define MOST 200000

static double own[MOST];
static size_t n_own;

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int listen_at(const char *address)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    char host[64] = "";
    unsigned port = 0;
    bool path = address[0] == '/';
    int one = 1;

    snprintf(un.sun_path, sizeof(un.sun_path), "%s", address);
    if (!path && (sscanf(address, "%63[^:]:%u", host, &port) != 2 ||
                     inet_pton(AF_INET, host, &in.sin_addr) != 1))
        return -1;
    in.sin_port = htons((uint16_t)port);
    int fd = socket(path ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if ((path ? bind(fd, (struct sockaddr *)&un, sizeof(un))
              : bind(fd, (struct sockaddr *)&in, sizeof(in))) == 0 &&
        listen(fd, ENDS) == 0)
        return fd;
    close(fd);
    return -1;
}

static const char *answer(const char *request, size_t n, size_t *ret_n)
{
    static const char REDIS[] = "$3\r\nxxx\r\n",
                      HTTP[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", NO_TLS[] = "N",
                      WELCOME[] = "R\0\0\0\10\0\0\0\0Z\0\0\0\5I",
                      DONE[] = "C\0\0\0\15SELECT 1\0Z\0\0\0\5I";

    switch (request[0]) {
    case '*': *ret_n = sizeof(REDIS) - 1; return REDIS;
    case 'G': *ret_n = sizeof(HTTP) - 1; return HTTP;
    case 'Q': *ret_n = sizeof(DONE) - 1; return DONE;
    case 0:
        *ret_n = n == 8 ? sizeof(NO_TLS) - 1 : sizeof(WELCOME) - 1;
        return n == 8 ? NO_TLS : WELCOME;
    }
    return NULL;
}

// Whether the end stays open.
static bool serve(int fd, double looked)
{
    char request[4096];
    ssize_t n = recv(fd, request, sizeof(request), MSG_DONTWAIT);
    size_t n_answer;
    const char *a;

    if (n == -1)
        return true;
    a = n ? answer(request, (size_t)n, &n_answer) : NULL;
    if (!a)
        return false;
    if (n_own < MOST)
        own[n_own++] = seconds() - looked;
    return send(fd, a, n_answer, MSG_NOSIGNAL) == (ssize_t)n_answer;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void say(void)
{
    qsort(own, n_own, sizeof(*own), by_value);
    printf("%zu %.9f %.9f\n", n_own, n_own ? own[n_own / 2] : 0,
        n_own ? own[n_own * 99 / 100] : 0);
    fflush(stdout);
    n_own = 0;
}

static void take_cpu(void)
{
    cpu_set_t cpus;
    int last = 0;

    sched_getaffinity(0, sizeof(cpus), &cpus);
    for (int i = 0; i < CPU_SETSIZE; i++)
        last = CPU_ISSET(i, &cpus) ? i : last;
    CPU_ZERO(&cpus);
    CPU_SET(last, &cpus);
    sched_setaffinity(0, sizeof(cpus), &cpus);
    sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 1});
}

int main(int argc, char **argv)
{
    int ends[ENDS], n_ends = 0, one = 1, fd;
    double looked = seconds();

    if (argc < 2 || (fd = listen_at(argv[1])) == -1)
        return 2;
    take_cpu();
    for (;;) {
        double now = seconds();
        int peer = n_ends < ENDS ? accept(fd, NULL, NULL) : -1;
        if (peer != -1) {
            setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
            ends[n_ends++] = peer;
        }
        for (int i = 0; i < n_ends; i++)
            if (!serve(ends[i], looked)) {
                close(ends[i]);
                ends[i--] = ends[--n_ends];
                if (!n_ends)
                    say();
            }
        looked = now;
        if (!n_ends)
            usleep(1000);
    }
}

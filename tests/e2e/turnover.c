// SPDX-License-Identifier: Apache-2.0
/*
 * A service and its clients in one process, for connections that are over before anything samples
 * them. Listens, says so, and then does what each line of its input asks for:
 *
 *     turnover PORT
 *     fin N       N connections of about 1 ms: the client sends 10 bytes, is sent 20, closes first
 *     server N    the same, but the service closes first
 *     reset N     the client aborts (SO_LINGER 0) after its answer
 *     abort N     the service aborts
 *     refused N   N connects to PORT + 1, where nobody listens
 *     hold N      N connections that stay open until the next line
 *
 * and, in a network namespace of its own, prepared by 28-connections.mjs:
 *
 *     unanswered N, unreachable N   connects to addresses that are not there
 *     leave N                       the same, but the socket is closed at once
 *     ports N                       N connects when all local ports are taken
 *     vanish N                      N connections whose service finds that the client is gone
 *
 * Each line is answered with "done" or what went wrong.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS     4
#define HOLD_MAX    4096
#define UNANSWERED  "10.9.0.66"
#define UNREACHABLE "10.9.0.77"
#define RANGE       "/proc/sys/net/ipv4/ip_local_port_range"

static bool cut_off; // the clients cannot be reached any more

struct job {
    char what; // first letter of the line; 'c' refused, 'n' unreachable
    int n;
    uint16_t port;
    const char *failed;
};

static void abort_on_close(int fd)
{
    struct linger l = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

// The first byte says who is to close, and how.
static void *serve_one(void *ctx)
{
    int fd = (int)(intptr_t)ctx;
    char text[20] = "";

    if (recv(fd, text, 10, MSG_WAITALL) == 10) {
        char what = text[0];
        nanosleep(&(struct timespec){0, 1000000}, NULL);
        send(fd, text, sizeof(text), MSG_NOSIGNAL);
        if (what == 'v') {
            int ms = 500;
            while (!__atomic_load_n(&cut_off, __ATOMIC_ACQUIRE))
                usleep(1000);
            setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
            send(fd, text, sizeof(text), MSG_NOSIGNAL);
        }
        if (what == 'a')
            abort_on_close(fd);
        if (what != 's' && what != 'a')
            recv(fd, text, 1, 0); // until it closes
    }
    close(fd);
    return NULL;
}

static void *serve(void *ctx)
{
    int listener = *(int *)ctx, fd;

    while ((fd = accept(listener, NULL, NULL)) >= 0) {
        pthread_t t;
        if (pthread_create(&t, NULL, serve_one, (void *)(intptr_t)fd) == 0)
            pthread_detach(t);
        else
            close(fd);
    }
    return NULL;
}

static int reach_at(const char *address, uint16_t port, int flags)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

    inet_pton(AF_INET, address, &a.sin_addr);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static int reach(uint16_t port)
{
    return reach_at("127.0.0.1", port, 0);
}

static const char *fails(const char *address, uint16_t port, int flags, int expected)
{
    return reach_at(address, port, flags) == -1 && errno == expected ? NULL : strerror(errno);
}

static const char *one(const struct job *j)
{
    char text[20] = {j->what};

    if (j->what == 'u')
        return fails(UNANSWERED, j->port, 0, ETIMEDOUT);
    if (j->what == 'n')
        return fails(UNREACHABLE, j->port, 0, EHOSTUNREACH);
    if (j->what == 'l') // reach_at closes what is not connected
        return fails(UNANSWERED, j->port, SOCK_NONBLOCK, EINPROGRESS);
    int fd = reach(j->port);

    if (j->what == 'c')
        return fd == -1 && errno == ECONNREFUSED ? NULL : "not refused";
    if (fd == -1)
        return strerror(errno);
    if (send(fd, text, 10, MSG_NOSIGNAL) != 10 || recv(fd, text, 20, MSG_WAITALL) != 20)
        return "no answer";
    if (j->what == 'r')
        abort_on_close(fd);
    if (j->what == 's' || j->what == 'a')
        recv(fd, text, 1, 0);
    close(fd);
    return NULL;
}

static void *client(void *ctx)
{
    struct job *j = ctx;

    for (int i = 0; i < j->n && !j->failed; i++)
        j->failed = one(j);
    return NULL;
}

static void range_write(const char *range)
{
    FILE *f = fopen(RANGE, "w");

    if (!f || fputs(range, f) < 0 || fclose(f) != 0)
        exit(1);
}

static const char *no_ports(int n, uint16_t port)
{
    const char *failed = NULL;

    range_write("40000 40001");
    int one_fd = reach(port), two_fd = reach(port);
    for (int i = 0; i < n && !failed; i++)
        failed = fails("127.0.0.1", port, 0, EADDRNOTAVAIL);
    close(one_fd);
    close(two_fd);
    range_write("32768 60999");
    return failed;
}

static const char *vanish(int n, uint16_t port)
{
    char text[20] = "v";

    for (int i = 0; i < n; i++) {
        int fd = reach(port);
        if (fd == -1 || send(fd, text, 10, MSG_NOSIGNAL) != 10 ||
            recv(fd, text, 20, MSG_WAITALL) != 20)
            return "no answer";
        text[0] = 'v';
    }
    // Until the service has given up: a client that could be reached would answer it.
    if (system("ip link set lo down") != 0)
        return "lo stays up";
    __atomic_store_n(&cut_off, true, __ATOMIC_RELEASE);
    return NULL;
}

static const char *work(char what, int n, uint16_t port)
{
    struct job jobs[CLIENTS];
    pthread_t threads[CLIENTS];

    for (int i = 0; i < CLIENTS; i++) {
        jobs[i] = (struct job){
            what, n / CLIENTS + (i < n % CLIENTS), (uint16_t)(port + (what == 'c')), NULL};
        if (pthread_create(&threads[i], NULL, client, &jobs[i]) != 0)
            exit(1);
    }
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < CLIENTS; i++)
        if (jobs[i].failed)
            return jobs[i].failed;
    return NULL;
}

int main(int argc, char **argv)
{
    uint16_t port = (uint16_t)(argc > 1 ? atoi(argv[1]) : 0);
    struct sockaddr_in a = {.sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        .sin_port = htons(port)};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
    static int held[HOLD_MAX];
    int n_held = 0, n;
    char line[64], what[16];
    pthread_t t;

    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (bind(listener, (struct sockaddr *)&a, sizeof(a)) != 0 || listen(listener, 4096) != 0 ||
        pthread_create(&t, NULL, serve, &listener) != 0) {
        perror("turnover");
        return 1;
    }
    puts("done");
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin)) {
        const char *failed = NULL;
        while (n_held)
            close(held[--n_held]);
        if (sscanf(line, "%15s %d", what, &n) != 2)
            return 2;
        if (strcmp(what, "hold") == 0)
            while (!failed && n_held < n && n_held < HOLD_MAX)
                if ((held[n_held] = reach(port)) >= 0)
                    n_held++;
                else
                    failed = strerror(errno);
        else if (strcmp(what, "ports") == 0)
            failed = no_ports(n, port);
        else if (strcmp(what, "vanish") == 0)
            failed = vanish(n, port);
        else
            failed = work(strcmp(what, "refused") == 0       ? 'c'
                          : strcmp(what, "unreachable") == 0 ? 'n'
                                                             : what[0],
                n, port);
        puts(failed ? failed : "done");
        fflush(stdout);
    }
    return 0;
}

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
 * Each line is answered with "done" or what went wrong.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS  4
#define HOLD_MAX 4096

struct job {
    char what; // 'f', 's', 'r', 'a', 'c' (refused)
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

static int reach(uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static const char *one(const struct job *j)
{
    char text[20] = {j->what};
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
        else
            failed = work(strcmp(what, "refused") == 0 ? 'c' : what[0], n, port);
        puts(failed ? failed : "done");
        fflush(stdout);
    }
    return 0;
}

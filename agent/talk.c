// SPDX-License-Identifier: Apache-2.0
#include "agent/talk.h"
#include "base/clock.h"
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define READ_SIZE 16384

enum probe_class talk_class(int error)
{
    switch (error) {
    case ECONNREFUSED: return CLASS_REFUSED;
    case ECONNRESET:
    case EPIPE: return CLASS_CLOSED;
    case ETIMEDOUT: return CLASS_TIMEOUT;
    case ENOMEM:
    case ENOBUFS:
    case EMFILE:
    case ENFILE:
    case EADDRNOTAVAIL:
    case EAGAIN: return CLASS_LOCAL; // no port or descriptor is free
    default: return CLASS_UNREACHABLE;
    }
}

const char *talk_reason(int error)
{
    return error == ECONNREFUSED ? "connection refused" : strerror(error);
}

static void hang_up(struct talk *t)
{
    loop_io_del(t->io);
    t->io = NULL;
    if (t->open)
        close(t->fd);
    t->open = t->connected = false;
    loop_timer_stop(t->now);
}

static void over(struct talk *t)
{
    hang_up(t);
    t->done(t);
}

static void failed(struct talk *t, int error)
{
    dialogue_fail(&t->dialogue, talk_class(error), "%s", talk_reason(error));
    over(t);
}

// Sends what is to be said. False: it failed, and that was told.
static bool speak(struct talk *t)
{
    struct buf *say = &t->dialogue.say;
    while (say->len) {
        ssize_t n = send(t->fd, say->data, say->len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1 && errno == EAGAIN)
            break;
        if (n == -1 && t->dialogue.state != DIALOGUE_GOES_ON)
            break; // a good-bye that nobody waits for
        if (n == -1) {
            failed(t, errno);
            return false;
        }
        buf_drop(say, (size_t)n);
    }
    return true;
}

// After each step: the answer's time, what is to be said, whether it is over. False: it is.
static bool went_on(struct talk *t)
{
    struct dialogue *d = &t->dialogue;
    if (d->answered && !t->answered_ns) {
        struct clock c = clock_system();
        t->answered_ns = clock_mono_ns(&c);
        t->answered(t);
    }
    if (!speak(t))
        return false;
    if (d->state != DIALOGUE_GOES_ON) {
        over(t);
        return false;
    }
    return loop_io_mod(t->io, EPOLLIN | (d->say.len ? EPOLLOUT : 0u)) == 0;
}

static void hear(struct talk *t)
{
    struct dialogue *d = &t->dialogue;
    for (;;) {
        uint8_t data[READ_SIZE];
        ssize_t n = recv(t->fd, data, sizeof(data), MSG_DONTWAIT);
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1 && errno == EAGAIN)
            return;
        if (n == -1) {
            failed(t, errno);
            return;
        }
        if (n == 0)
            dialogue_closed(d);
        else if (buf_add(&t->heard, data, (size_t)n) < 0)
            dialogue_fail(
                d, CLASS_PROTOCOL, "the answer is longer than %u bytes", DIALOGUE_HEARD_MAX);
        else
            buf_drop(&t->heard, dialogue_hear(d, t->heard.data, t->heard.len));
        if (!went_on(t))
            return;
    }
}

static void on_io(void *ctx, int fd, uint32_t events)
{
    struct talk *t = ctx;
    if (!t->connected) {
        int error = 0;
        socklen_t len = sizeof(error);
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1)
            error = errno;
        if (error) {
            failed(t, error);
            return;
        }
        t->connected = true;
        t->dialogue.kind->begin(&t->dialogue);
        (void)went_on(t);
        return;
    }
    if (events & EPOLLOUT && !went_on(t))
        return;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        hear(t);
}

static void on_now(void *ctx, int64_t due_ns, int64_t at_ns)
{
    (void)due_ns;
    (void)at_ns;
    over(ctx);
}

int talk_init(struct talk *t, struct loop *loop, void (*answered)(struct talk *t),
    void (*done)(struct talk *t))
{
    *t = (struct talk){.loop = loop,
        .answered = answered,
        .done = done,
        .now = loop_timer_new(loop, on_now, t)};
    buf_init(&t->heard, DIALOGUE_HEARD_MAX + 1);
    return t->now ? 0 : -ENOMEM;
}

void talk_free(struct talk *t)
{
    hang_up(t);
    loop_timer_free(t->now);
    buf_done(&t->heard);
    dialogue_done(&t->dialogue);
}

void talk_stop(struct talk *t)
{
    hang_up(t);
}

void talk_start(struct talk *t, const struct sockaddr *to, socklen_t len,
    const struct dialogue_kind *kind, const struct dialogue_words *words, bool wants_values)
{
    dialogue_set(&t->dialogue, kind, words, wants_values);
    buf_reset(&t->heard);
    t->answered_ns = 0;
    t->fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    t->open = t->fd != -1;
    // On loopback a refusal comes from connect itself; it is told as any other.
    int error = t->open && (connect(t->fd, to, len) == 0 || errno == EINPROGRESS) ? 0 : errno;
    if (!error) {
        t->io = loop_io_add(t->loop, t->fd, EPOLLOUT, on_io, t);
        error = t->io ? 0 : ENOMEM;
    }
    if (!error)
        return;
    dialogue_fail(&t->dialogue, talk_class(error), "%s", talk_reason(error));
    loop_timer_set(t->now, loop_now_ns(t->loop));
}

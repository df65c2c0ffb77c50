// SPDX-License-Identifier: Apache-2.0
#include "agent/talk.h"
#include "agent/dial.h"
#include "base/clock.h"
#include "base/secret.h"
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define READ_SIZE 16384
#define SENT_MAX  (64u << 10) // enciphered

enum probe_class talk_class(int error)
{
    switch (error) {
    case ECONNREFUSED:
    case ENOENT: return CLASS_REFUSED;
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
    if (t->secure)
        secure_goodbye(t->secure, &t->out);
    if (t->open && t->out.len) // nobody waits for whether it arrives
        (void)!send(t->fd, t->out.data, t->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    buf_reset(&t->out);
    secure_free(t->secure);
    t->secure = NULL;
    if (t->open)
        close(t->fd);
    t->open = t->connected = t->resting = false;
    loop_timer_stop(t->now);
}

static void over(struct talk *t)
{
    hang_up(t);
    if (t->starting)
        loop_timer_set(t->now, loop_now_ns(t->loop));
    else
        t->done(t);
}

static void failed(struct talk *t, int error)
{
    dialogue_fail(&t->dialogue, talk_class(error), "%s", talk_reason(error));
    over(t);
}

// What TLS came to. False: it failed, which is the verdict unless there is one.
static bool secured(struct talk *t, int rc, const struct secure_fault *fault)
{
    struct dialogue *d = &t->dialogue;
    t->cert_expiry = secure_expiry(t->secure);
    if (rc == 0)
        return true;
    if (d->state == DIALOGUE_GOES_ON || d->state == DIALOGUE_RESTS)
        dialogue_fail(d, fault->class, "%s", fault->text);
    over(t);
    return false;
}

// Sends what is to be said. False: it failed, and that was told.
static bool speak(struct talk *t)
{
    struct buf *say = &t->dialogue.say;
    if (t->secure) {
        struct secure_fault fault;
        if (secure_open(t->secure) && say->len &&
            !secured(t, secure_say(t->secure, say, &t->out, &fault), &fault))
            return false;
        say = &t->out;
    }
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

static bool turn_secure(struct talk *t)
{
    struct secure_fault fault;
    struct dialogue *d = &t->dialogue;
    d->turns_secure = false;
    // Who is on the way could have put words in front of what the service says under TLS.
    if (t->heard.len) {
        dialogue_fail(d, CLASS_PROTOCOL, "it goes on in the clear after it agreed to TLS");
        over(t);
        return false;
    }
    // What it said to ask for TLS goes out in the clear, before.
    if (buf_add(&t->out, d->say.data, d->say.len) < 0) {
        failed(t, ENOMEM);
        return false;
    }
    buf_reset(&d->say);
    t->secure = secure_new(t->to.trust, t->to.name);
    if (!t->secure) {
        failed(t, ENOMEM);
        return false;
    }
    return secured(t, secure_begin(t->secure, &t->out, &fault), &fault);
}

static void begin(struct talk *t, int type);
static void on_io(void *ctx, int fd, uint32_t events);

static bool watch(struct talk *t, uint32_t events)
{
    if (!t->io)
        t->io = loop_io_add(t->loop, t->fd, events, on_io, t);
    else if (events != t->watched && loop_io_mod(t->io, events) < 0)
        return false;
    t->watched = events;
    return t->io;
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
    if (d->wants_stream && d->state == DIALOGUE_GOES_ON) {
        d->wants_stream = false;
        d->streamed = true;
        hang_up(t);
        buf_reset(&t->heard);
        buf_reset(&d->say);
        begin(t, SOCK_STREAM);
        return false;
    }
    if (d->turns_secure && d->state == DIALOGUE_GOES_ON && !turn_secure(t))
        return false;
    if (!speak(t))
        return false;
    if (d->state != DIALOGUE_GOES_ON && d->state != DIALOGUE_RESTS) {
        over(t);
        return false;
    }
    bool more = t->secure ? t->out.len : d->say.len;
    if (!watch(t, EPOLLIN | (more ? EPOLLOUT : 0u))) {
        failed(t, ENOMEM);
        return false;
    }
    if (d->state != DIALOGUE_RESTS || t->resting)
        return true;
    t->resting = true;
    t->done(t);
    return false;
}

static void take_plain(struct talk *t)
{
    struct dialogue *d = &t->dialogue;
    if (t->heard.failed)
        dialogue_fail(
            d, CLASS_PROTOCOL, "the answer is longer than %u bytes", DIALOGUE_HEARD_MAX);
    else if (t->heard.len)
        buf_drop(&t->heard, dialogue_hear(d, t->heard.data, t->heard.len));
    if (d->kind->datagrams && !d->streamed)
        buf_reset(&t->heard); // a message is a whole
}

// False: it is over, and that was told.
static bool take_secured(struct talk *t, const uint8_t *data, size_t len)
{
    struct secure_fault fault;
    struct dialogue *d = &t->dialogue;
    bool was_open = secure_open(t->secure);
    if (!secured(t, secure_hear(t->secure, data, len, &t->heard, &t->out, &fault), &fault))
        return false;
    if (!was_open && secure_open(t->secure)) {
        d->secured = true;
        d->kind->begin(d);
    }
    take_plain(t);
    if (secure_ended(t->secure))
        dialogue_closed(d);
    return true;
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
        if (n == 0 && d->kind->datagrams && !d->streamed)
            continue; // an empty message is no end
        if (n == 0) {
            dialogue_closed(d);
        } else if (t->secure) {
            if (!take_secured(t, data, (size_t)n))
                return;
        } else {
            (void)buf_add(&t->heard, data, (size_t)n); // heard.failed
            take_plain(t);
        }
        if (!went_on(t))
            return;
    }
}

static void connected(struct talk *t)
{
    struct dialogue *d = &t->dialogue;
    t->connected = true;
    if (d->words.tls && d->kind->tls == DIALOGUE_TLS_FIRST)
        d->turns_secure = true;
    else
        d->kind->begin(d);
    (void)went_on(t);
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
        connected(t);
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
    buf_init(&t->out, SENT_MAX);
    return t->now ? 0 : -ENOMEM;
}

void talk_free(struct talk *t)
{
    hang_up(t);
    loop_timer_free(t->now);
    buf_done(&t->heard);
    buf_done(&t->out);
    dialogue_done(&t->dialogue);
}

void talk_stop(struct talk *t)
{
    hang_up(t);
}

void talk_resume(struct talk *t)
{
    struct dialogue *d = &t->dialogue;
    t->resting = false;
    t->answered_ns = 0;
    d->answered = false;
    d->state = DIALOGUE_GOES_ON;
    d->kind->resume(d);
    take_plain(t); // what it said while nobody asked
    (void)went_on(t);
}

static void begin(struct talk *t, int type)
{
    bool is_there = false;
    int fd = dial(t->to.pulse, t->to.address, t->to.len, type, &is_there);
    if (fd < 0) {
        failed(t, -fd);
        return;
    }
    t->fd = fd;
    t->open = true;
    if (is_there)
        connected(t);
    else if (t->to.address->sa_family != AF_UNIX &&
             !watch(t, EPOLLOUT)) // a path's queue is full
        failed(t, ENOMEM);
}

void talk_start(struct talk *t, const struct talk_to *to, const struct dialogue_kind *kind,
    const struct dialogue_words *words, bool wants_values)
{
    struct dialogue *d = &t->dialogue;
    dialogue_set(d, kind, words, wants_values);
    buf_reset(&t->heard);
    t->to = *to;
    t->answered_ns = 0;
    t->cert_expiry = 0;
    d->on_host = dial_is_here(to->address);
    d->streamed = !kind->datagrams || (words->tls && kind->tls == DIALOGUE_TLS_FIRST);
    int error = kind->wants_nonce ? -random_bytes(d->nonce, sizeof(d->nonce)) : 0;
    t->starting = true;
    if (error)
        failed(t, error);
    else
        begin(t, d->streamed ? SOCK_STREAM : SOCK_DGRAM);
    t->starting = false;
}

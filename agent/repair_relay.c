// SPDX-License-Identifier: Apache-2.0
#include "agent/repair_relay.h"
#include "base/log.h"
#include "wire/decode.h"
#include "wire/encode.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct repair_relay {
    struct env *env;
    struct executor executor; // fd -1: it is gone
    struct loop_io *io;
    struct arena arena; // of one packet
};

static void result_out(struct repair_relay *r, const struct wire_repair_result *result)
{
    output_repair(r->env->out, result);
    r->env->flush(r->env->core);
}

static void gone(struct repair_relay *r)
{
    loop_io_del(r->io);
    r->io = NULL;
    close(r->executor.fd);
    r->executor.fd = -1;
    waitpid(r->executor.pid, NULL, WNOHANG);
    log_error("executor_gone", "hint=%s", log_q("no repairs until the agent is restarted"));
}

static void on_packet(void *ctx, int fd, uint32_t events)
{
    struct repair_relay *r = ctx;
    uint8_t packet[EXECUTOR_PACKET_MAX];
    struct wire_repair_result result;
    (void)events;
    for (;;) {
        ssize_t n = recv(fd, packet, sizeof(packet), MSG_DONTWAIT);
        if (n == -1 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            gone(r);
            return;
        }
        arena_reset(&r->arena);
        if (repair_result_decode(packet, (size_t)n, &r->arena, &result, NULL) == 0)
            result_out(r, &result);
    }
}

static void ask(struct repair_relay *r, const struct wire_repair *one, int64_t sent_ns)
{
    struct buf packet;
    uint64_t expires = (uint64_t)(sent_ns + one->valid_ms * NS_PER_MS);
    if (r->executor.fd == -1) {
        result_out(r, &(struct wire_repair_result){.id = one->id,
                          .outcome = REPAIR_FAILED,
                          .reason = "the agent's executor is gone"});
        return;
    }
    buf_init(&packet, EXECUTOR_PACKET_MAX);
    for (int i = 0; i < EXECUTOR_EXPIRY; i++)
        buf_addc(&packet, (char)(expires >> 8 * i & 0xff));
    // What does not get through now is asked for again with the next reply.
    if (repair_encode(one, &packet) == 0)
        (void)!send(r->executor.fd, packet.data, packet.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    buf_done(&packet);
}

void repair_relay_take(
    struct repair_relay *r, const struct wire_repair *asked, size_t n, int64_t sent_ns)
{
    for (size_t i = 0; i < n; i++)
        ask(r, &asked[i], sent_ns);
}

struct repair_relay *repair_relay_new(struct env *env, const struct executor *executor)
{
    struct repair_relay *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->env = env;
    r->executor = *executor;
    arena_init(&r->arena, 64u << 10);
    r->io = loop_io_add(env->loop, executor->fd, EPOLLIN, on_packet, r);
    if (r->io)
        return r;
    repair_relay_free(r);
    return NULL;
}

void repair_relay_free(struct repair_relay *r)
{
    if (!r)
        return;
    loop_io_del(r->io);
    if (r->executor.fd != -1)
        close(r->executor.fd);
    arena_done(&r->arena);
    free(r);
}

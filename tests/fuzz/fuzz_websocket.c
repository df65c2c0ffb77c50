// SPDX-License-Identifier: Apache-2.0
// links: collector rules wire base
/*
 * Any bytes from a live page, in pieces the first byte chooses: frames, commands, the end. What
 * reaches the shard is within its bounds, and nothing stays behind.
 */
#include "collector/api.h"
#include "collector/command.h"
#include "collector/viewer.h"
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TEXT_MAX 16384

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool on_ask(void *ctx, struct request *r)
{
    (void)ctx;
    bool live = r->kind == REQUEST_SUBSCRIBE || r->kind == REQUEST_UNSUBSCRIBE;
    if (!live || r->window_ms < 0 || r->window_ms > COMMAND_WINDOW_MAX_MS || r->step_ms < 0 ||
        r->step_ms > COMMAND_STEP_MAX_MS || r->since_ms < 0 ||
        r->since_ms > COMMAND_TIME_MAX_MS || (r->expr && strlen(r->expr) > TEXT_MAX))
        abort();
    request_free(r);
    return true;
}

static int64_t wall_ms(void *ctx)
{
    (void)ctx;
    return 1;
}

static void on_closed(void *ctx, struct viewer *v)
{
    *(bool *)ctx = true;
    viewer_free(v);
}

static void drain(int fd)
{
    uint8_t scrap[4096];
    while (recv(fd, scrap, sizeof(scrap), MSG_DONTWAIT) > 0)
        ;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd[2];
    bool gone = false;
    if (size < 1 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) == -1)
        return 0;
    size_t piece = data[0] ? data[0] : size;
    struct loop *loop = loop_new();
    struct viewer_options o = {.loop = loop,
        .fd = fd[0],
        .number = 1,
        .text_max = TEXT_MAX,
        .wall_ms = wall_ms,
        .ask = on_ask,
        .closed = on_closed,
        .ctx = &gone};
    struct viewer *v = loop ? viewer_new(&o) : NULL;
    for (size_t at = 1; v && at < size && !gone; at += piece) {
        size_t n = size - at < piece ? size - at : piece;
        (void)!send(fd[1], data + at, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        loop_once(loop, 0);
        drain(fd[1]);
    }
    shutdown(fd[1], SHUT_WR);
    for (int i = 0; v && i < 100 && !gone; i++) {
        loop_once(loop, 0);
        drain(fd[1]);
    }
    if (v && !gone)
        abort(); // a peer that ended must not stay
    loop_free(loop);
    close(fd[0]);
    close(fd[1]);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
// `tocsin hooks listen`.
#include "base/num.h"
#include "cli/hook_server.h"
#include "cli/hooks.h"
#include "cli/verb.h"
#include <errno.h>
#include <signal.h>
#include <string.h>

#define PORT_DEFAULT 7319

const struct verb_option HOOKS_LISTEN_OPTIONS[] = {
    {"port", "PORT", "where to listen on 127.0.0.1 (default 7319; 0 = any free port)", NULL},
    {0},
};

static void on_signal(void *ctx, int sig)
{
    (void)sig;
    loop_stop(ctx);
}

int hooks_listen_main(const struct cli *c, const struct verb_args *a, struct err *err)
{
    static const int SIGNALS[] = {SIGINT, SIGTERM};
    const char *text = a->option[0];
    uint64_t port = PORT_DEFAULT;
    int rc = 0;
    if (text && (!num_parse_u64(text, strlen(text), &port) || port > UINT16_MAX)) {
        err_set(err, "--port %s: not a port", text);
        return CLI_USAGE;
    }
    struct loop *loop = loop_new();
    if (!loop) {
        err_set(err, "%s", strerror(errno));
        return CLI_NO;
    }
    struct hook_line_options o = {.json = c->json, .color = c->color};
    struct hook_server *s = hook_server_new(loop, (uint16_t)port, &o, c->out, err);
    if (s) {
        fprintf(c->out,
            c->json ? "{\"listening\":\"http://127.0.0.1:%u/\"}\n"
                    : "listening on http://127.0.0.1:%u/\n",
            hook_server_port(s));
        fflush(c->out);
        rc = loop_signals(loop, SIGNALS, 2, on_signal, loop);
        if (rc == 0)
            rc = loop_run(loop);
        if (rc < 0)
            err_set(err, "%s", strerror(-rc));
    }
    bool ended = s && rc >= 0;
    hook_server_free(s);
    loop_free(loop);
    return ended ? CLI_YES : CLI_NO;
}

// SPDX-License-Identifier: Apache-2.0
// `tocsin top`: the terminal, the connection and the loop between them; top_view.c draws.
#include "base/clock.h"
#include "base/loop.h"
#include "cli/live_client.h"
#include "cli/top_view.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define DRAW_GAP_NS (200 * NS_PER_MS) // nobody reads faster
#define RETRY_NS    NS_PER_S
#define SNAPSHOT_NS (3 * NS_PER_S) // without a terminal: how long a whole picture may take
#define ENTER       "\033[?1049h\033[?25l"
#define LEAVE       "\033[?25h\033[?1049l"

struct top {
    const struct cli *cli;
    struct loop *loop;
    struct top_view *view;
    struct live_client *live;
    struct loop_io *live_io, *key_io;
    struct loop_timer *draw, *retry, *deadline;
    bool screen; // a terminal is being drawn on
    int64_t drawn_ns;
    int rc; // of the verb
    struct err *err;
};

static void draw_soon(struct top *t)
{
    int64_t due = t->drawn_ns + DRAW_GAP_NS, now = loop_now_ns(t->loop);
    if (t->screen)
        loop_timer_set(t->draw, due > now ? due : now);
}

static void on_message(void *ctx, const uint8_t *message, size_t len)
{
    struct top *t = ctx;
    // A message of a later version is passed over: what is known still shows.
    (void)top_view_message(t->view, message, len);
    if (t->screen)
        draw_soon(t);
    else if (top_view_complete(t->view))
        loop_stop(t->loop);
}

static void disconnect(struct top *t)
{
    loop_io_del(t->live_io);
    t->live_io = NULL;
    live_client_free(t->live);
    t->live = NULL;
}

static void lost(struct top *t, const char *why)
{
    disconnect(t);
    if (!t->screen) {
        err_set(t->err, "%s", why);
        t->rc = CLI_UNREACHABLE;
        loop_stop(t->loop);
        return;
    }
    top_view_lost(t->view, why);
    loop_timer_set(t->retry, loop_now_ns(t->loop) + RETRY_NS);
    draw_soon(t);
}

static void on_live(void *ctx, int fd, uint32_t events)
{
    struct top *t = ctx;
    (void)fd;
    (void)events;
    if (live_client_step(t->live) < 0) {
        lost(t, "the connection to the collector was lost");
        return;
    }
    loop_io_mod(t->live_io, EPOLLIN | (live_client_wants_write(t->live) ? EPOLLOUT : 0));
}

// CLI_YES or why not, with err.
static int connect_live(struct top *t, struct err *err)
{
    int rc = live_client_open(t->cli, on_message, t, &t->live, err);
    if (rc != CLI_YES)
        return rc;
    t->live_io = loop_io_add(t->loop, live_client_fd(t->live), EPOLLIN | EPOLLOUT, on_live, t);
    struct buf ask;
    buf_init(&ask, 4096);
    for (unsigned sub = 1; sub <= TOP_SUBS && rc == CLI_YES; sub++) {
        buf_reset(&ask);
        if (top_view_subscribe(t->view, sub, &ask) < 0 ||
            live_client_send(t->live, buf_cstr(&ask)) < 0)
            rc = CLI_UNREACHABLE;
    }
    buf_done(&ask);
    if (!t->live_io || rc != CLI_YES) {
        err_set(err, "out of memory");
        disconnect(t);
        return CLI_UNREACHABLE;
    }
    return CLI_YES;
}

static void on_retry(void *ctx, int64_t due_ns, int64_t now_ns)
{
    struct top *t = ctx;
    struct err err = {0};
    (void)due_ns;
    (void)now_ns;
    int rc = connect_live(t, &err);
    if (rc == CLI_YES)
        top_view_lost(t->view, NULL);
    else
        lost(t, err.msg);
}

static void on_deadline(void *ctx, int64_t due_ns, int64_t now_ns)
{
    struct top *t = ctx;
    (void)due_ns;
    (void)now_ns;
    loop_stop(t->loop);
}

// The whole picture in one write, each line cleared behind its end: nothing flickers.
static void on_draw(void *ctx, int64_t due_ns, int64_t now_ns)
{
    struct top *t = ctx;
    struct winsize w = {0};
    char *text = NULL;
    size_t len = 0;
    (void)due_ns;
    t->drawn_ns = now_ns;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) < 0 || w.ws_col == 0 || w.ws_row == 0)
        w = (struct winsize){.ws_col = 80, .ws_row = 24};
    FILE *page = open_memstream(&text, &len);
    if (!page)
        return;
    struct top_size size = {w.ws_col, w.ws_row - 1u};
    bool drawn = top_view_draw(t->view, size, t->cli->color, page);
    if (fclose(page) == 0 && drawn) {
        FILE *out = t->cli->out;
        size_t lines = 0;
        fputs("\033[H", out);
        for (char *line = text; line < text + len && lines < w.ws_row - 1u; lines++) {
            char *end = strchr(line, '\n');
            size_t n = end ? (size_t)(end - line) : strlen(line);
            fprintf(out, "%.*s\033[K\r\n", (int)n, line);
            line += n + 1;
        }
        fputs("\033[J", out);
        fflush(out);
    }
    free(text);
    loop_timer_set(t->draw, now_ns + NS_PER_S); // ages move without messages
}

static void on_key(void *ctx, int fd, uint32_t events)
{
    struct top *t = ctx;
    char keys[64];
    (void)events;
    ssize_t n = read(fd, keys, sizeof(keys));
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        loop_stop(t->loop);
    for (ssize_t i = 0; i < n; i++)
        if (keys[i] == 'q' || keys[i] == 'Q' || keys[i] == 3) // 3 = Ctrl-C
            loop_stop(t->loop);
}

static void on_signal(void *ctx, int sig)
{
    struct top *t = ctx;
    if (sig == SIGWINCH)
        draw_soon(t);
    else
        loop_stop(t->loop);
}

static int run_screen(struct top *t)
{
    static const int SIGNALS[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH};
    struct termios old, raw;
    if (tcgetattr(STDIN_FILENO, &old) < 0) {
        err_set(t->err, "%s", strerror(errno));
        return CLI_NO;
    }
    raw = old;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG);
    t->key_io = loop_io_add(t->loop, STDIN_FILENO, EPOLLIN, on_key, t);
    int rc = t->key_io ? loop_signals(t->loop, SIGNALS, 4, on_signal, t) : -ENOMEM;
    if (rc == 0) {
        tcsetattr(STDIN_FILENO, TCSANOW, &raw);
        fputs(ENTER, t->cli->out);
        draw_soon(t);
        rc = loop_run(t->loop);
        fputs(LEAVE, t->cli->out);
        fflush(t->cli->out);
        tcsetattr(STDIN_FILENO, TCSANOW, &old);
    }
    if (rc < 0)
        err_set(t->err, "%s", strerror(-rc));
    return rc < 0 ? CLI_NO : CLI_YES;
}

static int run_snapshot(struct top *t)
{
    struct clock clock = clock_system();
    loop_timer_set(t->deadline, clock_mono_ns(&clock) + SNAPSHOT_NS);
    int rc = loop_run(t->loop);
    if (rc < 0 || t->rc != CLI_YES)
        return t->rc != CLI_YES ? t->rc : CLI_NO;
    if (!top_view_has_state(t->view)) {
        err_set(t->err, "%s: the collector did not answer in %d s", t->cli->url,
            (int)(SNAPSHOT_NS / NS_PER_S));
        return CLI_UNREACHABLE;
    }
    bool drawn = t->cli->json
                     ? top_view_json(t->view, t->cli->out)
                     : top_view_draw(t->view, (struct top_size){0}, t->cli->color, t->cli->out);
    if (!drawn)
        err_set(t->err, "out of memory");
    return drawn ? CLI_YES : CLI_NO;
}

int top_main(const struct cli *c, const struct verb_args *a, struct err *err)
{
    struct top t = {.cli = c, .err = err, .rc = CLI_YES};
    int rc = CLI_NO;
    t.screen = !c->json && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && c->out == stdout;
    t.view = top_view_new(a->n_words ? a->words[0] : NULL);
    t.loop = loop_new();
    if (t.loop) {
        t.draw = loop_timer_new(t.loop, on_draw, &t);
        t.retry = loop_timer_new(t.loop, on_retry, &t);
        t.deadline = loop_timer_new(t.loop, on_deadline, &t);
    }
    if (!t.view || !t.loop || !t.draw || !t.retry || !t.deadline) {
        err_set(err, "out of memory");
        goto out;
    }
    rc = connect_live(&t, err);
    if (rc == CLI_YES)
        rc = t.screen ? run_screen(&t) : run_snapshot(&t);
    disconnect(&t);
    loop_io_del(t.key_io);
out:
    loop_timer_free(t.draw);
    loop_timer_free(t.retry);
    loop_timer_free(t.deadline);
    loop_free(t.loop);
    top_view_free(t.view);
    return rc;
}

// SPDX-License-Identifier: Apache-2.0
/*
 * A simulated agent that samples what it is told to, for drills: where a peer scrapes a page, this
 * pushes the same values over the real protocol.
 *
 *     feed PORT HOST NUMBER          commands on stdin, a line each:
 *
 *     set NAME{label="value",...} V      labels sorted
 *     fill NAME LABEL FROM TO V          NAME{LABEL="i"} for FROM <= i < TO
 *     send                               a frame now; prints `taken` when the collector has it
 *     hold, go                           fall silent, speak again
 *
 * Beside `send` a frame goes out each half second, so that it counts as heard. A lost connection is tried again
 * every 100 ms. Ends at the end of stdin.
 */
#include "base/map.h"
#include "tests/bench/vagent.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096
#define SERIES_LABELS  8
#define TRY_AGAIN_NS   100000000LL
#define TICK_NS        500000000LL

struct feed {
    struct vagent agent;
    int port;
    struct map ids; // series text -> its place in samples + 1
    struct batch_sample *samples;
    size_t n, cap;
    bool held, owed, asked; // owed: a frame is to go out; asked: `send` waits for its answer
    int64_t tick_ns, try_ns;
    char line[LINE_MAX_BYTES];
    size_t line_len;
};

static _Noreturn void refuse(const char *line)
{
    fprintf(stderr, "feed: cannot read: %s\n", line);
    exit(2);
}

static void declare(struct feed *f, const char *name, struct wire_label *labels, size_t n)
{
    if (f->n == f->cap) {
        f->cap = f->cap ? f->cap * 2 : 64;
        f->samples = realloc(f->samples, f->cap * sizeof(*f->samples));
        if (!f->samples)
            vagent_die("memory");
    }
    struct batch_declare d = {.id = (uint32_t)f->n + 1,
        .name = name,
        .labels = labels,
        .n_labels = n,
        .kind = SERIES_GAUGE,
        .unit = ""};
    if (chain_out_declare(f->agent.chain, &d) < 0)
        refuse(name);
    f->samples[f->n++] = (struct batch_sample){.id = d.id, .kind = SAMPLE_VALUE};
}

// name{a="b",c="d"}, taken apart in place.
static void declare_text(struct feed *f, char *text)
{
    struct wire_label labels[SERIES_LABELS];
    size_t n = 0;
    char *at = strchr(text, '{');
    if (at)
        *at++ = '\0';
    while (at && *at && *at != '}') {
        char *quote = strstr(at, "=\""), *end = quote ? strchr(quote + 2, '"') : NULL;
        if (!end || n == SERIES_LABELS)
            refuse(text);
        *quote = *end = '\0';
        labels[n++] = (struct wire_label){at, quote + 2};
        at = end + 1 + (end[1] == ',');
    }
    declare(f, text, labels, n);
}

static void set(struct feed *f, const char *series, double v)
{
    size_t len = strlen(series);
    size_t at = (size_t)(uintptr_t)map_get(&f->ids, series, len);
    if (!at) {
        char text[LINE_MAX_BYTES];
        snprintf(text, sizeof(text), "%s", series);
        declare_text(f, text);
        at = f->n;
        if (map_set(&f->ids, series, len, (void *)(uintptr_t)at) < 0)
            vagent_die("memory");
    }
    f->samples[at - 1].value = v;
}

static void command(struct feed *f, char *line)
{
    char *word[6], *save = NULL;
    size_t n = 0;
    char copy[LINE_MAX_BYTES];
    snprintf(copy, sizeof(copy), "%s", line);
    for (char *w = strtok_r(copy, " ", &save); w && n < 6; w = strtok_r(NULL, " ", &save))
        word[n++] = w;
    if (n == 3 && strcmp(word[0], "set") == 0) {
        set(f, word[1], strtod(word[2], NULL));
    } else if (n == 6 && strcmp(word[0], "fill") == 0) {
        char series[LINE_MAX_BYTES];
        for (long i = strtol(word[3], NULL, 10); i < strtol(word[4], NULL, 10); i++) {
            snprintf(series, sizeof(series), "%s{%s=\"%ld\"}", word[1], word[2], i);
            set(f, series, strtod(word[5], NULL));
        }
    } else if (n == 1 && strcmp(word[0], "send") == 0) {
        f->owed = f->asked = true;
    } else if (n == 1 && (strcmp(word[0], "hold") == 0 || strcmp(word[0], "go") == 0)) {
        f->held = word[0][0] == 'h';
    } else {
        refuse(line);
    }
}

// False: stdin has ended.
static bool read_commands(struct feed *f)
{
    ssize_t n = read(0, f->line + f->line_len, sizeof(f->line) - 1 - f->line_len);
    if (n <= 0)
        return false;
    f->line_len += (size_t)n;
    f->line[f->line_len] = '\0';
    char *at = f->line, *end;
    while ((end = strchr(at, '\n'))) {
        *end = '\0';
        if (*at)
            command(f, at);
        at = end + 1;
    }
    f->line_len -= (size_t)(at - f->line);
    if (f->line_len == sizeof(f->line) - 1)
        refuse("a line this long");
    memmove(f->line, at, f->line_len);
    return true;
}

static void lost(struct feed *f)
{
    vagent_disconnect(&f->agent);
    chain_out_want_key(f->agent.chain);
    f->try_ns = vagent_mono_ns() + TRY_AGAIN_NS;
    f->owed = true; // what it said last is to be said to whoever listens next
}

static void hear(struct feed *f)
{
    switch (vagent_read(&f->agent)) {
    case VAGENT_WAITING: break;
    case VAGENT_LOST: lost(f); break;
    case VAGENT_REFUSED: f->owed = true; break;
    case VAGENT_TAKEN:
        if (f->asked && !f->owed) {
            f->asked = false;
            puts("taken");
            fflush(stdout);
        }
        break;
    }
}

static void advance(struct feed *f)
{
    int64_t now = vagent_mono_ns();
    if (now >= f->tick_ns) {
        f->tick_ns = now + TICK_NS;
        f->owed |= !f->held;
    }
    if (f->agent.fd == -1 && now >= f->try_ns) {
        f->try_ns = now + TRY_AGAIN_NS;
        (void)vagent_connect(&f->agent, f->port, 0);
    }
    if (f->agent.fd == -1 || f->agent.busy || !f->owed || !f->n || (f->held && !f->asked))
        return;
    f->owed = false;
    f->tick_ns = now + TICK_NS;
    if (vagent_push(&f->agent, f->samples, f->n) < 0)
        lost(f);
}

static int wait_ms(const struct feed *f)
{
    int64_t due = f->agent.fd == -1 && f->try_ns < f->tick_ns ? f->try_ns : f->tick_ns;
    int64_t ms = (due - vagent_mono_ns()) / 1000000 + 1;
    return ms < 0 ? 0 : (int)ms;
}

int main(int argc, char **argv)
{
    struct feed f = {0};
    if (argc != 4) {
        fprintf(stderr, "usage: feed PORT HOST NUMBER\n");
        return 2;
    }
    f.port = atoi(argv[1]);
    map_init(&f.ids);
    vagent_init(&f.agent, argv[2], strtoul(argv[3], NULL, 10));
    for (;;) {
        struct pollfd p[] = {{.fd = 0, .events = POLLIN}, {.fd = f.agent.fd, .events = POLLIN}};
        advance(&f);
        p[1].fd = f.agent.fd;
        if (poll(p, 2, wait_ms(&f)) == -1 && errno != EINTR)
            vagent_die("poll");
        if (p[0].revents && !read_commands(&f))
            break;
        if (p[1].revents && f.agent.fd != -1)
            hear(&f);
    }
    vagent_done(&f.agent);
    map_done(&f.ids);
    free(f.samples);
    return 0;
}

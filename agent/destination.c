// SPDX-License-Identifier: Apache-2.0
#include "agent/destination.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ADDRESS_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]"

// url is taken over if all goes well.
static int go(struct destination *d, char *url)
{
    int rc = d->moved(d->ctx, url);
    if (rc < 0)
        return rc;
    if (d->url != d->home)
        free(d->url);
    d->url = url;
    d->failures = 0;
    return 0;
}

static void on_timer(void *ctx, int64_t due_ns, int64_t now_ns)
{
    struct destination *d = ctx;
    (void)due_ns;
    (void)now_ns;
    // A body in flight is not disturbed: the next one goes there.
    if (d->next && go(d, d->next) < 0)
        free(d->next);
    d->next = NULL;
}

int destination_init(struct destination *d, struct loop *loop, const struct clock *clock,
    const char *collector, const char *path)
{
    size_t len = strlen(collector), size;
    while (len > 0 && collector[len - 1] == '/')
        len--;
    size = len + strlen(path) + 1;
    d->path = path;
    d->clock = clock;
    d->timer = loop_timer_new(loop, on_timer, d);
    d->home = d->url = malloc(size);
    if (!d->timer || !d->home)
        return -ENOMEM;
    snprintf(d->home, size, "%.*s%s", (int)len, collector, path);
    return 0;
}

void destination_done(struct destination *d)
{
    loop_timer_free(d->timer);
    free(d->next);
    if (d->url != d->home)
        free(d->url);
    free(d->home);
}

void destination_goaway(struct destination *d, const char *to, int64_t after_ms)
{
    if (!to || !*to || d->next || strspn(to, ADDRESS_CHARS) != strlen(to))
        return;
    size_t scheme = (size_t)(strstr(d->home, "://") - d->home) + 3;
    size_t size = scheme + strlen(to) + strlen(d->path) + 1;
    char *url = malloc(size);
    if (!url)
        return; // it will be asked for again
    snprintf(url, size, "%.*s%s%s", (int)scheme, d->home, to, d->path);
    if (strcmp(url, d->url) == 0) {
        free(url);
        return;
    }
    d->next = url;
    loop_timer_set(d->timer, clock_mono_ns(d->clock) + after_ms * NS_PER_MS);
}

void destination_failed(struct destination *d)
{
    // One we were sent to and that does not answer: back to the one we were told by its owner.
    if (d->url != d->home && ++d->failures >= DESTINATION_FAILURES)
        go(d, d->home);
}

void destination_well(struct destination *d)
{
    d->failures = 0;
}

// SPDX-License-Identifier: Apache-2.0
// The stats socket of HAProxy: `show stat`, which ends with an empty line. Source: chapter 9.3 of its
// management guide.
#include "agent/dialogue.h"
#include "agent/page.h"

static void haproxy_begin(struct dialogue *d)
{
    static const char ASK[] = "show stat\n";
    dialogue_say(d, ASK, sizeof(ASK) - 1);
}

// All of it is kept until it is whole; the first line is proof enough that it is alive.
static size_t haproxy_hear(struct dialogue *d, const uint8_t *data, size_t len)
{
    struct page_round round = {0};
    const char *text = (const char *)data;
    size_t line, taken;
    if (!d->answered) {
        if (!dialogue_line(data, len, &line, &taken))
            return 0;
        if (dialogue_begins(data, line, "Permission denied")) {
            dialogue_refused(d, CLASS_LOGIN, "refused", data, line);
            return taken;
        }
        d->answered = PAGE_HAPROXY.read(&round, 0, text, line, NULL);
        if (!d->answered) {
            dialogue_refused(d, CLASS_PROTOCOL, "not HAProxy", data, line);
            return taken;
        }
        if (!d->sink)
            d->state = DIALOGUE_DONE;
    }
    if (!d->sink || data[len - 1] != '\n' || data[len - 2] != '\n')
        return 0;
    (void)PAGE_HAPROXY.read(&round, 0, text, len, d->sink);
    d->state = DIALOGUE_DONE;
    return len;
}

const struct dialogue_kind DIALOGUE_HAPROXY = {
    .name = "haproxy", .begin = haproxy_begin, .hear = haproxy_hear};

// SPDX-License-Identifier: Apache-2.0
// links: base wire agent
// Whatever a service says to a probe, whole or in two pieces: the conversation takes no more than there
// is, ends once, and never says more than its buffer holds. The first byte picks protocol, carrier and login.
#include "agent/dialogue.h"
#include "agent/page.h"
#include <stdlib.h>

static size_t hear(struct dialogue *d, const uint8_t *data, size_t len)
{
    size_t taken = dialogue_hear(d, data, len);
    if (taken > len || d->say.len > d->say.max)
        abort();
    buf_reset(&d->say);
    return taken;
}

static void taken(void *ctx, const char *name, const struct wire_label *labels, size_t n,
    enum series_kind kind, const char *unit, double value)
{
    (void)ctx;
    (void)kind;
    (void)unit;
    (void)value;
    for (size_t i = 0; i < n; i++)
        if (!labels[i].name || !labels[i].value || !*name)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct dialogue_words WORDS[] = {
        {.host = "h", .path = "/", .dns = {.name = "a.test", .type = 1}},
        {.user = "u",
            .password = "p",
            .host = "h",
            .path = "/",
            .dns = {.name = "a.test", .type = 16, .answer = "x"}}};
    static const struct page_sink SINK = {.value = taken};
    struct dialogue d = {0};
    if (size < 2)
        return 0;
    const struct dialogue_kind *kind = DIALOGUES[(data[0] & 31) % DIALOGUE_KINDS];
    if (kind->kept && data[0] >> 7)
        kind = kind->kept;
    dialogue_set(&d, kind, &WORDS[data[0] >> 7], data[0] & 64);
    d.sink = data[0] & 64 ? &SINK : NULL;
    d.streamed = data[0] & 32;
    kind->begin(&d);
    buf_reset(&d.say);
    size_t cut = data[1] < size - 2 ? data[1] : size - 2, len = size - 2;
    size_t at = hear(&d, data + 2, cut);
    if (d.state == DIALOGUE_GOES_ON)
        (void)hear(&d, data + 2 + at, len - at);
    dialogue_closed(&d);
    if (d.state == DIALOGUE_GOES_ON || (d.state == DIALOGUE_FAILED && d.class == CLASS_NONE))
        abort();
    dialogue_done(&d);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
// links: base wire agent
// Whatever a service shows instead of its page: what is taken of it are names and labels the wire allows,
// and what is no such page gives no value. The first byte picks the page.
#include "agent/page.h"
#include "wire/name.h"
#include <stdlib.h>
#include <string.h>

static void value(void *ctx, const char *name, const struct wire_label *labels, size_t n,
    enum series_kind kind, const char *unit, double v)
{
    (void)kind;
    (void)unit;
    (void)v;
    ++*(size_t *)ctx;
    if (!wire_metric_ok(name))
        abort();
    for (size_t i = 0; i < n; i++)
        if (!wire_text_ok(labels[i].value, 1, WIRE_VALUE_MAX))
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct page_kind *const KINDS[] = {
        &PAGE_NGINX, &PAGE_HAPROXY, &PAGE_RABBITMQ, &PAGE_NATS};
    struct page_round round = {0};
    size_t values = 0;
    struct page_sink sink = {.value = value, .ctx = &values};
    if (size < 1)
        return 0;
    const struct page_kind *kind = KINDS[data[0] % 4];
    size_t nth = kind == &PAGE_RABBITMQ ? data[0] / 4 % PAGES_MAX : 0;
    // Not NUL-terminated, as a page is not.
    char *text = malloc(size);
    if (!text)
        return 0;
    memcpy(text, data + 1, size - 1);
    bool is = kind->read(&round, nth, text, size - 1, &sink);
    if (!is && values)
        abort();
    round = (struct page_round){0};
    if (is != kind->read(&round, nth, text, size - 1, NULL))
        abort();
    free(text);
    return 0;
}

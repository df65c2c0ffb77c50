// SPDX-License-Identifier: Apache-2.0
// links: rules base
// Series notation: any text is read or refused with a place inside it, and a histogram that was
// read prints as text that reads as the same histogram.
#include "rules/series_text.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// A bucket's place may be too far from the next for the gap to be written out as zeros.
static bool printable(const struct histogram_side *s)
{
    for (uint32_t i = 1; i < s->n; i++)
        if ((int64_t)s->index[i] - s->index[i - 1] > 1)
            return (int64_t)s->index[s->n - 1] - s->index[0] < HISTOGRAM_BUCKETS_MAX;
    return true;
}

static void check_histogram(const struct histogram *h)
{
    struct arena a;
    struct buf text;
    struct series_values again;
    struct parse_error e;
    histogram_fault(h);
    if (!printable(&h->positive) || !printable(&h->negative))
        return;
    arena_init(&a, 16u << 20);
    buf_init(&text, 1u << 20);
    series_histogram_print(h, &text);
    if (!text.failed) {
        int rc = series_values_parse(buf_cstr(&text), text.len, &a, &again, &e);
        if (rc != -ENOMEM && (rc < 0 || again.n != 1 || !again.v[0].h))
            abort();
        // NaN has many spellings in bits, one in text.
        const struct histogram *x = rc < 0 ? NULL : again.v[0].h;
        if (x && (x->schema != h->schema || x->hint != h->hint ||
                     x->positive.n != h->positive.n || x->negative.n != h->negative.n))
            abort();
    }
    buf_done(&text);
    arena_done(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct labels labels;
    struct series_values v;
    struct parse_error e = {.start = -1};
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    arena_init(&a, 16u << 20);
    int rc = series_line_parse(text, size, &a, &labels, &v, &e);
    for (size_t i = 0; rc == 0 && i < v.n && i < 4; i++)
        if (v.v[i].h)
            check_histogram(v.v[i].h);
    if (rc == -EINVAL &&
        (e.start < 0 || e.end < e.start || (size_t)e.end > size + 1 || !e.msg[0]))
        abort();
    arena_done(&a);
    free(text);
    return 0;
}

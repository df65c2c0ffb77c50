// SPDX-License-Identifier: Apache-2.0
// links: agent wire base
/*
 * The first byte says which kind of page the rest is, and in pieces of what size it arrives. However it
 * arrives the samples are the same, their labels are what the wire carries, and known keys name the same
 * series again.
 */
#include "agent/exposition.h"
#include "base/map.h"
#include "wire/name.h"
#include <stdlib.h>
#include <string.h>

struct sum {
    uint64_t hash;
    size_t n;
};

static void mix(struct sum *s, const void *data, size_t len)
{
    s->hash = hash_bytes(data, len, s->hash + len);
}

static bool sample(
    void *ctx, struct exposition *x, const struct exposition_sample *s, struct err *err)
{
    struct sum *sum = ctx;
    const char *name;
    const struct wire_label *l;
    size_t n;
    if (!exposition_labels(x, &name, &l, &n, err)) {
        if (!err->msg[0])
            abort();
        return false;
    }
    sum->n++;
    mix(sum, s->key, s->key_len);
    mix(sum, name, strlen(name));
    for (size_t i = 0; i < n; i++) {
        if (!wire_text_ok(l[i].value, 0, SIZE_MAX - 1) ||
            !wire_text_ok(l[i].name, 1, SIZE_MAX - 1))
            abort();
        mix(sum, l[i].name, strlen(l[i].name));
        mix(sum, l[i].value, strlen(l[i].value));
    }
    if (s->histogram && !s->unsupported) {
        if (s->histogram->n > WIRE_BUCKETS_MAX && s->histogram->scale > WIRE_SCALE_MIN)
            abort();
        mix(sum, s->histogram->index, s->histogram->n * sizeof(int32_t));
        mix(sum, s->histogram->count, s->histogram->n * sizeof(uint64_t));
    } else if (!s->histogram) {
        mix(sum, &s->value, sizeof(s->value));
    }
    if (s->has_stamp)
        mix(sum, &s->stamp_ms, sizeof(s->stamp_ms));
    return true;
}

static int read_in(struct exposition *x, enum exposition_format format, const uint8_t *data,
    size_t size, size_t piece)
{
    struct err err = {0};
    int rc = 0;
    exposition_begin(x, format);
    for (size_t at = 0; rc == 0 && at < size; at += piece)
        rc = exposition_feed(x, data + at, piece < size - at ? piece : size - at, &err);
    if (rc == 0)
        rc = exposition_end(x, &err);
    if (rc < 0 && !err.msg[0])
        abort();
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sum whole = {0}, parts = {0};
    if (size < 1)
        return 0;
    enum exposition_format format = (enum exposition_format)(data[0] % 3);
    size_t piece = data[0] / 3 + 1u;
    data++;
    size--;
    struct exposition *x = exposition_new(sample, &whole), *y = exposition_new(sample, &parts);
    if (!x || !y)
        abort();
    int one = read_in(x, format, data, size, size ? size : 1);
    int other = read_in(y, format, data, size, piece);
    if (one != other || whole.n != parts.n || whole.hash != parts.hash)
        abort();
    exposition_free(x);
    exposition_free(y);
    return 0;
}

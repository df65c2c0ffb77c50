// SPDX-License-Identifier: Apache-2.0
#include "cli/held.h"
#include "cli/text.h"
#include <stdlib.h>
#include <string.h>

// gcc 12's -fanalyzer loses what the list owns, and takes it for leaked.
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

struct held_alert {
    char *labels, *why;
};
struct held {
    struct held_alert *a; // by labels
    size_t n;
};

static int by_labels(const void *a, const void *b)
{
    const struct held_alert *x = a, *y = b;
    return strcmp(x->labels, y->labels);
}

static void add_reasons(const cJSON *status, const char *key, bool named, struct buf *b)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(status, key), *one;
    if (!named && cJSON_GetArraySize(list) > 0) // ids of silences: one word for all
        buf_addf(b, "%ssilence", b->len ? ", " : "");
    cJSON_ArrayForEach(one, list)
    {
        if (named && cJSON_IsString(one))
            buf_addf(b, "%s%s", b->len ? ", " : "", one->valuestring);
    }
}

static bool add(struct held *h, const cJSON *alert)
{
    const cJSON *status = cJSON_GetObjectItemCaseSensitive(alert, "status");
    struct buf labels, why;
    buf_init(&labels, 1u << 20);
    buf_init(&why, 1u << 16);
    add_reasons(status, "silencedBy", false, &why);
    add_reasons(status, "inhibitedBy", true, &why);
    add_reasons(status, "mutedBy", true, &why);
    bool ok = true;
    if (why.len) {
        json_labels(cJSON_GetObjectItemCaseSensitive(alert, "labels"), NULL, &labels);
        struct held_alert *x = &h->a[h->n];
        x->labels = strdup(buf_cstr(&labels));
        x->why = strdup(buf_cstr(&why));
        h->n++;
        ok = x->labels && x->why;
    }
    buf_done(&labels);
    buf_done(&why);
    return ok;
}

struct held *held_read(const struct cli *c)
{
    cJSON *list = NULL;
    const cJSON *alert;
    struct err ignored = {0};
    struct held *h = calloc(1, sizeof(*h));
    bool ok = h && client_send(c, "GET", "/api/v2/alerts", NULL, &list, &ignored) == CLI_YES;
    if (ok)
        h->a = calloc((size_t)cJSON_GetArraySize(list) + 1, sizeof(*h->a));
    ok = ok && h->a;
    cJSON_ArrayForEach(alert, list)
    {
        ok = ok && add(h, alert);
    }
    cJSON_Delete(list);
    if (!ok) {
        held_free(h);
        return NULL;
    }
    qsort(h->a, h->n, sizeof(*h->a), by_labels);
    return h;
}

void held_free(struct held *h)
{
    if (!h)
        return;
    for (size_t i = 0; i < h->n; i++) {
        free(h->a[i].labels);
        free(h->a[i].why);
    }
    free(h->a);
    free(h);
}

const char *held_why(const struct held *h, const char *labels)
{
    struct held_alert key = {.labels = (char *)(uintptr_t)labels};
    const struct held_alert *found =
        h && h->n ? bsearch(&key, h->a, h->n, sizeof(key), by_labels) : NULL;
    return found ? found->why : "";
}

// SPDX-License-Identifier: Apache-2.0
// Which series, labels and label values there are: /api/v1/series, labels, label/N/values.
#include "base/map.h"
#include "collector/api.h"
#include "rules/parse.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum ask { ASK_SERIES, ASK_LABELS, ASK_VALUES };

struct names {
    const struct source *src;
    struct request *r;
    struct map chosen;     // series id -> itself, so that two selectors give a series once
    struct series_ids ids; // of one selector
    struct series_ids all; // of all, in order of choice
};

static int choose(struct names *n, const struct matcher *m, size_t n_matchers)
{
    n->ids.n = 0;
    int rc = n->src->select(n->src->self, m, n_matchers, &n->ids);
    for (size_t i = 0; i < n->ids.n && rc == 0; i++) {
        uint32_t id = n->ids.id[i];
        struct point p;
        if (map_get(&n->chosen, &id, sizeof(id)))
            continue;
        // With a time range only what had a sample in it.
        if (n->r->start_ms &&
            (!n->src->latest(n->src->self, id, n->r->end_ms ? n->r->end_ms : INT64_MAX, &p) ||
                p.t_ms < n->r->start_ms))
            continue;
        rc = map_set(&n->chosen, &id, sizeof(id), n);
        if (n->all.n == n->all.cap) {
            size_t cap = n->all.cap ? n->all.cap * 2 : 64;
            uint32_t *grown = realloc(n->all.id, cap * sizeof(*grown));
            if (!grown)
                return -ENOMEM;
            n->all.id = grown;
            n->all.cap = cap;
        }
        n->all.id[n->all.n++] = id;
    }
    return rc;
}

// One selector per line. False: r holds the error.
static bool choose_lines(struct names *n, const char *lines)
{
    bool ok = true;
    while (ok && *lines) {
        size_t len = strcspn(lines, "\n");
        struct arena arena;
        struct expr_root x = {0};
        struct parse_error e = {0};
        arena_init(&arena, 4u << 20);
        int rc = expr_parse(lines, len, &arena, &x, &e);
        if (rc == 0 && x.root->kind != EXPR_SELECTOR) {
            api_error(n->r, 400, "bad_data", "invalid parameter \"match[]\": not a selector");
            ok = false;
        } else if (rc < 0) {
            api_error(n->r, rc == -ENOMEM ? 503 : 400, "bad_data",
                "invalid parameter \"match[]\": 1:%d: parse error: %s", e.start + 1,
                rc == -ENOMEM ? "out of memory" : e.msg);
            ok = false;
        } else if (choose(n, x.root->matchers, x.root->n_matchers) < 0) {
            api_error(n->r, 503, "execution", "out of memory");
            ok = false;
        }
        expr_done(&x);
        arena_done(&arena);
        lines += len + (lines[len] == '\n');
    }
    return ok;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

// Distinct names of labels, or values of one, sorted.
static int add_texts(struct names *n, enum ask ask, const char *label, size_t limit)
{
    struct map seen;
    const char **text = NULL;
    size_t count = 0, cap = 0;
    int rc = 0;
    map_init(&seen);
    for (size_t i = 0; i < n->all.n && rc == 0; i++) {
        struct labels l = n->src->labels(n->src->self, n->all.id[i]);
        for (size_t k = 0; k < l.n && rc == 0; k++) {
            const char *s = ask == ASK_LABELS ? l.l[k].name : l.l[k].value;
            if (ask == ASK_VALUES && strcmp(l.l[k].name, label) != 0)
                continue;
            if (map_get(&seen, s, strlen(s)))
                continue;
            if (count == cap) {
                cap = cap ? cap * 2 : 64;
                const char **grown = realloc(text, cap * sizeof(*grown));
                if (!grown) {
                    rc = -ENOMEM;
                    break;
                }
                text = grown;
            }
            text[count++] = s;
            rc = map_set(&seen, s, strlen(s), n);
        }
    }
    if (text)
        qsort(text, count, sizeof(*text), by_text);
    for (size_t i = 0; text && i < count && i < limit; i++) {
        if (i)
            buf_addc(&n->r->body, ',');
        buf_add_json(&n->r->body, text[i], strlen(text[i]));
    }
    free(text);
    map_done(&seen);
    return rc;
}

void api_names(struct pipeline *p, struct request *r)
{
    struct names n = {.src = pipeline_source(p), .r = r};
    const char *text = r->expr ? r->expr : "labels";
    size_t head = strcspn(text, "\n"), limit = r->limit ? r->limit : API_SERIES_LIMIT;
    const char *lines = text + head + (text[head] == '\n');
    char label[512] = "";
    enum ask ask = ASK_LABELS;
    int rc = 0;

    map_init(&n.chosen);
    if (head == 6 && strncmp(text, "series", 6) == 0) {
        ask = ASK_SERIES;
    } else if (head > 7 && strncmp(text, "values ", 7) == 0) {
        ask = ASK_VALUES;
        if (head - 7 >= sizeof(label)) {
            api_error(r, 400, "bad_data", "invalid label name: too long");
            goto out;
        }
        memcpy(label, text + 7, head - 7);
        label[head - 7] = '\0';
        if (!label_name_plain(label)) {
            api_error(r, 400, "bad_data", "invalid label name: \"%s\"", label);
            goto out;
        }
    }
    if (ask == ASK_SERIES && !*lines) {
        api_error(r, 400, "bad_data", "no match[] parameter provided");
        goto out;
    }
    if (*lines) {
        if (!choose_lines(&n, lines))
            goto out;
    } else {
        rc = choose(&n, NULL, 0);
    }
    buf_adds(&r->body, "{\"status\":\"success\",\"data\":[");
    for (size_t i = 0; ask == ASK_SERIES && i < n.all.n && i < limit; i++) {
        struct labels l = n.src->labels(n.src->self, n.all.id[i]);
        if (i)
            buf_addc(&r->body, ',');
        labels_json(&l, &r->body);
    }
    if (ask != ASK_SERIES && rc == 0)
        rc = add_texts(&n, ask, label, limit);
    buf_addc(&r->body, ']');
    if (n.all.n > limit && ask == ASK_SERIES)
        buf_adds(&r->body, ",\"warnings\":[\"results truncated due to limit\"]");
    buf_addc(&r->body, '}');
    if (rc < 0)
        api_error(r, 503, "execution", "out of memory");
out:
    map_done(&n.chosen);
    free(n.ids.id);
    free(n.all.id);
}

// SPDX-License-Identifier: Apache-2.0
// `tocsin alerts log`: the collector's log of alerting, newest first, page by page.
#include "base/num.h"
#include "base/when.h"
#include "cli/client.h"
#include "cli/text.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LOG_SINCE, LOG_KIND, LOG_LIMIT };
#define PAGE          1000
#define DEFAULT_LIMIT 100

struct log {
    const struct cli *c;
    struct table table;
    uint64_t left, shown;
};

static const char *local_time(const char *rfc3339, char ret[static 40])
{
    int64_t ms;
    struct tm tm;
    ret[0] = '\0';
    if (!when_parse(rfc3339, &ms))
        return rfc3339;
    time_t s = (time_t)(ms / 1000);
    localtime_r(&s, &tm);
    size_t n = strftime(ret, 32, "%Y-%m-%d %H:%M:%S", &tm);
    snprintf(ret + n, 40 - n, ".%03d", (int)(ms % 1000));
    return ret;
}

static void add_details(const cJSON *e, struct buf *b)
{
    static const char *const SKIP[] = {"alertname", NULL};
    const cJSON *mute, *labels = cJSON_GetObjectItemCaseSensitive(e, "labels");
    const char *by = json_text(e, "by"), *comment = json_text(e, "comment");
    if (labels)
        json_labels(labels, SKIP, b);
    buf_adds(b, json_text(e, "matchers"));
    if (by[0])
        buf_addf(b, "%sby %s", b->len ? " " : "", by);
    if (comment[0])
        buf_addf(b, "%s\"%s\"", b->len ? " " : "", comment);
    const char *gap = " not told: ";
    cJSON_ArrayForEach(mute, cJSON_GetObjectItemCaseSensitive(e, "mutedBy"))
    {
        buf_addf(b, "%s%s", gap, cJSON_IsString(mute) ? mute->valuestring : "");
        gap = ", ";
    }
}

static void add_row(struct log *l, const cJSON *e)
{
    char at[40], number[NUM_TEXT_MAX];
    struct buf details;
    const char *kind = json_text(e, "kind");
    const char *value =
        json_text(e, "value"); // "1e+00", as the API prints it; a person reads 1
    double v;
    const char *alert = json_text(cJSON_GetObjectItemCaseSensitive(e, "labels"), "alertname");
    enum text_color color = strcmp(kind, "firing") == 0     ? TEXT_BAD
                            : strcmp(kind, "pending") == 0  ? TEXT_WARN
                            : strcmp(kind, "resolved") == 0 ? TEXT_GOOD
                                                            : TEXT_PLAIN;
    buf_init(&details, 1u << 20);
    add_details(e, &details);
    if (num_parse(value, strlen(value), &v)) {
        num_short(v, number);
        value = number;
    }
    table_cell(&l->table, TEXT_DIM, local_time(json_text(e, "at"), at));
    table_cell(&l->table, color, kind);
    table_cell(&l->table, TEXT_BOLD, alert);
    table_cell(&l->table, TEXT_PLAIN, value);
    table_cell(&l->table, TEXT_PLAIN, buf_cstr(&details));
    buf_done(&details);
}

static bool add_event(struct log *l, const cJSON *e)
{
    if (!l->c->json) {
        add_row(l, e);
        return true;
    }
    char *text = cJSON_PrintUnformatted(e);
    if (text)
        fprintf(l->c->out, "%s\n%s", l->shown ? "," : "", text);
    cJSON_free(text);
    return text != NULL;
}

// One page. *next: where the next one begins, freed by the caller; NULL: this was the last.
static int page(struct log *l, const char *query, char **next, struct err *err)
{
    cJSON *doc = NULL;
    const cJSON *data, *e;
    struct buf path;
    char text[32];
    buf_init(&path, 1u << 17);
    buf_adds(&path, query);
    snprintf(text, sizeof(text), "%llu", (unsigned long long)(l->left < PAGE ? l->left : PAGE));
    client_param(&path, "limit", text);
    if (*next)
        client_param(&path, "before", *next);
    free(*next);
    *next = NULL;
    int rc = client_get(l->c, buf_cstr(&path), &doc, &data, err);
    buf_done(&path);
    const cJSON *list = rc == CLI_YES ? cJSON_GetObjectItemCaseSensitive(data, "events") : NULL;
    cJSON_ArrayForEach(e, list)
    {
        if (!add_event(l, e)) {
            err_set(err, "out of memory");
            rc = CLI_NO;
            break;
        }
        l->shown++;
        l->left--;
    }
    const char *before = rc == CLI_YES ? json_text(data, "next") : "";
    if (before[0] && l->left)
        *next = strdup(before);
    cJSON_Delete(doc);
    return rc;
}

static int pages(struct log *l, const char *query, struct err *err)
{
    char *next = NULL;
    int rc;
    do
        rc = page(l, query, &next, err);
    while (rc == CLI_YES && next);
    free(next);
    return rc;
}

static int read_options(
    const struct verb_args *a, struct log *l, struct buf *query, struct err *err)
{
    const char *since = a->option[LOG_SINCE] ? a->option[LOG_SINCE] : "24h";
    const char *limit = a->option[LOG_LIMIT];
    int64_t ms;
    char text[40];
    if (!duration_parse(since, strlen(since), &ms) || ms <= 0) {
        err_set(err, "--since says how far back, e.g. --since 24h");
        return CLI_USAGE;
    }
    l->left = DEFAULT_LIMIT;
    if (limit && (!num_parse_u64(limit, strlen(limit), &l->left) || !l->left)) {
        err_set(err, "--limit is a number, e.g. --limit 1000");
        return CLI_USAGE;
    }
    ms = when_now_ms() - ms;
    ms = ms < 0 ? 0 : ms;
    snprintf(text, sizeof(text), "%lld.%03d", (long long)(ms / 1000), (int)(ms % 1000));
    buf_adds(query, "/api/v1/alerts/log");
    client_param(query, "since", text);
    if (a->option[LOG_KIND])
        client_param(query, "kind", a->option[LOG_KIND]);
    for (int i = 0; i < a->n_words; i++)
        client_param(query, "filter", a->words[i]);
    return CLI_YES;
}

int alerts_log_main(const struct cli *c, const struct verb_args *a, struct err *err)
{
    static const char *const HEADINGS[] = {"AT", "EVENT", "ALERT", ">VALUE", "DETAILS"};
    struct log l = {.c = c};
    struct buf query;
    buf_init(&query, 1u << 16);
    table_init(&l.table, HEADINGS, 5);
    int rc = read_options(a, &l, &query, err);
    if (rc == CLI_YES && c->json)
        fputs("[", c->out);
    if (rc == CLI_YES)
        rc = pages(&l, buf_cstr(&query), err);
    if (rc == CLI_YES && c->json) {
        fputs("\n]\n", c->out);
    } else if (rc == CLI_YES && !l.shown) {
        fputs("nothing is in the log of that time\n", c->out);
    } else if (rc == CLI_YES && !table_print(&l.table, 0, c->color, c->out)) {
        err_set(err, "out of memory");
        rc = CLI_NO;
    }
    table_done(&l.table);
    buf_done(&query);
    return rc;
}

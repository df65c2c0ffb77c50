// SPDX-License-Identifier: Apache-2.0
// `tocsin hooks log` and `hooks show`.
#include "base/num.h"
#include "base/when.h"
#include "cli/client.h"
#include "cli/hooks.h"
#include <string.h>
#include <time.h>

#define PAGE      1000 // rows of one question
#define ROWS      100  // shown when nothing else is said
#define ERROR_MAX 60

enum { LOG_RECEIVER, LOG_FAILED, LOG_SINCE, LOG_LIMIT };
const struct verb_option HOOKS_LOG_OPTIONS[] = {
    {"receiver", "NAME", "only messages to this receiver, or to one integration: ops/slack0",
        NULL},
    {"failed", NULL, "only what did not get through", NULL},
    {"since", "DURATION", "only of the last DURATION: 2h", NULL},
    {"limit", "N", "at most so many, the newest (default 100; 0 = all)", NULL},
    {0},
};

int hooks_since_param(struct buf *path, const char *since, struct err *err)
{
    char iso[40];
    int64_t ms;
    struct tm tm;
    if (!duration_parse(since, strlen(since), &ms) || ms <= 0) {
        err_set(err, "--since %s is not a duration as 2h", since);
        return CLI_USAGE;
    }
    time_t s = (time_t)((when_now_ms() - ms) / 1000);
    gmtime_r(&s, &tm);
    strftime(iso, sizeof(iso), "%Y-%m-%dT%H:%M:%SZ", &tm);
    client_param(path, "since", iso);
    return CLI_YES;
}

static bool is(const cJSON *d, const char *name, const char *value)
{
    return strcmp(json_text(d, name), value) == 0;
}

// "Slow firing +2"
static void says(const cJSON *d, struct buf *b)
{
    const cJSON *first = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(d, "alerts"), 0);
    double n = json_number(d, "changed");
    if (is(d, "kind", "test"))
        buf_adds(b, "drill");
    else if (is(d, "kind", "replay"))
        buf_addf(b, "letter %.0f again", json_number(d, "of"));
    else if (!first)
        buf_adds(b, "reminder");
    else
        buf_addf(b, "%s %s", json_text(first, "alertname"), json_text(first, "status"));
    if (n > 1)
        buf_addf(b, " +%.0f", n - 1);
}

static void row(struct table *t, const cJSON *d)
{
    char text[256], clock[WHEN_TEXT_MAX] = "";
    int64_t at;
    struct buf b;
    bool sent = is(d, "outcome", "sent");
    bool interrupted = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(d, "interrupted"));
    buf_init(&b, 4096);
    snprintf(text, sizeof(text), "%.0f", json_number(d, "id"));
    table_cell(t, TEXT_DIM, text);
    if (when_parse(json_text(d, "firstAt"), &at))
        when_clock(at, clock);
    table_cell(t, TEXT_PLAIN, clock);
    table_cell(t, TEXT_BOLD, json_text(d, "receiver"));
    says(d, &b);
    table_cell(t, TEXT_PLAIN, buf_cstr(&b));
    buf_done(&b);
    table_cell(t,
        sent                         ? TEXT_GOOD
        : is(d, "outcome", "failed") ? TEXT_BAD
                                     : TEXT_WARN,
        interrupted ? "interrupted" : json_text(d, "outcome"));
    snprintf(text, sizeof(text), "%.0f", json_number(d, "status"));
    table_cell(t, TEXT_PLAIN, text);
    snprintf(text, sizeof(text), "%.0f", json_number(d, "tries"));
    table_cell(t, TEXT_PLAIN, text);
    snprintf(text, sizeof(text), "%.1f ms", json_number(d, "tookMs"));
    table_cell(t, TEXT_PLAIN, text);
    text[0] = '\0';
    if (json_number(d, "causeToLastMs") > 0)
        text_age((int64_t)json_number(d, "causeToLastMs"), text);
    table_cell(t, TEXT_PLAIN, text);
    snprintf(text, sizeof(text), "%.*s", ERROR_MAX, json_text(d, "error"));
    table_cell(t, TEXT_PLAIN, text);
}

// One page after the other, oldest row last. before 0 = from the newest.
static int page(const struct cli *c, const char *filter, double before, double limit,
    cJSON **ret_doc, const cJSON **ret, struct err *err)
{
    char number[32];
    struct buf path;
    buf_init(&path, 8192);
    buf_adds(&path, filter);
    snprintf(number, sizeof(number), "%.0f", limit);
    client_param(&path, "limit", number);
    snprintf(number, sizeof(number), "%.0f", before);
    client_param(&path, "before", number);
    int rc = client_get(c, buf_cstr(&path), ret_doc, ret, err);
    buf_done(&path);
    return rc;
}

static int collect(
    const struct cli *c, const char *filter, double limit, cJSON *all, struct err *err)
{
    double before = 0, damaged = 0;
    do {
        cJSON *doc;
        const cJSON *data;
        double left = limit > 0 ? limit - cJSON_GetArraySize(all) : PAGE;
        int rc = page(c, filter, before, left < PAGE ? left : PAGE, &doc, &data, err);
        if (rc != CLI_YES)
            return rc;
        cJSON *rows = cJSON_GetObjectItemCaseSensitive(data, "deliveries");
        while (rows && rows->child)
            cJSON_AddItemToArray(all, cJSON_DetachItemViaPointer(rows, rows->child));
        before = json_number(data, "next");
        damaged += json_number(data, "damaged");
        cJSON_Delete(doc);
    } while (before > 0 && (limit <= 0 || cJSON_GetArraySize(all) < limit));
    if (damaged > 0)
        fprintf(stderr, "tocsin: %.0f rows of the log are damaged and left out\n", damaged);
    return CLI_YES;
}

int hooks_log_main(const struct cli *c, const struct verb_args *a, struct err *err)
{
    static const char *const HEADINGS[] = {">ID", "TIME", "RECEIVER", "SAYS", "OUTCOME",
        ">STATUS", ">TRIES", ">TOOK", ">FROM CAUSE", "ERROR"};
    const char *since = a->option[LOG_SINCE], *limit = a->option[LOG_LIMIT];
    uint64_t rows = ROWS;
    struct table t;
    struct buf filter;
    const cJSON *d;
    if (limit && !num_parse_u64(limit, strlen(limit), &rows)) {
        err_set(err, "--limit %s is not a number", limit);
        return CLI_USAGE;
    }
    buf_init(&filter, 4096);
    buf_adds(&filter, "/api/v1/hooks/log");
    if (a->option[LOG_FAILED])
        client_param(&filter, "failed", "1");
    if (a->option[LOG_RECEIVER])
        client_param(&filter, "receiver", a->option[LOG_RECEIVER]);
    int rc = since ? hooks_since_param(&filter, since, err) : CLI_YES;
    cJSON *all = cJSON_CreateArray();
    if (rc == CLI_YES)
        rc = collect(c, buf_cstr(&filter), (double)rows, all, err);
    buf_done(&filter);
    if (rc == CLI_YES && c->json) {
        rc = hooks_print_json(c, all);
    } else if (rc == CLI_YES && !cJSON_GetArraySize(all)) {
        fputs("nothing was sent\n", c->out);
    } else if (rc == CLI_YES) {
        table_init(&t, HEADINGS, 10);
        cJSON_ArrayForEach(d, all)
        {
            row(&t, d);
        }
        rc = hooks_print_table(c, &t, err);
    }
    cJSON_Delete(all);
    return rc;
}

// --- one message ---------------------------------------------------------------------------------

static void line(const struct cli *c, const char *name, const char *value)
{
    struct buf clean;
    buf_init(&clean, 1u << 20);
    text_clean(value, &clean);
    if (clean.len)
        fprintf(c->out, "%-10s  %s\n", name, buf_cstr(&clean));
    buf_done(&clean);
}

// In single quotes for a shell.
static void quoted(const struct cli *c, const char *s)
{
    fputc('\'', c->out);
    for (; *s; s++)
        if (*s == '\'')
            fputs("'\\''", c->out);
        else
            fputc(*s, c->out);
    fputc('\'', c->out);
}

static void curl(const struct cli *c, const cJSON *d, const char *body)
{
    const char *to = json_text(d, "to"), *key = json_text(d, "key");
    if (strncmp(to, "http", 4) != 0)
        return; // a mail
    fputs("\ncurl -H 'Content-Type: application/json'", c->out);
    fprintf(c->out, " -H 'Idempotency-Key: %s' -H 'webhook-id: %s' --data-binary ", key, key);
    quoted(c, body);
    fputc(' ', c->out);
    quoted(c, to);
    fputs(
        "\n\nIn place of *** stands a secret. Authorization and signature, where the receiver has "
        "them, are left out.\n",
        c->out);
}

static void show(const struct cli *c, const cJSON *d, const cJSON *letter)
{
    char text[128];
    const char *body = json_text(letter ? letter : d, "body");
    const cJSON *any = d ? d : letter;
    line(c, "receiver", json_text(any, "receiver"));
    line(c, "to", json_text(any, "to"));
    line(c, "key", json_text(any, "key"));
    if (d) {
        snprintf(text, sizeof(text), "%s, status %.0f, %.0f tries, the last took %.1f ms",
            json_text(d, "outcome"), json_number(d, "status"), json_number(d, "tries"),
            json_number(d, "tookMs"));
        line(c, "outcome", text);
    }
    line(c, "cause", json_text(any, "causeAt"));
    line(c, "decided", json_text(any, "decidedAt"));
    line(c, "first try", json_text(d, "firstAt"));
    line(c, "last try", json_text(d, "lastAt"));
    line(c, "error", json_text(d, "error"));
    line(c, "answer", json_text(d, "answer"));
    if (letter) {
        snprintf(text, sizeof(text), "dead letter; %.0f of %.0f alerts not as it says any more",
            json_number(letter, "outOfDate"), json_number(letter, "changed"));
        line(c, "now", text);
        line(c, "why", json_text(letter, "why"));
    }
    if (*body)
        curl(c, any, body);
    else
        fprintf(
            c->out, "\nthe body of %.0f bytes is not kept\n", json_number(any, "bodyBytes"));
}

int hooks_show_main(const struct cli *c, const struct verb_args *a, struct err *err)
{
    char path[128];
    uint64_t id;
    cJSON *log_doc = NULL, *letter_doc = NULL;
    const cJSON *data = NULL, *letter = NULL;
    struct err ignored = {0};
    if (!num_parse_u64(a->words[0], strlen(a->words[0]), &id)) {
        err_set(err, "%s is not the number of a message: see tocsin hooks log", a->words[0]);
        return CLI_USAGE;
    }
    snprintf(path, sizeof(path), "/api/v1/hooks/log?id=%llu", (unsigned long long)id);
    int rc = client_get(c, path, &log_doc, &data, err);
    if (rc != CLI_YES)
        return rc;
    const cJSON *d =
        cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(data, "deliveries"), 0);
    snprintf(path, sizeof(path), "/api/v1/hooks/letter?id=%llu", (unsigned long long)id);
    if (client_get(c, path, &letter_doc, &letter, &ignored) != CLI_YES)
        letter = NULL; // it is none, which is no failure
    if (!d && !letter) {
        err_set(err, "there is no message %s", a->words[0]);
        rc = CLI_NO;
    } else if (c->json) {
        rc = hooks_print_json(c, letter ? letter : d);
    } else {
        show(c, d, letter);
    }
    cJSON_Delete(log_doc);
    cJSON_Delete(letter_doc);
    return rc;
}

// SPDX-License-Identifier: Apache-2.0
// `tocsin silence add|list|expire|preview`, over Alertmanager's API of the collector.
#include "base/num.h"
#include "base/when.h"
#include "cli/client.h"
#include "cli/text.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DAY_S (24 * 3600)

enum { ADD_FOR, ADD_COMMENT, ADD_BY, ADD_UNTIL_QUIET };

#define SOON_MS (15 * 60000) // that it ends is pointed out

static void add_filters(struct buf *path, const struct verb_args *a)
{
    for (int i = 0; i < a->n_words; i++)
        client_param(path, "filter", a->words[i]);
}

// The alerts that fire now and that the matchers choose. CLI_YES and *ret_doc, an array.
static int matching(
    const struct cli *c, const struct verb_args *a, cJSON **ret_doc, struct err *err)
{
    struct buf path;
    buf_init(&path, 65536);
    buf_adds(&path, "/api/v2/alerts");
    add_filters(&path, a);
    int rc = client_send(c, "GET", buf_cstr(&path), NULL, ret_doc, err);
    buf_done(&path);
    return rc;
}

// How often an alert that the matchers choose began to fire in the last day. -1: it cannot be said.
static int64_t would_have(const struct cli *c, const struct verb_args *a)
{
    cJSON *doc = NULL;
    const cJSON *data;
    struct err ignored = {0};
    struct buf path;
    char since[40];
    buf_init(&path, 65536);
    snprintf(since, sizeof(since), "%lld", (long long)(when_now_ms() / 1000 - DAY_S));
    buf_adds(&path, "/api/v1/alerts/log");
    client_param(&path, "count", "true");
    client_param(&path, "kind", "firing");
    client_param(&path, "since", since);
    add_filters(&path, a);
    int rc = client_get(c, buf_cstr(&path), &doc, &data, &ignored);
    int64_t n = rc == CLI_YES ? (int64_t)json_number(data, "count") : -1;
    buf_done(&path);
    cJSON_Delete(doc);
    return n;
}

static void print_alerts(const struct cli *c, const cJSON *alerts)
{
    static const char *const SKIP[] = {"alertname", NULL};
    const cJSON *alert;
    cJSON_ArrayForEach(alert, alerts)
    {
        struct buf b, clean;
        const cJSON *labels = cJSON_GetObjectItemCaseSensitive(alert, "labels");
        buf_init(&b, 65536);
        buf_init(&clean, 1u << 18);
        buf_addf(&b, "  %s ", json_text(labels, "alertname"));
        json_labels(labels, SKIP, &b);
        text_clean(buf_cstr(&b), &clean);
        fprintf(c->out, "%s\n", buf_cstr(&clean));
        buf_done(&b);
        buf_done(&clean);
    }
}

int silence_preview_main(const struct cli *c, const struct verb_args *a, struct err *err)
{
    cJSON *alerts = NULL;
    int rc = matching(c, a, &alerts, err);
    if (rc == CLI_YES && c->json) {
        char *text = cJSON_Print(alerts);
        fprintf(c->out, "%s\n", text ? text : "[]");
        cJSON_free(text);
    } else if (rc == CLI_YES) {
        int n = cJSON_GetArraySize(alerts);
        fprintf(c->out, "%d alert%s that fire%s now would be silenced%s\n", n,
            n == 1 ? "" : "s", n == 1 ? "s" : "", n ? ":" : "");
        print_alerts(c, alerts);
        int64_t day = would_have(c, a);
        if (day >= 0)
            fprintf(c->out, "in the last 24 h it would have silenced %lld alert%s\n",
                (long long)day, day == 1 ? "" : "s");
    }
    cJSON_Delete(alerts);
    return rc;
}

static void add_time(cJSON *o, const char *name, int64_t ms)
{
    char text[40];
    struct tm tm;
    time_t s = (time_t)(ms / 1000);
    gmtime_r(&s, &tm);
    size_t n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + n, sizeof(text) - n, ".%03dZ", (int)(ms % 1000));
    cJSON_AddStringToObject(o, name, text);
}

// name=~"value", as people type it; the collector is who understands and checks it.
static bool add_matcher(cJSON *list, const char *word, struct err *err)
{
    size_t n = strcspn(word, "=!");
    const char *op = word + n;
    bool equal = op[0] == '=', regex = op[0] && op[1] == '~';
    if (!n || !op[0] || (op[0] == '!' && op[1] != '=' && op[1] != '~')) {
        err_set(err, "`%.80s` is no matcher: e.g. alertname=Slow or zone=~\"eu.*\"", word);
        return false;
    }
    const char *value = op + (op[0] == '!' || regex ? 2 : 1);
    size_t len = strlen(value);
    bool quoted = len >= 2 && value[0] == '"' && value[len - 1] == '"';
    char *name = strndup(word, n), *text = strndup(value + quoted, len - 2 * quoted);
    cJSON *m = cJSON_CreateObject();
    bool ok = name && text && m;
    if (ok) {
        cJSON_AddStringToObject(m, "name", name);
        cJSON_AddStringToObject(m, "value", text);
        cJSON_AddBoolToObject(m, "isRegex", regex);
        cJSON_AddBoolToObject(m, "isEqual", equal);
        cJSON_AddItemToArray(list, m);
    } else {
        err_set(err, "out of memory");
        cJSON_Delete(m);
    }
    free(name);
    free(text);
    return ok;
}

static int post(const struct cli *c, cJSON *silence, struct err *err)
{
    cJSON *doc = NULL;
    char *text = cJSON_PrintUnformatted(silence);
    int rc = text ? client_send(c, "POST", "/api/v2/silences", text, &doc, err) : CLI_NO;
    if (rc == CLI_YES)
        fprintf(c->out, "%s\n", json_text(doc, "silenceID"));
    cJSON_free(text);
    cJSON_Delete(doc);
    return rc;
}

int silence_add_main(const struct cli *c, const struct verb_args *a, struct err *err)
{
    const char *how_long = a->option[ADD_FOR], *comment = a->option[ADD_COMMENT];
    const char *by = a->option[ADD_BY] ? a->option[ADD_BY] : getenv("USER");
    int64_t ms, now_ms = when_now_ms();
    if (!how_long || !duration_parse(how_long, strlen(how_long), &ms) || ms <= 0) {
        err_set(err, "--for says how long, e.g. --for 2h");
        return CLI_USAGE;
    }
    if (!comment || !*comment) {
        err_set(err, "--comment says why, for whoever finds it");
        return CLI_USAGE;
    }
    cJSON *silence = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(silence, "matchers");
    for (int i = 0; i < a->n_words; i++)
        if (!list || !add_matcher(list, a->words[i], err)) {
            cJSON_Delete(silence);
            return CLI_USAGE;
        }
    add_time(silence, "startsAt", now_ms);
    add_time(silence, "endsAt", now_ms + ms);
    cJSON_AddStringToObject(silence, "createdBy", by && *by ? by : "unknown");
    cJSON_AddStringToObject(silence, "comment", comment);
    if (a->option[ADD_UNTIL_QUIET])
        cJSON_AddStringToObject(silence, "untilQuiet", a->option[ADD_UNTIL_QUIET]);
    int rc = post(c, silence, err);
    cJSON_Delete(silence);
    return rc;
}

int silence_expire_main(const struct cli *c, const struct verb_args *a, struct err *err)
{
    for (int i = 0; i < a->n_words; i++) {
        cJSON *doc = NULL;
        struct buf path;
        buf_init(&path, 4096);
        buf_addf(&path, "/api/v2/silence/%s", a->words[i]);
        int rc = client_send(c, "DELETE", buf_cstr(&path), NULL, &doc, err);
        buf_done(&path);
        cJSON_Delete(doc);
        if (rc != CLI_YES)
            return rc;
    }
    return CLI_YES;
}

static void matchers_text(const cJSON *silence, struct buf *b)
{
    const cJSON *m;
    cJSON_ArrayForEach(m, cJSON_GetObjectItemCaseSensitive(silence, "matchers"))
    {
        bool equal = !cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(m, "isEqual"));
        bool regex = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(m, "isRegex"));
        const char *value = json_text(m, "value");
        buf_addf(b, "%s%s%s%s", b->len ? ", " : "", json_text(m, "name"), equal ? "=" : "!",
            regex   ? "~"
            : equal ? ""
                    : "=");
        buf_add_json(b, value, strlen(value));
    }
}

static void add_row(struct table *t, const cJSON *s, int64_t now_ms)
{
    const char *state = json_text(cJSON_GetObjectItemCaseSensitive(s, "status"), "state");
    char age[TEXT_NUMBER_MAX], text[3 * TEXT_NUMBER_MAX], quiet[TEXT_NUMBER_MAX];
    const char *until_quiet = json_text(s, "untilQuiet");
    int64_t quiet_ms = 0;
    bool soon;
    int64_t starts = 0, ends = 0;
    struct buf m;
    buf_init(&m, 1u << 20);
    matchers_text(s, &m);
    (void)when_parse(json_text(s, "startsAt"), &starts);
    (void)when_parse(json_text(s, "endsAt"), &ends);
    (void)duration_parse(until_quiet, strlen(until_quiet), &quiet_ms);
    soon = starts <= now_ms && ends > now_ms && ends - now_ms < SOON_MS;
    if (starts > now_ms)
        snprintf(text, sizeof(text), "begins in %s", text_age(starts - now_ms, age));
    else if (ends > now_ms)
        snprintf(text, sizeof(text), "for %s%s%s%s", text_age(ends - now_ms, age),
            quiet_ms ? ", or until quiet for " : "", quiet_ms ? text_age(quiet_ms, quiet) : "",
            soon ? " (soon)" : "");
    else
        snprintf(text, sizeof(text), "%s ago", text_age(now_ms - ends, age));
    table_cell(t, TEXT_DIM, json_text(s, "id"));
    table_cell(t, strcmp(state, "active") == 0 ? TEXT_WARN : TEXT_PLAIN, state);
    table_cell(t, soon ? TEXT_BAD : TEXT_PLAIN, text);
    table_cell(t, TEXT_BOLD, buf_cstr(&m));
    table_cell(t, TEXT_PLAIN, json_text(s, "createdBy"));
    table_cell(t, TEXT_PLAIN, json_text(s, "comment"));
    buf_done(&m);
}

static bool is_expired(const cJSON *s)
{
    return strcmp(json_text(cJSON_GetObjectItemCaseSensitive(s, "status"), "state"),
               "expired") == 0;
}

int silence_list_main(const struct cli *c, const struct verb_args *a, struct err *err)
{
    static const char *const HEADINGS[] = {
        "ID", "STATE", "HOW LONG", "MATCHERS", "BY", "COMMENT"};
    cJSON *doc = NULL;
    const cJSON *s;
    struct table t;
    size_t n = 0;
    int rc = client_send(c, "GET", "/api/v2/silences", NULL, &doc, err);
    if (rc != CLI_YES)
        return rc;
    if (c->json) {
        char *text = cJSON_Print(doc);
        fprintf(c->out, "%s\n", text ? text : "[]");
        cJSON_free(text);
        cJSON_Delete(doc);
        return CLI_YES;
    }
    table_init(&t, HEADINGS, 6);
    cJSON_ArrayForEach(s, doc)
    {
        if (is_expired(s) && !a->option[0])
            continue;
        add_row(&t, s, when_now_ms());
        n++;
    }
    if (!n) {
        fputs("nothing is silenced\n", c->out);
    } else if (!table_print(&t, 0, c->color, c->out)) {
        err_set(err, "out of memory");
        rc = CLI_NO;
    }
    table_done(&t);
    cJSON_Delete(doc);
    return rc;
}

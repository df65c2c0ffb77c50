// SPDX-License-Identifier: Apache-2.0
// `tocsin alerts`: firing first, then pending, oldest first, so that a second look shows the same
// lines in the same places.
#include "base/num.h"
#include "base/when.h"
#include "cli/held.h"
#include "cli/text.h"
#include <stdlib.h>
#include <string.h>

struct row {
    const cJSON *alert;
    int rank; // 0 firing, 1 pending
    int64_t active_ms;
    char *labels;     // with alertname, for the order
    const cJSON *ack; // NULL: nobody has taken it on
    const char *held; // why it is not told now; "" = it is
};

static int compare(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    if (x->active_ms != y->active_ms)
        return x->active_ms < y->active_ms ? -1 : 1;
    return strcmp(x->labels, y->labels);
}

static char *labels_text(const cJSON *labels, const char *const *skip)
{
    struct buf b;
    buf_init(&b, 1u << 20);
    json_labels(labels, skip, &b);
    char *copy = strdup(buf_cstr(&b));
    buf_done(&b);
    return copy;
}

// "ann, for 1 h: looking"; NULL: none, or no memory.
static char *ack_text(const cJSON *ack, int64_t now_ms)
{
    char age[TEXT_NUMBER_MAX], *text;
    const char *note = json_text(ack, "note");
    int64_t ends_ms = now_ms;
    if (!ack)
        return NULL;
    (void)when_parse(json_text(ack, "endsAt"), &ends_ms);
    if (asprintf(&text, "%s, for %s%s%s", json_text(ack, "owner"),
            text_age(ends_ms > now_ms ? ends_ms - now_ms : 0, age), *note ? ": " : "",
            note) < 0)
        return NULL;
    return text;
}

// Prometheus's list of alerts knows no fingerprints: the labels are the same.
static const cJSON *ack_of(const cJSON *acks, const char *labels)
{
    const cJSON *ack;
    cJSON_ArrayForEach(ack, acks)
    {
        char *its = labels_text(cJSON_GetObjectItemCaseSensitive(ack, "labels"), NULL);
        bool same = its && strcmp(its, labels) == 0;
        free(its);
        if (same)
            return ack;
    }
    return NULL;
}

static void add_row(struct table *t, const struct row *r, int64_t now_ms)
{
    static const char *const SKIP[] = {"alertname", "severity", NULL};
    char age[TEXT_NUMBER_MAX];
    const cJSON *labels = cJSON_GetObjectItemCaseSensitive(r->alert, "labels");
    char *rest = labels_text(labels, SKIP);
    enum text_color color = r->rank ? TEXT_WARN : TEXT_BAD;
    const char *state = json_text(r->alert, "state");
    char *held = NULL;
    if (*r->held && asprintf(&held, "%s, not told: %s", state, r->held) < 0)
        held = NULL;
    table_cell(t, color, held ? held : state);
    free(held);
    table_cell(t, TEXT_BOLD, json_text(labels, "alertname"));
    table_cell(t, TEXT_PLAIN, json_text(labels, "severity"));
    table_cell(t, TEXT_PLAIN, r->active_ms ? text_age(now_ms - r->active_ms, age) : "–");
    // The API prints values as Prometheus does, "1e+00"; a person reads 1.
    const char *value = json_text(r->alert, "value");
    char text[NUM_TEXT_MAX];
    double v;
    if (num_parse(value, strlen(value), &v)) {
        num_short(v, text);
        value = text;
    }
    table_cell(t, TEXT_PLAIN, value);
    table_cell(t, TEXT_DIM, rest ? rest : "");
    char *owner = ack_text(r->ack, now_ms);
    table_cell(t, TEXT_GOOD, owner ? owner : "");
    free(owner);
    table_cell(t, TEXT_PLAIN,
        json_text(cJSON_GetObjectItemCaseSensitive(r->alert, "annotations"), "summary"));
    free(rest);
}

static int show(const struct cli *c, struct row *rows, size_t n, struct err *err)
{
    static const char *const HEADINGS[] = {
        "STATE", "ALERT", "SEVERITY", ">SINCE", ">VALUE", "LABELS", "TAKEN BY", "SUMMARY"};
    struct table t;
    if (n == 0) {
        fputs("no alert is firing or pending\n", c->out);
        return CLI_YES;
    }
    table_init(&t, HEADINGS, 8);
    for (size_t i = 0; i < n; i++)
        add_row(&t, &rows[i], when_now_ms());
    bool printed = table_print(&t, 0, c->color, c->out);
    table_done(&t);
    if (!printed)
        err_set(err, "out of memory");
    return printed ? CLI_YES : CLI_NO;
}

static int show_json(const struct cli *c, const struct row *rows, size_t n, struct err *err)
{
    fputs("[", c->out);
    for (size_t i = 0; i < n; i++) {
        cJSON *alert = cJSON_Duplicate(rows[i].alert, true);
        if (rows[i].ack)
            cJSON_AddItemToObject(alert, "ack", cJSON_Duplicate(rows[i].ack, true));
        if (*rows[i].held)
            cJSON_AddStringToObject(alert, "notTold", rows[i].held);
        char *text = alert ? cJSON_PrintUnformatted(alert) : NULL;
        cJSON_Delete(alert);
        if (!text) {
            err_set(err, "out of memory");
            return CLI_NO;
        }
        fprintf(c->out, "%s\n%s", i ? "," : "", text);
        cJSON_free(text);
    }
    fputs("\n]\n", c->out);
    return CLI_YES;
}

int alerts_main(const struct cli *c, const struct verb_args *a, struct err *err)
{
    cJSON *doc = NULL, *acks = NULL;
    struct err ignored = {0};
    const cJSON *data, *alert;
    const char *fail_on = a->option[0];
    int rc = client_get(c, "/api/v1/alerts", &doc, &data, err);
    if (rc != CLI_YES)
        return rc;
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(data, "alerts");
    struct held *held = held_read(c);
    // An older collector has none.
    (void)client_send(c, "GET", "/api/v2/tocsin/acks", NULL, &acks, &ignored);
    size_t n = 0, firing = 0;
    struct row *rows = calloc((size_t)cJSON_GetArraySize(list) + 1, sizeof(*rows));
    cJSON_ArrayForEach(alert, list)
    {
        if (!rows)
            break;
        struct row *r = &rows[n];
        *r = (struct row){
            .alert = alert, .rank = strcmp(json_text(alert, "state"), "firing") != 0};
        r->labels = labels_text(cJSON_GetObjectItemCaseSensitive(alert, "labels"), NULL);
        if (!when_parse(json_text(alert, "activeAt"), &r->active_ms))
            r->active_ms = 0;
        if (!r->labels)
            break;
        r->held = r->rank == 0 ? held_why(held, r->labels) : "";
        r->ack = r->rank == 0 ? ack_of(acks, r->labels) : NULL;
        firing += r->rank == 0;
        n++;
    }
    if (!rows || n != (size_t)cJSON_GetArraySize(list)) {
        err_set(err, "out of memory");
        rc = CLI_NO;
    } else {
        qsort(rows, n, sizeof(*rows), compare);
        rc = c->json ? show_json(c, rows, n, err) : show(c, rows, n, err);
    }
    if (rc == CLI_YES && fail_on && (strcmp(fail_on, "firing") == 0 ? firing : n) > 0)
        rc = CLI_NO;
    for (size_t i = 0; rows && i < n; i++)
        free(rows[i].labels);
    free(rows);
    held_free(held);
    cJSON_Delete(acks);
    cJSON_Delete(doc);
    return rc;
}

// SPDX-License-Identifier: Apache-2.0
// `tocsin hooks ls` and `hooks letters`.
#include "base/when.h"
#include "cli/client.h"
#include "cli/hooks.h"
#include "cli/text.h"

#define TELL_MAX 60 // characters of an error in a table

const struct verb_option HOOKS_LETTERS_OPTIONS[] = {
    {"receiver", "NAME", "only of this receiver, or of one integration: ops/slack0", NULL},
    {0},
};

int hooks_print_json(const struct cli *c, const cJSON *data)
{
    char *text = cJSON_Print(data);
    fprintf(c->out, "%s\n", text ? text : "null");
    cJSON_free(text);
    return text ? CLI_YES : CLI_NO;
}

int hooks_print_table(const struct cli *c, struct table *t, struct err *err)
{
    bool ok = table_print(t, 0, c->color, c->out);
    table_done(t);
    if (!ok)
        err_set(err, "out of memory");
    return ok ? CLI_YES : CLI_NO;
}

// How long ago, "" for never.
const char *hooks_ago(const cJSON *o, const char *name, char ret[static HOOKS_TEXT_MAX])
{
    char age[TEXT_NUMBER_MAX];
    int64_t at;
    ret[0] = '\0';
    if (when_parse(json_text(o, name), &at) && at)
        snprintf(ret, HOOKS_TEXT_MAX, "%s ago", text_age(when_now_ms() - at, age));
    return ret;
}

static void cell(struct table *t, enum text_color color, double v, int digits, const char *unit)
{
    char text[TEXT_NUMBER_MAX];
    snprintf(text, sizeof(text), "%.*f%s", digits, v, unit);
    table_cell(t, color, text);
}

static void hook_row(struct table *t, const cJSON *h)
{
    char age[HOOKS_TEXT_MAX], error[TELL_MAX * 4 + 1];
    double tries = json_number(h, "lastTries"), ok = json_number(h, "lastTriesOk");
    bool gone = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(h, "gone"));
    const char *since = hooks_ago(h, "failingSince", age);
    double letters = json_number(h, "letters");
    table_cell(t, TEXT_BOLD, json_text(h, "receiver"));
    table_cell(t, TEXT_PLAIN, json_text(h, "kind"));
    table_cell(t, TEXT_DIM, json_text(h, "route"));
    if (tries > 0) {
        cell(t, ok < tries ? TEXT_WARN : TEXT_GOOD, 100 * ok / tries, 1, "%");
        cell(t, TEXT_PLAIN, json_number(h, "p50Ms"), 1, " ms");
        cell(t, TEXT_PLAIN, json_number(h, "p99Ms"), 1, " ms");
    } else {
        for (int i = 0; i < 3; i++)
            table_cell(t, TEXT_DIM, "–");
    }
    cell(t, TEXT_PLAIN, json_number(h, "queued"), 0, "");
    cell(t, letters > 0 ? TEXT_BAD : TEXT_PLAIN, letters, 0, "");
    table_cell(t, gone || *since ? TEXT_BAD : TEXT_PLAIN, gone ? "gone" : *since ? since : "–");
    snprintf(error, sizeof(error), "%.*s", TELL_MAX, json_text(h, "lastError"));
    table_cell(t, TEXT_PLAIN, error);
}

int hooks_ls_main(const struct cli *c, const struct verb_args *a, struct err *err)
{
    static const char *const HEADINGS[] = {"RECEIVER", "KIND", "ROUTE", ">SUCCESS", ">P50",
        ">P99", ">QUEUED", ">LETTERS", "FAILING SINCE", "LAST ERROR"};
    cJSON *doc;
    const cJSON *data, *h;
    struct table t;
    (void)a;
    int rc = client_get(c, "/api/v1/hooks", &doc, &data, err);
    if (rc != CLI_YES)
        return rc;
    const cJSON *hooks = cJSON_GetObjectItemCaseSensitive(data, "hooks");
    if (c->json) {
        rc = hooks_print_json(c, data);
    } else if (!cJSON_GetArraySize(hooks)) {
        fputs("no route leads to a receiver\n", c->out);
    } else {
        table_init(&t, HEADINGS, 10);
        cJSON_ArrayForEach(h, hooks)
        {
            hook_row(&t, h);
        }
        rc = hooks_print_table(c, &t, err);
        if (rc == CLI_YES && json_number(data, "letters") > 0)
            fprintf(c->out, "\n%.0f dead letter%s: tocsin hooks letters\n",
                json_number(data, "letters"), json_number(data, "letters") > 1 ? "s" : "");
    }
    cJSON_Delete(doc);
    return rc;
}

// "2 alerts fire", or what is not so any more.
static void says(struct table *t, const cJSON *l)
{
    char text[96];
    double all = json_number(l, "changed"), off = json_number(l, "outOfDate");
    const char *first = json_text(
        cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(l, "alerts"), 0), "status");
    snprintf(text, sizeof(text), "%.0f alert%s, first %s", all, all > 1 ? "s" : "", first);
    table_cell(t, TEXT_PLAIN, text);
    snprintf(text, sizeof(text), "%.0f not so any more", off);
    table_cell(t, off > 0 ? TEXT_WARN : TEXT_GOOD,
        cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(l, "waiting")) ? "on its way"
        : !cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(l, "receiverThere"))
            ? "receiver not configured"
        : off > 0 ? text
                  : "still so");
}

int hooks_letters_main(const struct cli *c, const struct verb_args *a, struct err *err)
{
    static const char *const HEADINGS[] = {">ID", "RECEIVER", "GIVEN UP", "SAYS", "NOW", "WHY"};
    cJSON *doc;
    const cJSON *data, *l;
    struct table t;
    struct buf path;
    buf_init(&path, 4096);
    buf_adds(&path, "/api/v1/hooks/letters?limit=1000");
    if (a->option[0])
        client_param(&path, "receiver", a->option[0]);
    int rc = client_get(c, buf_cstr(&path), &doc, &data, err);
    buf_done(&path);
    if (rc != CLI_YES)
        return rc;
    const cJSON *letters = cJSON_GetObjectItemCaseSensitive(data, "letters");
    if (c->json) {
        rc = hooks_print_json(c, data);
    } else if (!cJSON_GetArraySize(letters)) {
        fputs("no dead letters\n", c->out);
    } else {
        table_init(&t, HEADINGS, 6);
        cJSON_ArrayForEach(l, letters)
        {
            char age[HOOKS_TEXT_MAX], why[TELL_MAX * 4 + 1];
            cell(&t, TEXT_BOLD, json_number(l, "id"), 0, "");
            table_cell(&t, TEXT_PLAIN, json_text(l, "receiver"));
            table_cell(&t, TEXT_PLAIN, hooks_ago(l, "at", age));
            says(&t, l);
            snprintf(why, sizeof(why), "%.*s", TELL_MAX, json_text(l, "why"));
            table_cell(&t, TEXT_PLAIN, why);
        }
        rc = hooks_print_table(c, &t, err);
    }
    cJSON_Delete(doc);
    return rc;
}

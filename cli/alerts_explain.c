// SPDX-License-Identifier: Apache-2.0
// `tocsin alerts explain`: per receiver, what it knows of an alert, when it is told next, and why.
#include "base/when.h"
#include "cli/client.h"
#include "cli/text.h"
#include <stdlib.h>
#include <string.h>

static bool is_fingerprint(const char *word)
{
    return strlen(word) == 16 && strspn(word, "0123456789abcdefABCDEF") == 16;
}

static void add_when(struct buf *b, const char *before, const cJSON *o, const char *name)
{
    char clock[WHEN_TEXT_MAX], age[TEXT_NUMBER_MAX];
    int64_t ms, ago;
    if (!when_parse(json_text(o, name), &ms))
        return;
    ago = when_now_ms() - ms;
    buf_addf(b, "%s%s (", before, when_clock(ms, clock));
    buf_addf(b, ago < 0 ? "in %s)" : "%s ago)", text_age(ago < 0 ? -ago : ago, age));
}

static void add_receiver(const cJSON *r, struct buf *b)
{
    const cJSON *place = cJSON_GetObjectItemCaseSensitive(r, "fallbackFor");
    buf_addf(b, "  %s", json_text(r, "receiver"));
    if (cJSON_IsString(place))
        buf_addf(b, " (in place of %s)", place->valuestring);
    buf_addf(b, ": told %s; ", json_text(r, "told"));
    if (cJSON_IsString(cJSON_GetObjectItemCaseSensitive(r, "at")))
        add_when(b,
            cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(r, "exact")) ? "next at "
                                                                       : "not before ",
            r, "at");
    else
        buf_adds(b, "nothing is to be sent");
    buf_addf(b, ", because %s", json_text(r, "because"));
    add_when(b, " ", r, "since");
    add_when(b, ", failing since ", r, "failingSince");
    buf_addc(b, '\n');
}

static void add_alert(const cJSON *alert, struct buf *b)
{
    static const char *const SKIP[] = {"alertname", NULL};
    const cJSON *o, *labels = cJSON_GetObjectItemCaseSensitive(alert, "labels");
    buf_addf(b, "%s ", json_text(labels, "alertname"));
    json_labels(labels, SKIP, b);
    buf_addf(b, " %s", json_text(alert, "state"));
    add_when(b, " since ", alert, "startsAt");
    buf_addc(b, '\n');
    cJSON_ArrayForEach(o, cJSON_GetObjectItemCaseSensitive(alert, "silences"))
    {
        buf_addf(b, "  silenced by %s: %s", json_text(o, "by"), json_text(o, "comment"));
        add_when(b, ", until ", o, "until");
        buf_addc(b, '\n');
    }
    o = cJSON_GetObjectItemCaseSensitive(alert, "acknowledged");
    if (o) {
        buf_addf(b, "  acknowledged by %s: %s", json_text(o, "by"), json_text(o, "comment"));
        add_when(b, ", until ", o, "until");
        buf_addc(b, '\n');
    }
    cJSON_ArrayForEach(o, cJSON_GetObjectItemCaseSensitive(alert, "receivers"))
    {
        add_receiver(o, b);
    }
}

// Line by line, because what is cleaned of control bytes loses its line ends too.
static void print_clean(const struct cli *c, struct buf *b)
{
    char *text = strdup(buf_cstr(b)), *save = NULL;
    for (char *line = text ? strtok_r(text, "\n", &save) : NULL; line;
         line = strtok_r(NULL, "\n", &save)) {
        struct buf clean;
        buf_init(&clean, 1u << 21);
        text_clean(line, &clean);
        fprintf(c->out, "%s\n", buf_cstr(&clean));
        buf_done(&clean);
    }
    free(text);
}

int alerts_explain_main(const struct cli *c, const struct verb_args *a, struct err *err)
{
    cJSON *doc = NULL;
    const cJSON *data, *alert;
    struct buf path;
    buf_init(&path, 1u << 16);
    buf_adds(&path, "/api/v1/alerts/explain");
    for (int i = 0; i < a->n_words; i++)
        client_param(
            &path, is_fingerprint(a->words[i]) ? "fingerprint" : "filter", a->words[i]);
    int rc = client_get(c, buf_cstr(&path), &doc, &data, err);
    buf_done(&path);
    if (rc != CLI_YES)
        return rc;
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(data, "alerts");
    if (c->json) {
        char *text = cJSON_Print(list);
        fprintf(c->out, "%s\n", text ? text : "[]");
        cJSON_free(text);
    }
    const cJSON *shown = c->json ? NULL : list;
    cJSON_ArrayForEach(alert, shown)
    {
        struct buf b;
        buf_init(&b, 1u << 20);
        add_alert(alert, &b);
        print_clean(c, &b);
        buf_done(&b);
    }
    if (!c->json && cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(data, "more")))
        fputs("more alerts match; these began first\n", c->out);
    if (cJSON_GetArraySize(list) == 0) {
        err_set(err, "no alert that fires is meant");
        rc = CLI_NO;
    }
    cJSON_Delete(doc);
    return rc;
}

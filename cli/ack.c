// SPDX-License-Identifier: Apache-2.0
// `tocsin alerts ack|unack`: taking alerts on and giving them back. Each word is a fingerprint, or all are
// matchers that must hold; the collector is who understands and checks them.
#include "cli/client.h"
#include "cli/text.h"
#include <stdlib.h>
#include <string.h>

#define PATH "/api/v2/tocsin/acks"

enum { ACK_FOR, ACK_NOTE, ACK_BY };

static bool is_fingerprint(const char *word)
{
    return strlen(word) == 16 && strspn(word, "0123456789abcdef") == 16;
}

// How many of the words are fingerprints: all or none. -1 with err.
static int fingerprints(const struct verb_args *a, struct err *err)
{
    int n = 0;
    for (int i = 0; i < a->n_words; i++)
        n += is_fingerprint(a->words[i]);
    if (n == 0 || n == a->n_words)
        return n;
    err_set(err, "either fingerprints or matchers, not both");
    return -1;
}

static void print(const struct cli *c, const cJSON *acks)
{
    static const char *const SKIP[] = {"alertname", NULL};
    const cJSON *ack;
    cJSON_ArrayForEach(ack, acks)
    {
        struct buf b, clean;
        const cJSON *labels = cJSON_GetObjectItemCaseSensitive(ack, "labels");
        buf_init(&b, 65536);
        buf_init(&clean, 1u << 18);
        buf_addf(&b, "%s %s ", json_text(ack, "fingerprint"), json_text(labels, "alertname"));
        json_labels(labels, SKIP, &b);
        text_clean(buf_cstr(&b), &clean);
        fprintf(c->out, "%s\n", buf_cstr(&clean));
        buf_done(&b);
        buf_done(&clean);
    }
}

// Sends one request and shows what it did.
static int ask(const struct cli *c, const char *method, const char *path, const char *body,
    struct err *err)
{
    cJSON *doc = NULL;
    int rc = client_send(c, method, path, body, &doc, err);
    char *text = rc == CLI_YES && c->json ? cJSON_Print(doc) : NULL;
    if (text)
        fprintf(c->out, "%s\n", text);
    else if (rc == CLI_YES)
        print(c, doc);
    cJSON_free(text);
    cJSON_Delete(doc);
    return rc;
}

// Of one fingerprint, or of all words as matchers.
static int ack(
    const struct cli *c, const struct verb_args *a, const char *fingerprint, struct err *err)
{
    const char *by = a->option[ACK_BY] ? a->option[ACK_BY] : getenv("USER");
    cJSON *o = cJSON_CreateObject();
    if (fingerprint) {
        cJSON_AddStringToObject(o, "fingerprint", fingerprint);
    } else {
        cJSON *list = cJSON_AddArrayToObject(o, "filter");
        for (int i = 0; list && i < a->n_words; i++)
            cJSON_AddItemToArray(list, cJSON_CreateString(a->words[i]));
    }
    cJSON_AddStringToObject(o, "owner", by && *by ? by : "unknown");
    cJSON_AddStringToObject(o, "note", a->option[ACK_NOTE] ? a->option[ACK_NOTE] : "");
    cJSON_AddStringToObject(o, "for", a->option[ACK_FOR]);
    char *text = cJSON_PrintUnformatted(o);
    int rc = text ? ask(c, "POST", PATH, text, err) : CLI_NO;
    if (!text)
        err_set(err, "out of memory");
    cJSON_free(text);
    cJSON_Delete(o);
    return rc;
}

int alerts_ack_main(const struct cli *c, const struct verb_args *a, struct err *err)
{
    int n = fingerprints(a, err);
    if (n < 0)
        return CLI_USAGE;
    if (!a->option[ACK_FOR] || !*a->option[ACK_FOR]) {
        err_set(err, "--for says how long, e.g. --for 2h");
        return CLI_USAGE;
    }
    if (!n)
        return ack(c, a, NULL, err);
    int rc = CLI_YES;
    for (int i = 0; rc == CLI_YES && i < n; i++)
        rc = ack(c, a, a->words[i], err);
    return rc;
}

static int unack(
    const struct cli *c, const struct verb_args *a, const char *fingerprint, struct err *err)
{
    struct buf path;
    buf_init(&path, 65536);
    buf_adds(&path, PATH);
    if (fingerprint)
        client_param(&path, "fingerprint", fingerprint);
    for (int i = 0; !fingerprint && i < a->n_words; i++)
        client_param(&path, "filter", a->words[i]);
    int rc = ask(c, "DELETE", buf_cstr(&path), NULL, err);
    buf_done(&path);
    return rc;
}

int alerts_unack_main(const struct cli *c, const struct verb_args *a, struct err *err)
{
    int n = fingerprints(a, err), rc = CLI_YES;
    if (n < 0)
        return CLI_USAGE;
    if (!n)
        return unack(c, a, NULL, err);
    for (int i = 0; rc == CLI_YES && i < n; i++)
        rc = unack(c, a, a->words[i], err);
    return rc;
}

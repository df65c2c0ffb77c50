// SPDX-License-Identifier: Apache-2.0
// `tocsin hooks test`, `hooks replay` and `hooks dismiss`.
#include "base/num.h"
#include "base/when.h"
#include "cli/client.h"
#include "cli/hooks.h"
#include <string.h>
#include <time.h>

#define LOOK_MS 100
#define WAIT_MS 60000 // for one errand: a receiver may hang for its time-out, more than once

enum { REPLAY_FAILED, REPLAY_SINCE, REPLAY_ANYWAY };
const struct verb_option HOOKS_REPLAY_OPTIONS[] = {
    {"failed", "RECEIVER", "all dead letters of this receiver", NULL},
    {"since", "DURATION", "only those given up in the last DURATION: 2h", NULL},
    {"anyway", NULL, "also what is not so any more: an old `firing` of what is over", NULL},
    {0},
};
const struct verb_option HOOKS_DISMISS_OPTIONS[] = {
    {"failed", "RECEIVER", "all dead letters of this receiver", NULL},
    {0},
};

static void pause_ms(int64_t ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

// Waits until the errand has ended. *ret_doc owns *ret.
static int await(const struct cli *c, const cJSON *errand, cJSON **ret_doc, const cJSON **ret,
    struct err *err)
{
    char path[128];
    snprintf(path, sizeof(path), "/api/v1/hooks/errand?id=%.0f", json_number(errand, "id"));
    for (int64_t end = when_now_ms() + WAIT_MS;;) {
        int rc = client_get(c, path, ret_doc, ret, err);
        if (rc != CLI_YES)
            return rc;
        const char *outcome = json_text(*ret, "outcome");
        if (strcmp(outcome, "sent") == 0 || strcmp(outcome, "failed") == 0)
            return CLI_YES;
        cJSON_Delete(*ret_doc);
        if (when_now_ms() > end) {
            err_set(err, "it still waits or is tried: see tocsin hooks log");
            return CLI_NO;
        }
        pause_ms(LOOK_MS);
    }
}

static void report(const struct cli *c, const cJSON *d)
{
    struct buf clean;
    bool sent = strcmp(json_text(d, "outcome"), "sent") == 0;
    double of = json_number(d, "of");
    buf_init(&clean, 1u << 16);
    text_clean(json_text(d, "receiver"), &clean);
    text_paint(c->out, c->color, sent ? TEXT_GOOD : TEXT_BAD, sent ? "ok  " : "FAIL");
    fprintf(c->out, "  %s", buf_cstr(&clean));
    if (of > 0)
        fprintf(c->out, "  letter %.0f", of);
    fprintf(
        c->out, "  status %.0f in %.1f ms", json_number(d, "status"), json_number(d, "tookMs"));
    buf_reset(&clean);
    text_clean(json_text(d, "error"), &clean);
    if (clean.len)
        fprintf(c->out, "  %s", buf_cstr(&clean));
    buf_reset(&clean);
    text_clean(json_text(d, "answer"), &clean);
    if (clean.len)
        fprintf(c->out, "\n      answer: %s", buf_cstr(&clean));
    fputc('\n', c->out);
    buf_done(&clean);
}

// Each as it ends. CLI_NO when one did not get through.
static int follow(const struct cli *c, const cJSON *errands, struct err *err)
{
    const cJSON *e;
    int rc = CLI_YES;
    cJSON_ArrayForEach(e, errands)
    {
        cJSON *doc;
        const cJSON *d;
        int one = await(c, e, &doc, &d, err);
        if (one != CLI_YES)
            return one;
        if (strcmp(json_text(d, "outcome"), "sent") != 0)
            rc = CLI_NO;
        if (c->json)
            (void)hooks_print_json(c, d);
        else
            report(c, d);
        fflush(c->out);
        cJSON_Delete(doc);
    }
    return rc;
}

static int post(
    const struct cli *c, const char *path, cJSON **ret_doc, const cJSON **ret, struct err *err)
{
    int rc = client_send(c, "POST", path, "", ret_doc, err);
    *ret = rc == CLI_YES ? cJSON_GetObjectItemCaseSensitive(*ret_doc, "data") : NULL;
    return rc;
}

int hooks_test_main(const struct cli *c, const struct verb_args *a, struct err *err)
{
    cJSON *doc = NULL;
    const cJSON *data;
    struct buf path;
    buf_init(&path, 4096);
    buf_adds(&path, "/api/v1/hooks/test");
    client_param(&path, "receiver", a->words[0]);
    int rc = post(c, buf_cstr(&path), &doc, &data, err);
    buf_done(&path);
    if (rc == CLI_YES)
        rc = follow(c, cJSON_GetObjectItemCaseSensitive(data, "errands"), err);
    cJSON_Delete(doc);
    return rc;
}

// Which dead letters: an id, or a receiver's.
static int which(const struct verb_args *a, struct buf *path, struct err *err)
{
    uint64_t id;
    const char *word = a->n_words ? a->words[0] : NULL, *receiver = a->option[REPLAY_FAILED];
    if (!word == !receiver) {
        err_set(err, "either ID or --failed RECEIVER says which: see tocsin hooks letters");
        return CLI_USAGE;
    }
    if (word && !num_parse_u64(word, strlen(word), &id)) {
        err_set(err, "%s is not the number of a dead letter: see tocsin hooks letters", word);
        return CLI_USAGE;
    }
    client_param(path, word ? "id" : "receiver", word ? word : receiver);
    return CLI_YES;
}

int hooks_replay_main(const struct cli *c, const struct verb_args *a, struct err *err)
{
    cJSON *doc = NULL;
    const cJSON *data = NULL, *s;
    struct buf path;
    buf_init(&path, 4096);
    buf_adds(&path, "/api/v1/hooks/replay");
    int rc = which(a, &path, err);
    if (rc == CLI_YES && a->option[REPLAY_SINCE])
        rc = hooks_since_param(&path, a->option[REPLAY_SINCE], err);
    if (rc == CLI_YES && a->option[REPLAY_ANYWAY])
        client_param(&path, "anyway", "1");
    if (rc == CLI_YES)
        rc = post(c, buf_cstr(&path), &doc, &data, err);
    buf_done(&path);
    if (rc != CLI_YES)
        return rc;
    const cJSON *errands = cJSON_GetObjectItemCaseSensitive(data, "errands");
    const cJSON *skipped = cJSON_GetObjectItemCaseSensitive(data, "skipped");
    bool left = cJSON_GetArraySize(skipped) > 0;
    cJSON_ArrayForEach(s, skipped)
    {
        fprintf(c->out, "skip  letter %.0f: %s\n", json_number(s, "id"), json_text(s, "why"));
    }
    if (left && !c->json)
        fputs(
            "      what is not so any more would tell the receiver what is over or fires again;\n"
            "      tocsin hooks show ID says what it is, replay --anyway sends it, dismiss forgets it\n",
            c->out);
    if (!left && !cJSON_GetArraySize(errands))
        fputs("no dead letters\n", c->out);
    rc = follow(c, errands, err);
    cJSON_Delete(doc);
    return rc == CLI_YES && left && !cJSON_GetArraySize(errands) ? CLI_NO : rc;
}

int hooks_dismiss_main(const struct cli *c, const struct verb_args *a, struct err *err)
{
    cJSON *doc = NULL;
    const cJSON *data = NULL;
    struct buf path;
    buf_init(&path, 4096);
    buf_adds(&path, "/api/v1/hooks/dismiss");
    int rc = which(a, &path, err);
    if (rc == CLI_YES)
        rc = post(c, buf_cstr(&path), &doc, &data, err);
    buf_done(&path);
    if (rc == CLI_YES && c->json)
        rc = hooks_print_json(c, data);
    else if (rc == CLI_YES)
        fprintf(c->out, "%.0f dismissed\n", json_number(data, "dismissed"));
    cJSON_Delete(doc);
    return rc;
}

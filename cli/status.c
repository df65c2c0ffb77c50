// SPDX-License-Identifier: Apache-2.0
// `tocsin status`: what is wrong stands first, because that is why one asks.
#include "cli/client.h"
#include "cli/text.h"
#include <string.h>

static bool is_error(const cJSON *problem)
{
    return strcmp(json_text(problem, "severity"), "error") == 0;
}

static void show_problems(const struct cli *c, const cJSON *problems)
{
    const cJSON *p;
    int n = cJSON_GetArraySize(problems);
    if (n == 0) {
        text_paint(c->out, c->color, TEXT_GOOD, "nothing is wrong");
        fputc('\n', c->out);
        return;
    }
    fprintf(c->out, "%d problem%s\n", n, n == 1 ? "" : "s");
    // Errors before warnings, each in the collector's order.
    for (int pass = 0; pass < 2; pass++) {
        cJSON_ArrayForEach(p, problems)
        {
            struct buf text;
            if (is_error(p) == (pass == 1))
                continue;
            buf_init(&text, 1u << 20);
            text_clean(json_text(p, "what"), &text);
            fputs("  ", c->out);
            text_paint(
                c->out, c->color, pass ? TEXT_WARN : TEXT_BAD, pass ? "warning" : "error");
            fprintf(c->out, "%s  %s\n", pass ? "" : "  ", buf_cstr(&text));
            buf_done(&text);
        }
    }
}

static enum text_color state_color(const char *state)
{
    if (strcmp(state, "up") == 0)
        return TEXT_GOOD;
    return strcmp(state, "down") == 0      ? TEXT_BAD
           : strcmp(state, "suspect") == 0 ? TEXT_WARN
                                           : TEXT_DIM;
}

static void number_cell(struct table *t, const cJSON *o, const char *name, bool bad)
{
    char text[TEXT_NUMBER_MAX];
    double v = json_number(o, name);
    table_cell(t, bad && v > 0 ? TEXT_WARN : TEXT_PLAIN, text_number(v, TEXT_COUNT, text));
}

static bool show_agents(const struct cli *c, const cJSON *agents, double now_ms)
{
    static const char *const HEADINGS[] = {
        "HOST", "STATE", "VERSION", ">HEARD", ">SERIES", ">REFUSED", ">MISSING", ">SKEW"};
    const cJSON *a;
    char age[TEXT_NUMBER_MAX];
    struct table t;
    fprintf(c->out, "\nagents: %d\n", cJSON_GetArraySize(agents));
    if (cJSON_GetArraySize(agents) == 0)
        return true;
    table_init(&t, HEADINGS, 8);
    cJSON_ArrayForEach(a, agents)
    {
        const char *state = json_text(a, "state");
        double last = json_number(a, "last_frame_ms");
        table_cell(&t, TEXT_BOLD, json_text(a, "host"));
        table_cell(&t, state_color(state), state);
        table_cell(&t, TEXT_PLAIN, json_text(a, "version"));
        table_cell(
            &t, TEXT_PLAIN, last > 0 ? text_age((int64_t)(now_ms - last), age) : "never");
        number_cell(&t, a, "series", false);
        number_cell(&t, a, "refused", true);
        number_cell(&t, a, "missing", true);
        table_cell(&t, TEXT_PLAIN, text_age((int64_t)json_number(a, "skew_ms"), age));
    }
    bool printed = table_print(&t, 0, c->color, c->out);
    table_done(&t);
    return printed;
}

static bool show_receivers(const struct cli *c, const cJSON *receivers, double now_ms)
{
    static const char *const HEADINGS[] = {
        "RECEIVER", ">WAITING", ">SENT", ">FAILED", ">DROPPED", ">LAST SENT", "LAST ERROR"};
    const cJSON *r;
    char age[TEXT_NUMBER_MAX];
    struct table t;
    if (cJSON_GetArraySize(receivers) == 0)
        return true;
    fputc('\n', c->out);
    table_init(&t, HEADINGS, 7);
    cJSON_ArrayForEach(r, receivers)
    {
        double last = json_number(r, "last_sent_ms");
        table_cell(&t, TEXT_BOLD, json_text(r, "name"));
        number_cell(&t, r, "queued", false);
        number_cell(&t, r, "sent", false);
        number_cell(&t, r, "failed", true);
        number_cell(&t, r, "alerts_dropped", true);
        table_cell(
            &t, TEXT_PLAIN, last > 0 ? text_age((int64_t)(now_ms - last), age) : "never");
        table_cell(&t, TEXT_WARN, json_text(r, "last_error"));
    }
    bool printed = table_print(&t, 0, c->color, c->out);
    table_done(&t);
    return printed;
}

static bool show_heartbeats(const struct cli *c, const cJSON *heartbeats, double now_ms)
{
    static const char *const HEADINGS[] = {
        "HEARTBEAT", "TO", ">SENT", ">FAILED", ">LAST SENT", "TROUBLE"};
    const cJSON *h;
    char age[TEXT_NUMBER_MAX];
    struct table t;
    if (cJSON_GetArraySize(heartbeats) == 0)
        return true;
    fputc('\n', c->out);
    table_init(&t, HEADINGS, 6);
    cJSON_ArrayForEach(h, heartbeats)
    {
        double last = json_number(h, "last_sent_ms");
        const char *held = json_text(h, "held");
        table_cell(&t, TEXT_BOLD, json_text(h, "name"));
        table_cell(&t, TEXT_PLAIN, json_text(h, "to"));
        number_cell(&t, h, "sent", false);
        number_cell(&t, h, "failed", true);
        table_cell(
            &t, TEXT_PLAIN, last > 0 ? text_age((int64_t)(now_ms - last), age) : "never");
        table_cell(&t, TEXT_WARN, *held ? held : json_text(h, "last_error"));
    }
    bool printed = table_print(&t, 0, c->color, c->out);
    table_done(&t);
    return printed;
}

static enum text_color repair_color(const char *state)
{
    return strcmp(state, "gave up") == 0 ? TEXT_BAD
           : strcmp(state, "well") == 0  ? TEXT_GOOD
                                         : TEXT_WARN;
}

// "exited 4: no such luck", or why nothing was run.
static void outcome_cell(struct table *t, const cJSON *r)
{
    const char *outcome = json_text(r, "outcome"), *why = json_text(r, "reason");
    const char *output = *why ? why : json_text(r, "output");
    struct buf text;
    buf_init(&text, 4096);
    buf_adds(&text, outcome);
    if (strcmp(outcome, "exited") == 0 || strcmp(outcome, "killed") == 0)
        buf_addf(&text, " %.0f", json_number(r, "code"));
    if (*output)
        buf_addf(&text, ": %.*s", (int)strcspn(output, "\n"), output);
    table_cell(t, TEXT_PLAIN, buf_cstr(&text));
    buf_done(&text);
}

static bool show_repairs(const struct cli *c, const cJSON *repairs)
{
    static const char *const HEADINGS[] = {
        "REPAIR", "HOST", "ALERT", "STATE", ">ATTEMPTS", "WHY", "LAST ATTEMPT"};
    const cJSON *r;
    struct table t;
    if (cJSON_GetArraySize(repairs) == 0)
        return true;
    fputc('\n', c->out);
    table_init(&t, HEADINGS, 7);
    cJSON_ArrayForEach(r, repairs)
    {
        const char *state = json_text(r, "state");
        table_cell(&t, TEXT_BOLD, json_text(r, "action"));
        table_cell(&t, TEXT_PLAIN, json_text(r, "instance"));
        table_cell(&t, TEXT_PLAIN, json_text(r, "alert"));
        table_cell(&t, repair_color(state), state);
        number_cell(&t, r, "attempts", false);
        table_cell(&t, TEXT_PLAIN, json_text(r, "why"));
        outcome_cell(&t, r);
    }
    bool printed = table_print(&t, 0, c->color, c->out);
    table_done(&t);
    return printed;
}

static void show_totals(const struct cli *c, const cJSON *data, double now_ms)
{
    const cJSON *rules = cJSON_GetObjectItemCaseSensitive(data, "rules");
    const cJSON *alerts = cJSON_GetObjectItemCaseSensitive(data, "alerts");
    const cJSON *store = cJSON_GetObjectItemCaseSensitive(data, "store");
    const cJSON *queues = cJSON_GetObjectItemCaseSensitive(data, "queues");
    char up[TEXT_NUMBER_MAX], samples[TEXT_NUMBER_MAX];
    struct buf version;
    buf_init(&version, 4096);
    text_clean(json_text(data, "version"), &version);
    fprintf(c->out, "\nrules: %.0f, %.0f unhealthy; %.0f alerts firing, %.0f pending\n",
        json_number(rules, "total"), json_number(rules, "unhealthy"),
        json_number(alerts, "firing"), json_number(alerts, "pending"));
    fprintf(c->out, "store: %.0f series, %.1f MiB, %s samples\n", json_number(store, "series"),
        json_number(store, "bytes") / (1u << 20),
        text_number(json_number(store, "samples"), TEXT_COUNT, samples));
    fprintf(c->out, "queues: %.0f of %.0f frames, %.0f alert changes\n",
        json_number(queues, "frames"), json_number(queues, "frames_max"),
        json_number(queues, "notices"));
    fprintf(c->out, "collector: %s, version %s, up %s\n", c->url, buf_cstr(&version),
        text_age((int64_t)(now_ms - json_number(data, "started_ms")), up));
    buf_done(&version);
}

static int show(const struct cli *c, const cJSON *data, struct err *err)
{
    double now_ms = json_number(data, "now_ms");
    bool printed;
    if (c->json) {
        char *text = cJSON_Print(data);
        printed = text && fprintf(c->out, "%s\n", text) > 0;
        cJSON_free(text);
    } else {
        show_problems(c, cJSON_GetObjectItemCaseSensitive(data, "problems"));
        printed =
            show_agents(c, cJSON_GetObjectItemCaseSensitive(data, "agents"), now_ms) &&
            show_receivers(c, cJSON_GetObjectItemCaseSensitive(data, "receivers"), now_ms) &&
            show_heartbeats(c, cJSON_GetObjectItemCaseSensitive(data, "heartbeats"), now_ms) &&
            show_repairs(c, cJSON_GetObjectItemCaseSensitive(data, "repairs"));
        show_totals(c, data, now_ms);
    }
    if (printed)
        return CLI_YES;
    err_set(err, "out of memory");
    return CLI_NO;
}

int status_main(const struct cli *c, const struct verb_args *a, struct err *err)
{
    cJSON *doc = NULL;
    const cJSON *data, *p;
    const char *fail_on = a->option[0];
    int rc = client_get(c, "/api/v1/status/tocsin", &doc, &data, err);
    if (rc != CLI_YES)
        return rc;
    rc = show(c, data, err);
    cJSON_ArrayForEach(p, cJSON_GetObjectItemCaseSensitive(data, "problems"))
    {
        if (fail_on && (is_error(p) || strcmp(fail_on, "warning") == 0))
            rc = CLI_NO;
    }
    cJSON_Delete(doc);
    return rc;
}

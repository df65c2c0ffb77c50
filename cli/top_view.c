// SPDX-License-Identifier: Apache-2.0
#include "cli/top_view.h"
#include "base/map.h"
#include "base/when.h"
#include "cli/client.h"
#include "cli/text.h"
#include "wire/live.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CELLS_MAX    20000
#define POINTS_MAX   (64u << 20)
#define ALERTS_SHOWN 5
#define BY           "by (instance, service, port)"

// The page's own questions, so that both show the same.
static const struct {
    const char *name, *expr;
    enum text_unit unit;
} SUBS[TOP_SUBS] = {
    {"state", "tocsin_service_state == 1", TEXT_COUNT},
    {"connections", "sum " BY " (tocsin_service_connections{state=\"established\"})",
        TEXT_COUNT},
    {"new_per_second", "sum " BY " (rate(tocsin_service_connections_opened_total[10s]))",
        TEXT_PER_SECOND},
    {"in_bytes_per_second", "sum " BY " (rate(tocsin_service_received_bytes_total[10s]))",
        TEXT_BYTES_PER_SECOND},
    {"out_bytes_per_second", "sum " BY " (rate(tocsin_service_sent_bytes_total[10s]))",
        TEXT_BYTES_PER_SECOND},
    {"rtt_seconds", "max " BY " (tocsin_service_rtt_seconds)", TEXT_SECONDS},
    {"accept_queue_peak", "max " BY " (tocsin_service_accept_queue_length_max)", TEXT_COUNT},
};
static const char *const STATES[] = {"crashed", "stopped", "starting", "up"};
#define N_STATES (sizeof(STATES) / sizeof(STATES[0]))

struct cell {
    uint32_t id;
    double value;
    char *instance, *service, *port, *state; // "" for what the series has not
    char *key; // the first three, for finding across subscriptions
};
struct sub {
    struct cell *cells;
    size_t n;
    struct map by_id, by_key; // to cells
    bool answered;
    char *error;
};
struct top_view {
    struct sub subs[TOP_SUBS];
    cJSON *state;
    char *filter, *lost, *version;
    double server_ms;
};

static void cells_done(struct cell *cells, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(cells[i].instance);
        free(cells[i].service);
        free(cells[i].port);
        free(cells[i].state);
        free(cells[i].key);
    }
    free(cells);
}

static void sub_done(struct sub *s)
{
    map_done(&s->by_id);
    map_done(&s->by_key);
    cells_done(s->cells, s->n);
    free(s->error);
    *s = (struct sub){0};
}

struct top_view *top_view_new(const char *filter)
{
    struct top_view *v = calloc(1, sizeof(*v));
    if (!v)
        return NULL;
    for (size_t i = 0; i < TOP_SUBS; i++) {
        map_init(&v->subs[i].by_id);
        map_init(&v->subs[i].by_key);
    }
    if (filter && !(v->filter = strdup(filter))) {
        top_view_free(v);
        return NULL;
    }
    return v;
}

void top_view_free(struct top_view *v)
{
    if (!v)
        return;
    for (size_t i = 0; i < TOP_SUBS; i++)
        sub_done(&v->subs[i]);
    cJSON_Delete(v->state);
    free(v->filter);
    free(v->lost);
    free(v->version);
    free(v);
}

int top_view_subscribe(const struct top_view *v, unsigned sub, struct buf *out)
{
    (void)v;
    const char *expr = SUBS[sub - 1].expr;
    buf_addf(out, "{\"op\":\"subscribe\",\"id\":%u,\"expr\":", sub);
    buf_add_json(out, expr, strlen(expr));
    buf_adds(out, ",\"window_ms\":1000,\"step_ms\":1000,\"since_ms\":0}");
    return out->failed;
}

static bool cell_fill(struct cell *c, const cJSON *series)
{
    const cJSON *labels = cJSON_GetObjectItemCaseSensitive(series, "labels");
    double id = json_number(series, "id");
    *c = (struct cell){
        .id = id >= 0 && id <= UINT32_MAX ? (uint32_t)id : 0,
        .value = NAN,
        .instance = strdup(json_text(labels, "instance")),
        .service = strdup(json_text(labels, "service")),
        .port = strdup(json_text(labels, "port")),
        .state = strdup(json_text(labels, "state")),
    };
    struct buf key;
    buf_init(&key, 1u << 20);
    buf_addf(&key, "%s\n%s\n%s", c->instance ? c->instance : "", c->service ? c->service : "",
        c->port ? c->port : "");
    c->key = strdup(buf_cstr(&key));
    bool whole = !key.failed && c->instance && c->service && c->port && c->state && c->key;
    buf_done(&key);
    return whole;
}

// A new table; what stays keeps its value until the next points.
static bool take_series(struct sub *s, const cJSON *list)
{
    struct sub fresh = {.answered = s->answered};
    const cJSON *one;
    size_t n = (size_t)cJSON_GetArraySize(list);
    if (n > CELLS_MAX || !(fresh.cells = calloc(n + 1, sizeof(*fresh.cells))))
        return false;
    map_init(&fresh.by_id);
    map_init(&fresh.by_key);
    bool whole = true;
    cJSON_ArrayForEach(one, list)
    {
        struct cell *c = &fresh.cells[fresh.n++];
        whole = cell_fill(c, one) && whole;
        const struct cell *old = map_get(&s->by_id, &c->id, sizeof(c->id));
        if (old)
            c->value = old->value;
        whole = whole && map_set(&fresh.by_id, &c->id, sizeof(c->id), c) == 0 &&
                map_set(&fresh.by_key, c->key, strlen(c->key), c) == 0;
        if (!whole)
            break;
    }
    if (!whole) {
        sub_done(&fresh);
        return false;
    }
    sub_done(s);
    *s = fresh;
    return true;
}

// The newest row is what is shown. A series it does not name has no value now.
static bool take_points(struct sub *s, const uint8_t *payload, size_t len)
{
    struct live_points p;
    struct buf store;
    buf_init(&store, POINTS_MAX);
    int rc = live_decode_points(payload, len, &store, &p);
    if (rc == 0) {
        s->answered = true;
        free(s->error);
        s->error = NULL;
    }
    if (rc == 0 && p.rows > 0) {
        for (size_t i = 0; i < s->n; i++)
            s->cells[i].value = NAN;
        for (uint32_t c = 0; c < p.columns; c++) {
            struct cell *cell = map_get(&s->by_id, &p.ids[c], sizeof(p.ids[c]));
            if (cell)
                cell->value = p.v[(size_t)c * p.rows + p.rows - 1];
        }
    }
    buf_done(&store);
    return rc == 0;
}

static bool take_json(
    struct top_view *v, const struct live_head *h, struct sub *s, const char *text, size_t len)
{
    cJSON *doc = cJSON_ParseWithLength(text, len);
    bool taken = doc != NULL;
    if (doc && h->type == LIVE_STATE) {
        cJSON_Delete(v->state);
        v->state = doc;
        return true;
    }
    if (doc && h->type == LIVE_HELLO) {
        free(v->version);
        v->version = strdup(json_text(doc, "version"));
    } else if (doc && s && h->type == LIVE_SERIES) {
        taken = take_series(s, doc);
    } else if (doc && s && h->type == LIVE_ERROR) {
        free(s->error);
        s->error = strdup(json_text(doc, "error"));
        s->answered = true;
    }
    cJSON_Delete(doc);
    return taken;
}

bool top_view_message(struct top_view *v, const uint8_t *message, size_t len)
{
    struct live_head h;
    const uint8_t *payload;
    size_t n;
    if (live_decode_head(message, len, &h, &payload, &n) < 0)
        return false;
    v->server_ms = h.server_ms;
    struct sub *s = h.sub >= 1 && h.sub <= TOP_SUBS ? &v->subs[h.sub - 1] : NULL;
    switch (h.type) {
    case LIVE_POINTS: return !s || take_points(s, payload, n);
    case LIVE_HELLO:
    case LIVE_SERIES:
    case LIVE_STATE:
    case LIVE_ERROR: return take_json(v, &h, s, (const char *)payload, n);
    case LIVE_BEAT: return true;
    }
    return false;
}

bool top_view_complete(const struct top_view *v)
{
    for (size_t i = 0; i < TOP_SUBS; i++)
        if (!v->subs[i].answered)
            return false;
    return v->state != NULL;
}

bool top_view_has_state(const struct top_view *v)
{
    return v->state != NULL;
}

void top_view_lost(struct top_view *v, const char *why)
{
    free(v->lost);
    v->lost = why ? strdup(why) : NULL;
}

static size_t state_rank(const char *state)
{
    for (size_t i = 0; i < N_STATES; i++)
        if (strcmp(state, STATES[i]) == 0)
            return i;
    return N_STATES;
}

static int compare(const void *a, const void *b)
{
    const struct cell *x = *(const struct cell *const *)a, *y = *(const struct cell *const *)b;
    size_t p = state_rank(x->state), q = state_rank(y->state);
    if (p != q)
        return p < q ? -1 : 1;
    int order = strcmp(x->instance, y->instance);
    if (order == 0)
        order = strcmp(x->service, y->service);
    return order ? order : strverscmp(x->port, y->port);
}

static bool wanted(const struct top_view *v, const struct cell *c)
{
    return !v->filter || strstr(c->instance, v->filter) || strstr(c->service, v->filter) ||
           strcmp(c->port, v->filter) == 0;
}

// The series that is 1 now names the state. NULL: no memory.
static const struct cell **services(const struct top_view *v, size_t *ret_n)
{
    const struct sub *s = &v->subs[0];
    const struct cell **list = calloc(s->n + 1, sizeof(*list));
    size_t n = 0;
    for (size_t i = 0; list && i < s->n; i++)
        if (isfinite(s->cells[i].value) && wanted(v, &s->cells[i]))
            list[n++] = &s->cells[i];
    if (list)
        qsort(list, n, sizeof(*list), compare);
    *ret_n = n;
    return list;
}

static double value_of(const struct top_view *v, size_t sub, const struct cell *service)
{
    const struct cell *c = map_get(&v->subs[sub].by_key, service->key, strlen(service->key));
    return c ? c->value : NAN;
}

static const cJSON *state_list(const struct top_view *v, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(v->state, name);
}

static int count(const cJSON *list, const char *state)
{
    const cJSON *one;
    int n = 0;
    cJSON_ArrayForEach(one, list) n += strcmp(json_text(one, "state"), state) == 0;
    return n;
}

static void draw_head(const struct top_view *v, struct top_size size, bool color, FILE *out)
{
    char line[256], clock[WHEN_TEXT_MAX];
    const cJSON *alerts = state_list(v, "alerts"), *agents = state_list(v, "agents");
    int firing = count(alerts, "firing"), pending = count(alerts, "pending");
    int width = size.columns && size.columns < sizeof(line) ? (int)size.columns : 255;
    snprintf(line, sizeof(line),
        "tocsin %s  agents %d, %d up  rules %.0f  firing %d  pending %d",
        v->server_ms > 0 && v->server_ms < 1e15 ? when_clock((int64_t)v->server_ms, clock) : "",
        cJSON_GetArraySize(agents), count(agents, "up"),
        json_number(cJSON_GetObjectItemCaseSensitive(v->state, "rules"), "total"), firing,
        pending);
    line[width] = '\0';
    text_paint(out, color, firing ? TEXT_BAD : pending ? TEXT_WARN : TEXT_BOLD, line);
    fputc('\n', out);
    const char *note = v->lost ? v->lost : json_text(v->state, "banner");
    if (note[0]) {
        struct buf text;
        buf_init(&text, 2048);
        text_clean(note, &text);
        snprintf(line, sizeof(line), "%.250s", buf_cstr(&text));
        line[width] = '\0';
        text_paint(out, color, TEXT_BAD, line);
        fputc('\n', out);
        buf_done(&text);
    }
}

// Firing, then pending; at most max, the rest counted.
static bool draw_alerts(
    const struct top_view *v, size_t max, struct top_size size, bool color, FILE *out)
{
    static const char *const HEADINGS[] = {"ALERT", "", ">SINCE", "SUMMARY", "LABELS"};
    static const char *const PASS[] = {"firing", "pending"};
    static const char *const SKIP[] = {"alertname", "job", NULL};
    const cJSON *list = state_list(v, "alerts"), *a;
    size_t shown = 0;
    struct table t;
    if (count(list, "firing") + count(list, "pending") == 0)
        return true;
    table_init(&t, HEADINGS, 5);
    for (size_t pass = 0; pass < 2; pass++) {
        cJSON_ArrayForEach(a, list)
        {
            char age[TEXT_NUMBER_MAX];
            struct buf labels;
            if (strcmp(json_text(a, "state"), PASS[pass]) != 0 || shown >= max)
                continue;
            shown++;
            buf_init(&labels, 1u << 16);
            json_labels(cJSON_GetObjectItemCaseSensitive(a, "labels"), SKIP, &labels);
            table_cell(&t, pass ? TEXT_WARN : TEXT_BAD, PASS[pass]);
            table_cell(&t, TEXT_BOLD, json_text(a, "alertname"));
            table_cell(&t, TEXT_PLAIN,
                text_age((int64_t)(v->server_ms - json_number(a, "active_at_ms")), age));
            table_cell(&t, TEXT_PLAIN,
                json_text(cJSON_GetObjectItemCaseSensitive(a, "annotations"), "summary"));
            table_cell(&t, TEXT_DIM, buf_cstr(&labels));
            buf_done(&labels);
        }
    }
    bool drawn = table_print(&t, size.columns, color, out);
    table_done(&t);
    fputc('\n', out);
    return drawn;
}

static enum text_color state_color(const char *state)
{
    static const enum text_color COLORS[] = {TEXT_BAD, TEXT_DIM, TEXT_WARN, TEXT_GOOD};
    size_t rank = state_rank(state);
    return rank < N_STATES ? COLORS[rank] : TEXT_PLAIN;
}

static void draw_error(const char *error, FILE *out)
{
    struct buf text;
    buf_init(&text, 2048);
    text_clean(error, &text);
    fprintf(out, "services: %s\n", buf_cstr(&text));
    buf_done(&text);
}

static bool draw_services(
    const struct top_view *v, size_t max, struct top_size size, bool color, FILE *out)
{
    static const char *const HEADINGS[] = {"SERVICE", "HOST", ">PORT", "STATE", ">CONNS",
        ">NEW", ">IN", ">OUT", ">RTT", ">QUEUE PEAK"};
    size_t n = 0;
    struct table t;
    const struct cell **list = services(v, &n);
    if (!list)
        return false;
    table_init(&t, HEADINGS, 10);
    for (size_t i = 0; i < n && i < max; i++) {
        table_cell(&t, TEXT_BOLD, list[i]->service);
        table_cell(&t, TEXT_PLAIN, list[i]->instance);
        table_cell(&t, TEXT_PLAIN, list[i]->port);
        table_cell(&t, state_color(list[i]->state), list[i]->state);
        for (size_t s = 1; s < TOP_SUBS; s++) {
            char text[TEXT_NUMBER_MAX];
            table_cell(
                &t, TEXT_PLAIN, text_number(value_of(v, s, list[i]), SUBS[s].unit, text));
        }
    }
    bool drawn = table_print(&t, size.columns, color, out);
    table_done(&t);
    if (n > max)
        fprintf(out, "%zu more\n", n - max);
    if (n == 0 && v->subs[0].error)
        draw_error(v->subs[0].error, out);
    else if (n == 0 && !v->subs[0].answered)
        fputs("waiting for the collector\n", out);
    else if (n == 0)
        fputs(
            v->filter ? "no service or host matches\n" : "no service was reported yet\n", out);
    free(list);
    return drawn;
}

bool top_view_draw(const struct top_view *v, struct top_size size, bool color, FILE *out)
{
    const cJSON *alerts = state_list(v, "alerts");
    size_t open = (size_t)(count(alerts, "firing") + count(alerts, "pending"));
    size_t shown = size.rows && open > ALERTS_SHOWN ? ALERTS_SHOWN : open;
    // Head, note, alerts with heading and blank, heading of services, "N more".
    size_t taken = 2 + (shown ? shown + 2 : 0) + 2;
    size_t rows = !size.rows ? SIZE_MAX : size.rows > taken ? size.rows - taken : 0;
    draw_head(v, size, color, out);
    return draw_alerts(v, shown, size, color, out) && draw_services(v, rows, size, color, out);
}

bool top_view_json(const struct top_view *v, FILE *out)
{
    size_t n = 0;
    const struct cell **list = services(v, &n);
    cJSON *doc = cJSON_CreateObject(), *all = cJSON_AddArrayToObject(doc, "services");
    for (size_t i = 0; list && i < n; i++) {
        cJSON *one = cJSON_CreateObject();
        cJSON_AddStringToObject(one, "instance", list[i]->instance);
        cJSON_AddStringToObject(one, "service", list[i]->service);
        cJSON_AddStringToObject(one, "port", list[i]->port);
        cJSON_AddStringToObject(one, "state", list[i]->state);
        for (size_t s = 1; s < TOP_SUBS; s++) {
            double value = value_of(v, s, list[i]);
            if (isfinite(value))
                cJSON_AddNumberToObject(one, SUBS[s].name, value);
        }
        if (!cJSON_AddItemToArray(all, one))
            cJSON_Delete(one);
    }
    if (v->state)
        cJSON_AddItemReferenceToObject(doc, "state", v->state);
    char *text = cJSON_Print(doc);
    bool printed = list && text && fprintf(out, "%s\n", text) > 0;
    cJSON_free(text);
    cJSON_Delete(doc);
    free(list);
    return printed;
}

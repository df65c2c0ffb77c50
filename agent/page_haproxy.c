// SPDX-License-Identifier: Apache-2.0
// The statistics of HAProxy as CSV: a row for each frontend, backend and server, columns by the names of
// the first line. Source: chapter 9.1 of HAProxy's management guide; names as its own exporter has them.
#include "agent/page.h"
#include "base/num.h"
#include "base/span.h"
#include "wire/name.h"
#include <stdio.h>
#include <string.h>

#define COLUMNS_MAX 192
#define NAME_MAX_   128 // of a proxy or server; longer ones are passed over

enum { FRONTEND = 1, BACKEND = 2, SERVER = 4, ALL = FRONTEND | BACKEND | SERVER };
#define G SERIES_GAUGE
#define C SERIES_COUNTER
static const struct {
    const char *column, *name, *unit;
    enum series_kind kind;
    double factor;
    int rows;
    const char *code; // label `code`, or NULL
} FIELDS[] = {
    {"qcur", "current_queue", "1", G, 1, BACKEND | SERVER, NULL},
    {"qlimit", "queue_limit", "1", G, 1, SERVER, NULL},
    {"scur", "current_sessions", "1", G, 1, ALL, NULL},
    {"slim", "limit_sessions", "1", G, 1, ALL, NULL},
    {"stot", "sessions_total", "1", C, 1, ALL, NULL},
    {"bin", "bytes_in_total", "By", C, 1, ALL, NULL},
    {"bout", "bytes_out_total", "By", C, 1, ALL, NULL},
    {"dreq", "requests_denied_total", "1", C, 1, FRONTEND | BACKEND, NULL},
    {"ereq", "request_errors_total", "1", C, 1, FRONTEND, NULL},
    {"econ", "connection_errors_total", "1", C, 1, BACKEND | SERVER, NULL},
    {"eresp", "response_errors_total", "1", C, 1, BACKEND | SERVER, NULL},
    {"wretr", "retry_warnings_total", "1", C, 1, BACKEND | SERVER, NULL},
    {"wredis", "redispatch_warnings_total", "1", C, 1, BACKEND | SERVER, NULL},
    {"weight", "weight", "1", G, 1, BACKEND | SERVER, NULL},
    {"act", "active_servers", "1", G, 1, BACKEND, NULL},
    {"bck", "backup_servers", "1", G, 1, BACKEND, NULL},
    {"chkfail", "check_failures_total", "1", C, 1, SERVER, NULL},
    {"chkdown", "check_up_down_total", "1", C, 1, BACKEND | SERVER, NULL},
    {"downtime", "downtime_seconds_total", "s", C, 1, BACKEND | SERVER, NULL},
    {"req_tot", "http_requests_total", "1", C, 1, FRONTEND | BACKEND, NULL},
    {"hrsp_1xx", "http_responses_total", "1", C, 1, ALL, "1xx"},
    {"hrsp_2xx", "http_responses_total", "1", C, 1, ALL, "2xx"},
    {"hrsp_3xx", "http_responses_total", "1", C, 1, ALL, "3xx"},
    {"hrsp_4xx", "http_responses_total", "1", C, 1, ALL, "4xx"},
    {"hrsp_5xx", "http_responses_total", "1", C, 1, ALL, "5xx"},
    {"cli_abrt", "client_aborts_total", "1", C, 1, BACKEND | SERVER, NULL},
    {"srv_abrt", "server_aborts_total", "1", C, 1, BACKEND | SERVER, NULL},
    {"qtime", "queue_time_average_seconds", "s", G, 1e-3, BACKEND | SERVER, NULL},
    {"ctime", "connect_time_average_seconds", "s", G, 1e-3, BACKEND | SERVER, NULL},
    {"rtime", "response_time_average_seconds", "s", G, 1e-3, BACKEND | SERVER, NULL},
    {"ttime", "total_time_average_seconds", "s", G, 1e-3, BACKEND | SERVER, NULL},
};
#define N_FIELDS (sizeof(FIELDS) / sizeof(FIELDS[0]))
enum { PXNAME, SVNAME, TYPE, STATUS, N_KEYS };
static const char *const KEYS[N_KEYS] = {"pxname", "svname", "type", "status"};

struct columns {
    int key[N_KEYS], field[N_FIELDS]; // -1: not there
};

// The next cell of a line; what is quoted comes without its quotes, a doubled quote as it stands.
static struct span next_cell(const char **at, const char *end)
{
    struct span c = {*at, 0};
    const char *p = *at;
    if (p < end && *p == '"') {
        c.at = ++p;
        while (p < end && (*p != '"' || (p + 1 < end && p[1] == '"')))
            p += *p == '"' ? 2 : 1;
        c.len = (size_t)(p - c.at);
        while (p < end && *p != ',')
            p++;
    } else {
        while (p < end && *p != ',')
            p++;
        c.len = (size_t)(p - c.at);
    }
    *at = p < end ? p + 1 : end;
    return c;
}

static bool read_header(const char *at, const char *end, struct columns *ret)
{
    for (size_t i = 0; i < N_KEYS; i++)
        ret->key[i] = -1;
    for (size_t i = 0; i < N_FIELDS; i++)
        ret->field[i] = -1;
    if (end - at < 2 || memcmp(at, "# ", 2) != 0)
        return false;
    at += 2;
    for (int column = 0; at < end && column < COLUMNS_MAX; column++) {
        struct span c = next_cell(&at, end);
        for (size_t i = 0; i < N_KEYS; i++)
            if (span_is(c, KEYS[i]))
                ret->key[i] = column;
        for (size_t i = 0; i < N_FIELDS; i++)
            if (span_is(c, FIELDS[i].column))
                ret->field[i] = column;
    }
    for (size_t i = 0; i < N_KEYS; i++)
        if (ret->key[i] < 0)
            return false;
    return true;
}

static bool label_text(struct span c, char ret[NAME_MAX_ + 1])
{
    if (!c.len || c.len > NAME_MAX_ || memchr(c.at, '\0', c.len))
        return false;
    memcpy(ret, c.at, c.len);
    ret[c.len] = '\0';
    return wire_text_ok(ret, 1, WIRE_VALUE_MAX);
}

// One series for each state, as the exporter has it: 1 for the one it is in.
static void write_status(const char *name, struct span status, int row,
    struct wire_label *labels, size_t n, const struct page_sink *sink)
{
    static const char *const STATES[] = {"DOWN", "UP", "MAINT", "DRAIN", "NOLB"};
    size_t n_states = row == SERVER ? 5 : 2;
    for (size_t i = 0; i < n_states; i++) {
        bool in = span_begins(status, STATES[i]);
        if (i == 1)
            in = in || span_begins(status, "OPEN") || span_begins(status, "FULL") ||
                 span_begins(status, "no check");
        labels[n] = (struct wire_label){"state", STATES[i]};
        sink->value(sink->ctx, name, labels, n + 1, SERIES_STATE, "1", in);
    }
}

static void read_row(const char *at, const char *end, const struct columns *columns,
    const struct page_sink *sink)
{
    static const struct {
        const char *type, *prefix;
        int row;
    } TYPES[] = {{"0", "haproxy_frontend_", FRONTEND}, {"1", "haproxy_backend_", BACKEND},
        {"2", "haproxy_server_", SERVER}};
    struct span cells[COLUMNS_MAX];
    int n_cells = 0;
    char proxy[NAME_MAX_ + 1], server[NAME_MAX_ + 1], name[WIRE_NAME_MAX];
    while (at < end && n_cells < COLUMNS_MAX)
        cells[n_cells++] = next_cell(&at, end);
    for (size_t i = 0; i < N_KEYS; i++)
        if (columns->key[i] >= n_cells)
            return;
    size_t t = 0;
    while (t < 3 && !span_is(cells[columns->key[TYPE]], TYPES[t].type))
        t++;
    if (t == 3 || !label_text(cells[columns->key[PXNAME]], proxy) ||
        !label_text(cells[columns->key[SVNAME]], server))
        return;
    int row = TYPES[t].row;
    struct wire_label labels[3] = {{"proxy", proxy}, {"server", server}};
    size_t n = row == SERVER ? 2 : 1;
    for (size_t i = 0; i < N_FIELDS; i++) {
        int column = columns->field[i];
        double value;
        if (!(FIELDS[i].rows & row) || column < 0 || column >= n_cells ||
            !num_parse(cells[column].at, cells[column].len, &value))
            continue;
        snprintf(name, sizeof(name), "%s%s", TYPES[t].prefix, FIELDS[i].name);
        labels[n] = (struct wire_label){"code", FIELDS[i].code};
        sink->value(sink->ctx, name, labels, n + (FIELDS[i].code != NULL), FIELDS[i].kind,
            FIELDS[i].unit, value * FIELDS[i].factor);
    }
    snprintf(name, sizeof(name), "%sstatus", TYPES[t].prefix);
    write_status(name, cells[columns->key[STATUS]], row, labels, n, sink);
}

static bool haproxy_read(struct page_round *round, size_t nth, const char *text, size_t len,
    const struct page_sink *sink)
{
    const char *at = text, *end = text + len;
    struct columns columns;
    bool first = true;
    (void)round;
    (void)nth;
    while (at < end) {
        const char *line = memchr(at, '\n', (size_t)(end - at));
        const char *stop = line ? line : end;
        if (first && !read_header(at, stop, &columns))
            return false;
        if (!first && sink)
            read_row(at, stop, &columns, sink);
        first = false;
        at = line ? line + 1 : end;
    }
    return !first;
}

const struct page_kind PAGE_HAPROXY = {.name = "haproxy",
    .example = "e.g. http://127.0.0.1:8404/stats;csv, or /run/haproxy/admin.sock",
    .pages = {""},
    .limit_bytes = PAGE_LIMIT_BYTES,
    .has_login = true, // of the page: `stats auth`
    .values_ms = 1000,
    .read = haproxy_read};

// SPDX-License-Identifier: Apache-2.0
#include "agent/postgres_rows.h"
#include "base/num.h"
#include <string.h>

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))
#define LABEL_MAX   128
#define COLUMNS     4

// Sessions by database and state; what each database did; locks that are waited for; standbys.
const char POSTGRES_QUESTION[] =
    "SELECT 'activity', datname, state, count(*)::float8 FROM pg_stat_activity"
    " WHERE datname IS NOT NULL AND state IS NOT NULL GROUP BY 2, 3"
    " UNION ALL SELECT 'longest', datname, state,"
    " max(extract(epoch FROM clock_timestamp() - xact_start))::float8 FROM pg_stat_activity"
    " WHERE datname IS NOT NULL AND state IS NOT NULL AND xact_start IS NOT NULL GROUP BY 2, 3"
    " UNION ALL SELECT v.n, d.datname, NULL, v.x FROM pg_stat_database d, LATERAL (VALUES"
    " ('numbackends', d.numbackends::float8), ('xact_commit', d.xact_commit::float8),"
    " ('xact_rollback', d.xact_rollback::float8), ('blks_read', d.blks_read::float8),"
    " ('blks_hit', d.blks_hit::float8), ('tup_returned', d.tup_returned::float8),"
    " ('tup_fetched', d.tup_fetched::float8), ('tup_inserted', d.tup_inserted::float8),"
    " ('tup_updated', d.tup_updated::float8), ('tup_deleted', d.tup_deleted::float8),"
    " ('conflicts', d.conflicts::float8), ('deadlocks', d.deadlocks::float8),"
    " ('temp_files', d.temp_files::float8), ('temp_bytes', d.temp_bytes::float8)"
    ") v(n, x) WHERE d.datname IS NOT NULL"
    " UNION ALL SELECT 'wraparound', datname, NULL, age(datfrozenxid)::float8 FROM pg_database"
    " WHERE datallowconn"
    " UNION ALL SELECT 'waiting', NULL, NULL, count(*)::float8 FROM pg_locks WHERE NOT granted"
    " UNION ALL SELECT 'max_connections', NULL, NULL, current_setting('max_connections')::float8"
    " UNION ALL SELECT 'replica', NULL, NULL, pg_is_in_recovery()::int::float8"
    " UNION ALL SELECT 'lag', NULL, NULL, CASE WHEN NOT pg_is_in_recovery() OR"
    " pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0 ELSE greatest(0,"
    " extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())) END::float8"
    " UNION ALL SELECT 'standby', application_name, client_addr::text, pg_wal_lsn_diff("
    "CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn()"
    " ELSE pg_current_wal_lsn() END, replay_lsn)::float8 FROM pg_stat_replication";

#define G SERIES_GAUGE
#define C SERIES_COUNTER
static const struct row {
    const char *which, *name, *unit;
    enum series_kind kind;
    const char *labels[2];
} ROWS[] = {
    {"activity", "pg_stat_activity_count", "1", G, {"datname", "state"}},
    {"longest", "pg_stat_activity_max_tx_duration", "s", G, {"datname", "state"}},
    {"numbackends", "pg_stat_database_numbackends", "1", G, {"datname", NULL}},
    {"xact_commit", "pg_stat_database_xact_commit", "1", C, {"datname", NULL}},
    {"xact_rollback", "pg_stat_database_xact_rollback", "1", C, {"datname", NULL}},
    {"blks_read", "pg_stat_database_blks_read", "1", C, {"datname", NULL}},
    {"blks_hit", "pg_stat_database_blks_hit", "1", C, {"datname", NULL}},
    {"tup_returned", "pg_stat_database_tup_returned", "1", C, {"datname", NULL}},
    {"tup_fetched", "pg_stat_database_tup_fetched", "1", C, {"datname", NULL}},
    {"tup_inserted", "pg_stat_database_tup_inserted", "1", C, {"datname", NULL}},
    {"tup_updated", "pg_stat_database_tup_updated", "1", C, {"datname", NULL}},
    {"tup_deleted", "pg_stat_database_tup_deleted", "1", C, {"datname", NULL}},
    {"conflicts", "pg_stat_database_conflicts", "1", C, {"datname", NULL}},
    {"deadlocks", "pg_stat_database_deadlocks", "1", C, {"datname", NULL}},
    {"temp_files", "pg_stat_database_temp_files", "1", C, {"datname", NULL}},
    {"temp_bytes", "pg_stat_database_temp_bytes", "By", C, {"datname", NULL}},
    // The exporter's own name says seconds; it is transactions.
    {"wraparound", "pg_database_wraparound_age_datfrozenxid_seconds", "1", G,
        {"datname", NULL}},
    {"waiting", "tocsin_postgresql_locks_waiting", "1", G, {NULL, NULL}},
    {"max_connections", "pg_settings_max_connections", "1", G, {NULL, NULL}},
    {"replica", "pg_replication_is_replica", "1", G, {NULL, NULL}},
    {"lag", "pg_replication_lag_seconds", "s", G, {NULL, NULL}},
    {"standby", "pg_stat_replication_pg_wal_lsn_diff", "By", G,
        {"application_name", "client_addr"}},
};

struct column {
    const uint8_t *text; // NULL: SQL's NULL
    size_t len;
};

static bool columns(const uint8_t *p, size_t len, struct column ret[COLUMNS])
{
    if (len < 2 || p[0] != 0 || p[1] != COLUMNS)
        return false;
    p += 2;
    len -= 2;
    for (int i = 0; i < COLUMNS; i++) {
        if (len < 4)
            return false;
        uint32_t n = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
        p += 4;
        len -= 4;
        ret[i] = (struct column){0};
        if (n == UINT32_MAX)
            continue;
        if (n > len)
            return false;
        ret[i] = (struct column){p, n};
        p += n;
        len -= n;
    }
    return true;
}

void postgres_row(const struct page_sink *sink, const uint8_t *body, size_t len)
{
    struct column c[COLUMNS];
    char text[2][LABEL_MAX];
    struct wire_label labels[2];
    size_t n = 0;
    double value;
    if (!columns(body, len, c) || !c[0].text || !c[3].text ||
        !num_parse((const char *)c[3].text, c[3].len, &value))
        return;
    const struct row *r = NULL;
    for (size_t i = 0; i < COUNT(ROWS) && !r; i++)
        if (strlen(ROWS[i].which) == c[0].len &&
            memcmp(ROWS[i].which, c[0].text, c[0].len) == 0)
            r = &ROWS[i];
    for (int i = 0; r && i < 2; i++) {
        const struct column *from = &c[i + 1];
        if (!r->labels[i] || !from->text || from->len >= LABEL_MAX ||
            memchr(from->text, 0, from->len))
            continue;
        memcpy(text[i], from->text, from->len);
        text[i][from->len] = '\0';
        labels[n++] = (struct wire_label){r->labels[i], text[i]};
    }
    if (r)
        sink->value(sink->ctx, r->name, labels, n, r->kind, r->unit, value);
}

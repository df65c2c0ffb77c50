// SPDX-License-Identifier: Apache-2.0
// Redis (and what speaks its protocol) and memcached. Names of values are those of redis_exporter and
// memcached_exporter. Sources: the protocols' own documents.
#include "agent/dialogue.h"
#include "base/num.h"
#include <string.h>

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

// --- Redis ---------------------------------------------------------------------------------------

enum { REDIS_AUTH, REDIS_PING, REDIS_INFO };

static void redis_command(struct dialogue *d, const char *const *words, size_t n)
{
    buf_addf(&d->say, "*%zu\r\n", n);
    for (size_t i = 0; i < n; i++)
        buf_addf(&d->say, "$%zu\r\n%s\r\n", strlen(words[i]), words[i]);
    if (d->say.failed)
        dialogue_fail(d, CLASS_LOCAL, "the login is too long");
}

static void redis_ping(struct dialogue *d)
{
    d->step = REDIS_PING;
    redis_command(d, (const char *[]){"PING"}, 1);
}

static void redis_begin(struct dialogue *d)
{
    const char *login[] = {"AUTH", d->words.user, d->words.password};
    d->step = REDIS_AUTH;
    if (!d->words.password) {
        redis_ping(d);
    } else if (d->words.user) {
        redis_command(d, login, 3);
    } else {
        login[1] = d->words.password;
        redis_command(d, login, 2);
    }
}

static void redis_error(struct dialogue *d, const uint8_t *line, size_t len)
{
    if (dialogue_begins(line, len, "-LOADING") || dialogue_begins(line, len, "-MASTERDOWN"))
        dialogue_refused(d, CLASS_STARTING, "not ready", line, len);
    else if (dialogue_begins(line, len, "-ERR max number of clients"))
        dialogue_refused(d, CLASS_OVERLOADED, "full", line, len);
    else if (d->step == REDIS_INFO ||
             (!d->words.password && dialogue_begins(line, len, "-NOAUTH")) ||
             (!d->words.password && dialogue_begins(line, len, "-NOPERM"))) {
        d->answered = true; // it is alive; numbers need a login
        d->state = DIALOGUE_DONE;
    } else if (d->step == REDIS_AUTH || dialogue_begins(line, len, "-NOPERM"))
        dialogue_refused(d, CLASS_LOGIN, "login refused", line, len);
    else
        dialogue_refused(d, CLASS_PROTOCOL, "an error", line, len);
}

// field:value lines of INFO.
static void redis_fields(struct dialogue *d, const uint8_t *text, size_t len)
{
    size_t line, taken;
    for (; dialogue_line(text, len, &line, &taken); text += taken, len -= taken) {
        const uint8_t *colon = memchr(text, ':', line);
        if (colon)
            dialogue_note(d, (const char *)text, (size_t)(colon - text),
                (const char *)colon + 1, line - (size_t)(colon - text) - 1);
    }
}

static size_t redis_hear(struct dialogue *d, const uint8_t *data, size_t len)
{
    size_t line, taken;
    uint64_t size;
    if (!dialogue_line(data, len, &line, &taken))
        return 0;
    if (data[0] == '-') {
        redis_error(d, data, line);
    } else if (d->step == REDIS_AUTH && dialogue_begins(data, line, "+OK")) {
        redis_ping(d);
    } else if (d->step == REDIS_PING && dialogue_begins(data, line, "+PONG")) {
        d->answered = true;
        d->step = REDIS_INFO;
        if (d->wants_values)
            redis_command(d, (const char *[]){"INFO"}, 1);
        else
            d->state = DIALOGUE_DONE;
    } else if (d->step == REDIS_INFO && data[0] == '$' &&
               num_parse_u64((const char *)data + 1, line - 1, &size) &&
               size < DIALOGUE_HEARD_MAX) {
        if (len < taken + size + 2)
            return 0;
        redis_fields(d, data + taken, (size_t)size);
        taken += (size_t)size + 2;
        d->state = DIALOGUE_DONE;
    } else {
        dialogue_refused(d, CLASS_PROTOCOL, "not Redis", data, line);
    }
    return taken;
}

#define G SERIES_GAUGE
#define C SERIES_COUNTER
static const struct dialogue_value REDIS[] = {
    {"uptime_in_seconds", "redis_uptime_in_seconds", "s", G, 1},
    {"connected_clients", "redis_connected_clients", "1", G, 1},
    {"blocked_clients", "redis_blocked_clients", "1", G, 1},
    {"maxclients", "redis_config_maxclients", "1", G, 1},
    {"used_memory", "redis_memory_used_bytes", "By", G, 1},
    {"used_memory_rss", "redis_memory_used_rss_bytes", "By", G, 1},
    {"maxmemory", "redis_memory_max_bytes", "By", G, 1},
    {"mem_fragmentation_ratio", "redis_mem_fragmentation_ratio", "1", G, 1},
    {"loading", "redis_loading_dump_file", "1", G, 1},
    {"rdb_last_bgsave_status", "redis_rdb_last_bgsave_status", "1", G, 1},
    {"rdb_changes_since_last_save", "redis_rdb_changes_since_last_save", "1", G, 1},
    {"aof_last_write_status", "redis_aof_last_write_status", "1", G, 1},
    {"total_connections_received", "redis_connections_received_total", "1", C, 1},
    {"rejected_connections", "redis_rejected_connections_total", "1", C, 1},
    {"total_commands_processed", "redis_commands_processed_total", "1", C, 1},
    {"total_net_input_bytes", "redis_net_input_bytes_total", "By", C, 1},
    {"total_net_output_bytes", "redis_net_output_bytes_total", "By", C, 1},
    {"expired_keys", "redis_expired_keys_total", "1", C, 1},
    {"evicted_keys", "redis_evicted_keys_total", "1", C, 1},
    {"keyspace_hits", "redis_keyspace_hits_total", "1", C, 1},
    {"keyspace_misses", "redis_keyspace_misses_total", "1", C, 1},
    {"latest_fork_usec", "redis_latest_fork_seconds", "s", G, 1e-6},
    {"connected_slaves", "redis_connected_slaves", "1", G, 1},
    {"master_link_status", "redis_master_link_up", "1", G, 1},
    {"master_last_io_seconds_ago", "redis_master_last_io_seconds_ago", "s", G, 1},
    {"master_repl_offset", "redis_master_repl_offset", "By", G, 1},
    {"slave_repl_offset", "redis_slave_repl_offset", "By", G, 1},
};
const struct dialogue_kind DIALOGUE_REDIS = {.name = "redis",
    .port = 6379,
    .has_login = true,
    .tls = DIALOGUE_TLS_FIRST,
    .begin = redis_begin,
    .hear = redis_hear,
    .values = REDIS,
    .n_values = COUNT(REDIS)};

// --- memcached -----------------------------------------------------------------------------------

enum { MEMCACHED_VERSION, MEMCACHED_STATS };

static void memcached_begin(struct dialogue *d)
{
    static const char ASK[] = "version\r\n";
    d->step = MEMCACHED_VERSION;
    dialogue_say(d, ASK, sizeof(ASK) - 1);
}

static size_t memcached_hear(struct dialogue *d, const uint8_t *data, size_t len)
{
    static const char ASK[] = "stats\r\n";
    size_t line, taken;
    if (!dialogue_line(data, len, &line, &taken))
        return 0;
    if (d->step == MEMCACHED_VERSION) {
        if (dialogue_begins(data, line, "ERROR Too many open connections")) {
            dialogue_refused(d, CLASS_OVERLOADED, "full", data, line);
        } else if (!dialogue_begins(data, line, "VERSION ")) {
            dialogue_refused(d, CLASS_PROTOCOL, "not memcached", data, line);
        } else {
            d->answered = true;
            d->step = MEMCACHED_STATS;
            d->state = d->wants_values ? DIALOGUE_GOES_ON : DIALOGUE_DONE;
            if (d->wants_values)
                dialogue_say(d, ASK, sizeof(ASK) - 1);
        }
        return taken;
    }
    const uint8_t *space =
        dialogue_begins(data, line, "STAT ") ? memchr(data + 5, ' ', line - 5) : NULL;
    if (space)
        dialogue_note(d, (const char *)data + 5, (size_t)(space - data) - 5,
            (const char *)space + 1, line - (size_t)(space - data) - 1);
    else
        d->state = DIALOGUE_DONE; // END, or it does not tell
    return taken;
}

static const struct dialogue_value MEMCACHED[] = {
    {"uptime", "memcached_uptime_seconds", "s", C, 1},
    {"curr_connections", "memcached_current_connections", "1", G, 1},
    {"max_connections", "memcached_max_connections", "1", G, 1},
    {"total_connections", "memcached_connections_total", "1", C, 1},
    {"rejected_connections", "memcached_connections_rejected_total", "1", C, 1},
    {"listen_disabled_num", "memcached_connections_listener_disabled_total", "1", C, 1},
    {"conn_yields", "memcached_connections_yielded_total", "1", C, 1},
    {"curr_items", "memcached_current_items", "1", G, 1},
    {"total_items", "memcached_items_total", "1", C, 1},
    {"evictions", "memcached_items_evicted_total", "1", C, 1},
    {"reclaimed", "memcached_items_reclaimed_total", "1", C, 1},
    {"bytes", "memcached_current_bytes", "By", G, 1},
    {"limit_maxbytes", "memcached_limit_bytes", "By", G, 1},
    {"bytes_read", "memcached_read_bytes_total", "By", C, 1},
    {"bytes_written", "memcached_written_bytes_total", "By", C, 1},
    {"get_hits", "memcached_get_hits_total", "1", C, 1},
    {"get_misses", "memcached_get_misses_total", "1", C, 1},
    {"cmd_set", "memcached_commands_set_total", "1", C, 1},
};
const struct dialogue_kind DIALOGUE_MEMCACHED = {.name = "memcached",
    .port = 11211,
    .tls = DIALOGUE_TLS_FIRST,
    .begin = memcached_begin,
    .hear = memcached_hear,
    .values = MEMCACHED,
    .n_values = COUNT(MEMCACHED)};

// SPDX-License-Identifier: Apache-2.0
// MySQL and MariaDB. Values have mysqld_exporter's names. Source: the protocol's own document.
//
// The handshake is gone through to its end: one that is left in the middle counts towards
// max_connect_errors, after which the server locks this host out.
#include "agent/dialogue.h"
#include <openssl/evp.h>
#include <string.h>

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

#define MYSQL_CAPABILITIES                                                                     \
    0x00088201u // long password, 4.1 protocol, secure connection, plugin auth
#define MYSQL_TLS    0x800u
#define MYSQL_SALT   20
#define MYSQL_DENIED 1045
#define MYSQL_NATIVE "mysql_native_password"

enum { MYSQL_GREETING, MYSQL_LOGIN, MYSQL_COLUMNS, MYSQL_ROWS };

// A packet: length 3, number 1, then what is added until its end.
static size_t packet_begin(struct buf *b, uint8_t number)
{
    size_t at = b->len;
    buf_add(b, (uint8_t[]){0, 0, 0, number}, 4);
    return at;
}

static void packet_end(struct buf *b, size_t at)
{
    if (b->failed)
        return;
    size_t n = b->len - at - 4;
    for (int i = 0; i < 3; i++)
        b->data[at + (size_t)i] = (uint8_t)(n >> (8 * i));
}

// SHA1(password) xor SHA1(salt + SHA1(SHA1(password)))
static bool scramble(
    const char *password, const uint8_t salt[static MYSQL_SALT], uint8_t ret[static MYSQL_SALT])
{
    uint8_t one[20], both[MYSQL_SALT + 20], mask[20];
    memcpy(both, salt, MYSQL_SALT);
    bool ok = EVP_Digest(password, strlen(password), one, NULL, EVP_sha1(), NULL) &&
              EVP_Digest(one, 20, both + MYSQL_SALT, NULL, EVP_sha1(), NULL) &&
              EVP_Digest(both, sizeof(both), mask, NULL, EVP_sha1(), NULL);
    for (size_t i = 0; i < 20; i++)
        ret[i] = one[i] ^ mask[i];
    return ok;
}

// What we are able to, the longest packet, the character set.
static void mysql_head(struct dialogue *d)
{
    uint32_t able = MYSQL_CAPABILITIES | (d->words.tls ? MYSQL_TLS : 0);
    uint8_t head[32] = {able & 255, able >> 8 & 255, able >> 16 & 255, 0, 0, 0, 1, 0, 33};
    buf_add(&d->say, head, sizeof(head));
}

static void mysql_login(
    struct dialogue *d, uint8_t number, const uint8_t *salt, bool only_the_proof)
{
    struct buf *b = &d->say;
    uint8_t proof[MYSQL_SALT];
    size_t n = 0, at = packet_begin(b, number);
    const char *user = d->words.user ? d->words.user : "tocsin";
    if (d->words.password && *d->words.password) {
        n = MYSQL_SALT;
        if (!scramble(d->words.password, salt, proof)) {
            dialogue_fail(d, CLASS_LOCAL, "no SHA-1 here, which this login needs");
            return;
        }
    }
    if (!only_the_proof) {
        mysql_head(d);
        buf_add(b, user, strlen(user) + 1);
        buf_addc(b, (char)n);
    }
    buf_add(b, proof, n);
    if (!only_the_proof)
        buf_add(b, MYSQL_NATIVE, sizeof(MYSQL_NATIVE));
    packet_end(b, at);
    if (b->failed)
        dialogue_fail(d, CLASS_LOCAL, "the login is too long");
}

static void mysql_error(struct dialogue *d, const uint8_t *p, size_t n)
{
    unsigned code = n >= 3 ? p[1] | (unsigned)p[2] << 8 : 0;
    size_t text = n >= 9 && p[3] == '#' ? 9 : n < 3 ? n : 3;
    if (code == 1040 || code == 1203)
        dialogue_refused(d, CLASS_OVERLOADED, "full", p + text, n - text);
    else if (code == 1053 || code == 1080)
        dialogue_refused(d, CLASS_STARTING, "not ready", p + text, n - text);
    else if (code == MYSQL_DENIED && !d->words.user) {
        d->answered = true; // nobody configured a login
        d->state = DIALOGUE_DONE;
    } else if (code == MYSQL_DENIED || code == 1130 || code == 1129)
        dialogue_refused(d, CLASS_LOGIN, "login refused", p + text, n - text);
    else
        dialogue_refused(d, CLASS_PROTOCOL, "an error", p + text, n - text);
}

// version, text\0, id 4, salt 8, 0, capabilities 2, charset 1, status 2, capabilities 2, length 1,
// 10 reserved, salt 12
static bool mysql_salt(const uint8_t *p, size_t n, uint8_t ret[static MYSQL_SALT])
{
    const uint8_t *end = n > 1 ? memchr(p + 1, 0, n - 1) : NULL;
    if (p[0] != 10 || !end)
        return false;
    size_t at = (size_t)(end - p) + 5;
    if (n < at + 8 + 19 + 12)
        return false;
    memcpy(ret, p + at, 8);
    memcpy(ret + 8, p + at + 27, 12);
    return true;
}

// The head of a login alone asks for TLS; the login follows under it (mysql_begin).
static void mysql_ask_tls(struct dialogue *d, uint8_t number, const uint8_t *p, size_t n,
    const uint8_t salt[static MYSQL_SALT])
{
    const uint8_t *end = memchr(p + 1, 0, n - 1); // there: mysql_salt has seen it
    if (!(end[5 + 8 + 1 + 1] & MYSQL_TLS >> 8)) {
        dialogue_fail(d, CLASS_TLS, "it does not speak TLS");
        return;
    }
    size_t at = packet_begin(&d->say, (uint8_t)(number + 1));
    mysql_head(d);
    packet_end(&d->say, at);
    memcpy(d->signature, salt, MYSQL_SALT);
    d->turns_secure = true;
}

static void mysql_end(struct dialogue *d)
{
    size_t at = packet_begin(&d->say, 0);
    buf_addc(&d->say, 1); // quit
    packet_end(&d->say, at);
    d->state = DIALOGUE_DONE;
}

// Without a login a server that takes us by name gives its numbers too.
static void mysql_in(struct dialogue *d)
{
    static const char QUERY[] = "\3SHOW GLOBAL STATUS";
    d->answered = true;
    if (!d->wants_values) {
        mysql_end(d);
        return;
    }
    size_t at = packet_begin(&d->say, 0);
    buf_add(&d->say, QUERY, sizeof(QUERY) - 1);
    packet_end(&d->say, at);
    d->step = MYSQL_COLUMNS;
}

// A text of a row: its length first, in one to nine bytes.
static bool mysql_text(const uint8_t **p, const uint8_t *end, const char **ret, size_t *ret_n)
{
    if (*p == end || **p > 252)
        return false; // NULL, or longer than any we look for
    size_t n = **p, head = 1;
    if (n == 252) {
        if (end - *p < 3)
            return false;
        n = (*p)[1] | (size_t)(*p)[2] << 8;
        head = 3;
    } else if (n == 251) {
        return false;
    }
    if ((size_t)(end - *p) < head + n)
        return false;
    *ret = (const char *)*p + head;
    *ret_n = n;
    *p += head + n;
    return true;
}

static void mysql_row(struct dialogue *d, const uint8_t *p, size_t n)
{
    const uint8_t *end = p + n;
    const char *name, *value;
    size_t name_len, value_len;
    if (mysql_text(&p, end, &name, &name_len) && mysql_text(&p, end, &value, &value_len))
        dialogue_note(d, name, name_len, value, value_len);
}

static void mysql_packet(struct dialogue *d, uint8_t number, const uint8_t *p, size_t n)
{
    uint8_t salt[MYSQL_SALT];
    bool end_of = n < 9 && p[0] == 0xfe;
    if (p[0] == 0xff && d->step < MYSQL_COLUMNS) {
        mysql_error(d, p, n);
        return;
    }
    switch (d->step) {
    case MYSQL_GREETING:
        if (!mysql_salt(p, n, salt)) {
            dialogue_refused(d, CLASS_PROTOCOL, "not MySQL", p, n);
            return;
        }
        if (d->words.tls)
            mysql_ask_tls(d, number, p, n, salt);
        else
            mysql_login(d, (uint8_t)(number + 1), salt, false);
        d->step = MYSQL_LOGIN;
        break;
    case MYSQL_LOGIN:
        if (p[0] == 0) {
            mysql_in(d);
        } else if (p[0] == 0xfe && n >= 1 + sizeof(MYSQL_NATIVE) + MYSQL_SALT &&
                   memcmp(p + 1, MYSQL_NATIVE, sizeof(MYSQL_NATIVE)) == 0) {
            mysql_login(d, (uint8_t)(number + 1), p + 1 + sizeof(MYSQL_NATIVE), true);
        } else if (d->words.user) {
            dialogue_fail(d, CLASS_LOGIN, "it wants another way to log in than " MYSQL_NATIVE);
        } else {
            d->answered = true;
            d->state = DIALOGUE_DONE;
        }
        break;
    case MYSQL_COLUMNS:
        if (p[0] == 0xff)
            mysql_end(d); // it does not tell
        else if (end_of)
            d->step = MYSQL_ROWS;
        break;
    default:
        if (end_of || p[0] == 0xff)
            mysql_end(d);
        else
            mysql_row(d, p, n);
    }
}

static void mysql_begin(struct dialogue *d)
{
    d->step = d->secured ? MYSQL_LOGIN : MYSQL_GREETING;
    if (d->secured)
        mysql_login(d, 2, d->signature, false); // after the greeting and the asking
}

static size_t mysql_hear(struct dialogue *d, const uint8_t *data, size_t len)
{
    if (len < 4 || d->turns_secure)
        return 0;
    size_t n = data[0] | (size_t)data[1] << 8 | (size_t)data[2] << 16;
    if (!n || n > DIALOGUE_HEARD_MAX / 2) {
        dialogue_refused(d, CLASS_PROTOCOL, "not MySQL", data, len);
        return len;
    }
    if (len < n + 4)
        return 0;
    mysql_packet(d, data[3], data + 4, n);
    return n + 4;
}

#define G SERIES_GAUGE
#define C SERIES_COUNTER
static const struct dialogue_value MYSQL[] = {
    {"Uptime", "mysql_global_status_uptime", "s", G, 1},
    {"Threads_connected", "mysql_global_status_threads_connected", "1", G, 1},
    {"Threads_running", "mysql_global_status_threads_running", "1", G, 1},
    {"Max_used_connections", "mysql_global_status_max_used_connections", "1", G, 1},
    {"Connections", "mysql_global_status_connections", "1", C, 1},
    {"Aborted_clients", "mysql_global_status_aborted_clients", "1", C, 1},
    {"Aborted_connects", "mysql_global_status_aborted_connects", "1", C, 1},
    {"Connection_errors_max_connections",
        "mysql_global_status_connection_errors_max_connections", "1", C, 1},
    {"Queries", "mysql_global_status_queries", "1", C, 1},
    {"Questions", "mysql_global_status_questions", "1", C, 1},
    {"Slow_queries", "mysql_global_status_slow_queries", "1", C, 1},
    {"Bytes_received", "mysql_global_status_bytes_received", "By", C, 1},
    {"Bytes_sent", "mysql_global_status_bytes_sent", "By", C, 1},
    {"Innodb_row_lock_current_waits", "mysql_global_status_innodb_row_lock_current_waits", "1",
        G, 1},
    {"Innodb_row_lock_waits", "mysql_global_status_innodb_row_lock_waits", "1", C, 1},
    {"Innodb_buffer_pool_wait_free", "mysql_global_status_innodb_buffer_pool_wait_free", "1", C,
        1},
    {"Innodb_log_waits", "mysql_global_status_innodb_log_waits", "1", C, 1},
    {"Table_locks_waited", "mysql_global_status_table_locks_waited", "1", C, 1},
    {"Open_files", "mysql_global_status_open_files", "1", G, 1},
};
const struct dialogue_kind DIALOGUE_MYSQL = {.name = "mysql",
    .port = 3306,
    .has_login = true,
    .tls = DIALOGUE_TLS_ASKED,
    .begin = mysql_begin,
    .hear = mysql_hear,
    .values = MYSQL,
    .n_values = COUNT(MYSQL)};

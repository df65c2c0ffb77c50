// SPDX-License-Identifier: Apache-2.0
// Conversations byte by byte: each is heard whole and in pieces of one byte, and must come to the same.
#include "agent/dialogue.h"
#include "agent/page.h"
#include "tests/lib/run.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define TEXT(s) s, sizeof(s) - 1

struct heard {
    struct dialogue d;
    struct buf say, rest; // all that was said; what was not taken yet
};

static void hear(struct heard *h, const char *data, size_t len, size_t piece)
{
    for (size_t at = 0; at < len && h->d.state == DIALOGUE_GOES_ON; at += piece) {
        size_t n = len - at < piece ? len - at : piece;
        CU_ASSERT_EQUAL(buf_add(&h->rest, data + at, n), 0);
        buf_drop(&h->rest, dialogue_hear(&h->d, h->rest.data, h->rest.len));
        buf_add(&h->say, h->d.say.data, h->d.say.len);
        buf_reset(&h->d.say);
    }
}

static void open_heard(
    struct heard *h, const struct dialogue_kind *kind, const struct dialogue_words *w)
{
    memset(h, 0, sizeof(*h));
    buf_init(&h->say, 65536);
    buf_init(&h->rest, DIALOGUE_HEARD_MAX);
    dialogue_set(&h->d, kind, w, true);
    kind->begin(&h->d);
    buf_add(&h->say, h->d.say.data, h->d.say.len);
    buf_reset(&h->d.say);
}

static void close_heard(struct heard *h)
{
    dialogue_done(&h->d);
    buf_done(&h->say);
    buf_done(&h->rest);
}

#define GREETING                                                                               \
    "\x4e\0\0\0\x0a"                                                                           \
    "10.11.6-MariaDB-x\0"                                                                      \
    "\x05\0\0\0AAAAAAAA\0\xfe\xf7\x21\2\0\xff\x81\x15\0\0\0\0\0\0\0\0\0\0BBBBBBBBBBBB\0"       \
    "mysql_native_pa"
#define POSTGRES_MD5   "c827f95590aef08f2d04ac5e8d94d9c3"
#define KAFKA_VERSIONS "\0\0\0\x10\0\0\0\0\0\0\0\0\0\1\0\3\0\0\0\1"
#define KAFKA_BROKERS  "\0\0\0\1\0\0\0\1\0\1h\0\0\x23\x84\xff\xff\0\0\0\1" // and the controller
#define ACCEPTED       "H7QHzQjhR/dcdyL8dmF1J7yx9/c="
#define OK_PACKET      "\7\0\0\2\0\0\0\2\0\0\0"

static const struct conversation {
    const char *what;
    const struct dialogue_kind *kind;
    struct dialogue_words words;
    const char *says;
    size_t len;
    bool answered;
    enum dialogue_state state;
    enum probe_class class;
    const char *said; // part of what we said; NULL: not looked at
} CASES[] = {
    {"redis", &DIALOGUE_REDIS, {0}, TEXT("+PONG\r\n$30\r\n# Clients\r\nmaxclients:9\r\n"), true,
        DIALOGUE_GOES_ON, CLASS_NONE, "*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nINFO\r\n"},
    {"redis whole", &DIALOGUE_REDIS, {0}, TEXT("+PONG\r\n$12\r\nmaxclients:9\r\n"), true,
        DIALOGUE_DONE, CLASS_NONE, NULL},
    {"redis login", &DIALOGUE_REDIS, {.user = "u", .password = "p"},
        TEXT("+OK\r\n+PONG\r\n-NOPERM x\r\n"), true, DIALOGUE_DONE, CLASS_NONE,
        "*3\r\n$4\r\nAUTH\r\n$1\r\nu\r\n$1\r\np\r\n"},
    {"redis refuses", &DIALOGUE_REDIS, {.password = "p"}, TEXT("-WRONGPASS no\r\n"), false,
        DIALOGUE_FAILED, CLASS_LOGIN, "*2\r\n$4\r\nAUTH\r\n$1\r\np\r\n"},
    {"redis locked", &DIALOGUE_REDIS, {0}, TEXT("-NOAUTH Authentication required.\r\n"), true,
        DIALOGUE_DONE, CLASS_NONE, NULL},
    {"redis loading", &DIALOGUE_REDIS, {0}, TEXT("-LOADING dataset\r\n"), false,
        DIALOGUE_FAILED, CLASS_STARTING, NULL},
    {"redis full", &DIALOGUE_REDIS, {0}, TEXT("-ERR max number of clients reached\r\n"), false,
        DIALOGUE_FAILED, CLASS_OVERLOADED, NULL},
    {"no redis", &DIALOGUE_REDIS, {0}, TEXT("HTTP/1.1 400 Bad\r\n"), false, DIALOGUE_FAILED,
        CLASS_PROTOCOL, NULL},
    {"redis huge", &DIALOGUE_REDIS, {0}, TEXT("+PONG\r\n$999999999\r\n"), true, DIALOGUE_FAILED,
        CLASS_PROTOCOL, NULL},
    {"memcached", &DIALOGUE_MEMCACHED, {0},
        TEXT("VERSION 1.6\r\nSTAT curr_items 7\r\nSTAT x\r\nEND\r\n"), true, DIALOGUE_DONE,
        CLASS_NONE, "version\r\nstats\r\n"},
    {"no memcached", &DIALOGUE_MEMCACHED, {0}, TEXT("ERROR\r\n"), false, DIALOGUE_FAILED,
        CLASS_PROTOCOL, NULL},
    {"postgres", &DIALOGUE_POSTGRES, {0}, TEXT("R\0\0\0\x08\0\0\0\x03"), true, DIALOGUE_DONE,
        CLASS_NONE, "user\0tocsin"},
    {"postgres no such user", &DIALOGUE_POSTGRES, {0},
        TEXT("E\0\0\0\x18SFATAL\0C28000\0Mrole\0\0"), true, DIALOGUE_DONE, CLASS_NONE, NULL},
    {"postgres starting", &DIALOGUE_POSTGRES, {0}, TEXT("E\0\0\0\x18SFATAL\0C57P03\0Mrole\0\0"),
        false, DIALOGUE_FAILED, CLASS_STARTING, NULL},
    {"postgres full", &DIALOGUE_POSTGRES, {0}, TEXT("E\0\0\0\x18SFATAL\0C53300\0Mrole\0\0"),
        false, DIALOGUE_FAILED, CLASS_OVERLOADED, NULL},
    {"no postgres", &DIALOGUE_POSTGRES, {0}, TEXT("220 mail\r\n"), false, DIALOGUE_FAILED,
        CLASS_PROTOCOL, NULL},
    {"postgres lies about its length", &DIALOGUE_POSTGRES, {0}, TEXT("R\xff\xff\xff\xff\0\0"),
        false, DIALOGUE_FAILED, CLASS_PROTOCOL, NULL},
    {"postgres without a text", &DIALOGUE_POSTGRES, {0}, TEXT("E\0\0\0\x05S"), false,
        DIALOGUE_FAILED, CLASS_PROTOCOL, NULL},
    {"postgres waits for a password", &DIALOGUE_POSTGRES, {.user = "u", .password = "p"},
        TEXT("R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0"), true, DIALOGUE_DONE, CLASS_NONE, NULL},
    {"postgres without TLS", &DIALOGUE_POSTGRES, {.tls = true}, TEXT("N"), false,
        DIALOGUE_FAILED, CLASS_TLS, "\x04\xd2\x16\x2f"},
    {"postgres lets in", &DIALOGUE_POSTGRES_KEPT, {.user = "u"},
        TEXT("R\0\0\0\x08\0\0\0\0S\0\0\0\x07"
             "a\0b"
             "Z\0\0\0\5I"
             "Z\0\0\0\5I"),
        true, DIALOGUE_RESTS, CLASS_NONE, "pg_stat_replication"},
    {"postgres wants it in the clear", &DIALOGUE_POSTGRES_KEPT, {.user = "u", .password = "p"},
        TEXT("R\0\0\0\x08\0\0\0\3"), false, DIALOGUE_FAILED, CLASS_LOGIN, NULL},
    {"postgres wants md5", &DIALOGUE_POSTGRES_KEPT, {.user = "u", .password = "p"},
        TEXT("R\0\0\0\x0c\0\0\0\5salt"), false, DIALOGUE_GOES_ON, CLASS_NONE,
        "md5" POSTGRES_MD5},
    {"postgres does not prove itself", &DIALOGUE_POSTGRES_KEPT, {.user = "u", .password = "p"},
        TEXT("R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0R\0\0\0\x08\0\0\0\0"), false,
        DIALOGUE_FAILED, CLASS_LOGIN, "n,,n=,r=AAAAAAAAAAAAAAAAAAAAAAAA"},
    {"postgres says things before its time", &DIALOGUE_POSTGRES_KEPT, {.user = "u"},
        TEXT("Z\0\0\0\5I"), false, DIALOGUE_FAILED, CLASS_PROTOCOL, NULL},
    {"postgres refuses the login", &DIALOGUE_POSTGRES_KEPT, {.user = "u", .password = "p"},
        TEXT("E\0\0\0\x17SFATAL\0C28P01\0Mno\0\0"), false, DIALOGUE_FAILED, CLASS_LOGIN, NULL},
    {"kafka", &DIALOGUE_KAFKA, {0},
        TEXT(KAFKA_VERSIONS "\0\0\0\x1d\0\0\0\1" KAFKA_BROKERS "\0\0\0\0"), true, DIALOGUE_DONE,
        CLASS_NONE, "tocsin"},
    {"kafka of another time", &DIALOGUE_KAFKA, {0},
        TEXT("\0\0\0\x10\0\0\0\0\0\0\0\0\0\1\0\3\0\x09\0\x0d"), false, DIALOGUE_FAILED,
        CLASS_PROTOCOL, NULL},
    {"kafka lies about its brokers", &DIALOGUE_KAFKA, {0},
        TEXT(KAFKA_VERSIONS "\0\0\0\x0c\0\0\0\1\x7f\xff\xff\xff\0\0\0\0"), false,
        DIALOGUE_FAILED, CLASS_PROTOCOL, NULL},
    {"no kafka", &DIALOGUE_KAFKA, {0}, TEXT("HTTP/1.1 400 Bad\r\n"), false, DIALOGUE_FAILED,
        CLASS_PROTOCOL, NULL},
    {"mysql", &DIALOGUE_MYSQL, {0}, TEXT(GREETING OK_PACKET), true, DIALOGUE_GOES_ON,
        CLASS_NONE, "SHOW GLOBAL STATUS"},
    {"mysql denies nobody", &DIALOGUE_MYSQL, {0},
        TEXT(GREETING "\x0b\0\0\2\xff\x15\x04#28000no"), true, DIALOGUE_DONE, CLASS_NONE,
        "tocsin"},
    {"mysql denies", &DIALOGUE_MYSQL, {.user = "u", .password = "p"},
        TEXT(GREETING "\x0b\0\0\2\xff\x15\x04#28000no"), false, DIALOGUE_FAILED, CLASS_LOGIN,
        "mysql_native_password"},
    {"mysql full", &DIALOGUE_MYSQL, {0}, TEXT("\x0b\0\0\0\xff\x10\x04Too many"), false,
        DIALOGUE_FAILED, CLASS_OVERLOADED, NULL},
    {"no mysql", &DIALOGUE_MYSQL, {0}, TEXT("220 mail ready\r\n"), false, DIALOGUE_FAILED,
        CLASS_PROTOCOL, NULL},
    {"amqp", &DIALOGUE_AMQP, {0}, TEXT("\1\0\0\0\0\1\xf0\0\x0a\0\x0a\0\x09"), true,
        DIALOGUE_DONE, CLASS_NONE, "AMQP\0\0\x09\x01"},
    {"another amqp", &DIALOGUE_AMQP, {0}, TEXT("AMQP\0\1\0\0"), false, DIALOGUE_FAILED,
        CLASS_PROTOCOL, NULL},
    {"nats", &DIALOGUE_NATS, {0}, TEXT("INFO {}\r\nPING\r\nPONG\r\n"), true, DIALOGUE_DONE,
        CLASS_NONE, "\"name\":\"tocsin\"}\r\nPING\r\nPONG\r\n"},
    {"nats locked", &DIALOGUE_NATS, {0}, TEXT("INFO {}\r\n-ERR 'Authorization Violation'\r\n"),
        true, DIALOGUE_DONE, CLASS_NONE, NULL},
    {"nats refuses", &DIALOGUE_NATS, {.user = "a\"b", .password = "p"},
        TEXT("INFO {}\r\n-ERR 'Authorization Violation'\r\n"), false, DIALOGUE_FAILED,
        CLASS_LOGIN, "\"user\":\"a\\\"b\",\"pass\":\"p\""},
    {"mqtt", &DIALOGUE_MQTT, {.user = "u", .password = "p"}, TEXT("\x20\2\0\0"), true,
        DIALOGUE_DONE, CLASS_NONE, "\x10\x12\0\4MQTT\4\xc2\0\x1e\0\0\0\1u\0\1p"},
    {"mqtt refuses", &DIALOGUE_MQTT, {.user = "u", .password = "p"}, TEXT("\x20\2\0\5"), false,
        DIALOGUE_FAILED, CLASS_LOGIN, NULL},
    {"mqtt away", &DIALOGUE_MQTT, {0}, TEXT("\x20\2\0\3"), false, DIALOGUE_FAILED,
        CLASS_OVERLOADED, NULL},
    {"no mqtt", &DIALOGUE_MQTT, {0}, TEXT("HTTP/1.1"), false, DIALOGUE_FAILED, CLASS_PROTOCOL,
        NULL},
    {"websocket", &DIALOGUE_WEBSOCKET, {.host = "h:1", .path = "/x"},
        TEXT("HTTP/1.1 101 Switching\r\nSec-WebSocket-Accept: " ACCEPTED
             "\r\n\r\n\x81\x02hi\x8a\x04tocs"),
        true, DIALOGUE_DONE, CLASS_NONE, "GET /x HTTP/1.1\r\nHost: h:1\r\n"},
    {"no websocket", &DIALOGUE_WEBSOCKET, {.host = "h", .path = "/"},
        TEXT("HTTP/1.1 404 Not Found\r\n\r\n"), false, DIALOGUE_FAILED, CLASS_STATUS, NULL},
    {"websocket of somebody else", &DIALOGUE_WEBSOCKET, {.host = "h", .path = "/"},
        TEXT("HTTP/1.1 101 Yes\r\nSec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n"),
        false, DIALOGUE_FAILED, CLASS_PROTOCOL, NULL},
    {"websocket is closed", &DIALOGUE_WEBSOCKET, {.host = "h", .path = "/"},
        TEXT("HTTP/1.1 101 Yes\r\nSec-WebSocket-Accept: " ACCEPTED "\r\n\r\n\x88\x02\x03\xf3"),
        false, DIALOGUE_FAILED, CLASS_CLOSED, NULL},
    {"haproxy", &DIALOGUE_HAPROXY, {0},
        TEXT("# pxname,svname,type,status\nweb,FRONTEND,0,OPEN\n\n"), true, DIALOGUE_DONE,
        CLASS_NONE, "show stat\n"},
    {"haproxy refuses", &DIALOGUE_HAPROXY, {0}, TEXT("Permission denied\n"), false,
        DIALOGUE_FAILED, CLASS_LOGIN, NULL},
    {"no haproxy", &DIALOGUE_HAPROXY, {0}, TEXT("220 mail\r\n"), false, DIALOGUE_FAILED,
        CLASS_PROTOCOL, NULL},
    {"any, asked", &DIALOGUE_LINE, {.send = "HI\r\n", .expect = "LO"}, TEXT("HEL\r\nLO"), true,
        DIALOGUE_DONE, CLASS_NONE, "HI\r\n"},
    {"any, taken", &DIALOGUE_LINE, {0}, TEXT(""), true, DIALOGUE_DONE, CLASS_NONE, NULL},
};

static void comes_to_a_verdict(void)
{
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++)
        for (size_t piece = 1; piece <= CASES[i].len || piece == 1; piece = piece * 4 + 1) {
            const struct conversation *c = &CASES[i];
            struct heard h;
            open_heard(&h, c->kind, &c->words);
            hear(&h, c->says, c->len, piece);
            bool ok = h.d.answered == c->answered && h.d.state == c->state &&
                      h.d.class == c->class &&
                      (!c->said || memmem(h.say.data, h.say.len, c->said, strlen(c->said)));
            if (!ok)
                printf("%s, pieces of %zu: answered %d, state %d, class %s: %s\n", c->what,
                    piece, h.d.answered, h.d.state, probe_class_name(h.d.class), h.d.detail);
            CU_ASSERT_TRUE(ok);
            close_heard(&h);
        }
}

static double value_of(const struct dialogue *d, const char *name)
{
    for (size_t i = 0; i < d->kind->n_values; i++)
        if (strcmp(d->kind->values[i].name, name) == 0)
            return d->values[i];
    return NAN;
}

static void takes_numbers(void)
{
    static const char INFO[] = "used_memory:1024\r\nlatest_fork_usec:1500\r\nrole:slave\r\n"
                               "master_link_status:down\r\nrdb_last_bgsave_status:ok\r\n";
    static const char ROWS[] =
        "\1\0\0\1\2\x03\0\0\2def\x03\0\0\3def\5\0\0\4\xfe\0\0\2\0"
        "\x14\0\0\5\x11Threads_connected\0017\x10\0\0\6\x0cSlow_queries\x02"
        "99\5\0\0\7\xfe\0\0\2\0";
    struct dialogue_words none = {0};
    struct heard h;
    char text[512];
    open_heard(&h, &DIALOGUE_REDIS, &none);
    int n = snprintf(text, sizeof(text), "+PONG\r\n$%zu\r\n%s\r\n", sizeof(INFO) - 1, INFO);
    hear(&h, text, (size_t)n, 7);
    CU_ASSERT_EQUAL(h.d.state, DIALOGUE_DONE);
    CU_ASSERT_EQUAL(value_of(&h.d, "redis_memory_used_bytes"), 1024);
    CU_ASSERT_DOUBLE_EQUAL(value_of(&h.d, "redis_latest_fork_seconds"), 0.0015, 1e-12);
    CU_ASSERT_EQUAL(value_of(&h.d, "redis_master_link_up"), 0);
    CU_ASSERT_EQUAL(value_of(&h.d, "redis_rdb_last_bgsave_status"), 1);
    CU_ASSERT_TRUE(isnan(value_of(&h.d, "redis_connected_clients")));
    close_heard(&h);

    open_heard(&h, &DIALOGUE_MYSQL, &none);
    hear(&h, TEXT(GREETING OK_PACKET), 3);
    hear(&h, TEXT(ROWS), 5);
    CU_ASSERT_EQUAL(h.d.state, DIALOGUE_DONE);
    CU_ASSERT_EQUAL(value_of(&h.d, "mysql_global_status_threads_connected"), 7);
    CU_ASSERT_EQUAL(value_of(&h.d, "mysql_global_status_slow_queries"), 99);
    close_heard(&h);
}

static void note_value(void *ctx, const char *name, const struct wire_label *labels, size_t n,
    enum series_kind kind, const char *unit, double value)
{
    (void)labels;
    (void)n;
    (void)kind;
    (void)unit;
    if (strcmp(name, "haproxy_frontend_current_sessions") == 0)
        *(double *)ctx = value;
}

static void takes_a_page_in_pieces(void)
{
    static const char CSV[] = "# pxname,svname,scur,type,status\nweb,FRONTEND,7,0,OPEN\n\n";
    struct dialogue_words none = {0};
    double value = 0;
    struct page_sink sink = {.value = note_value, .ctx = &value};
    struct heard h;
    open_heard(&h, &DIALOGUE_HAPROXY, &none);
    h.d.sink = &sink;
    hear(&h, CSV, sizeof(CSV) - 3, 5);
    CU_ASSERT_TRUE(h.d.answered); // by its first line; the rest is no part of the latency
    CU_ASSERT_EQUAL(h.d.state, DIALOGUE_GOES_ON);
    hear(&h, "\n\n", 2, 1);
    CU_ASSERT_EQUAL(h.d.state, DIALOGUE_DONE);
    CU_ASSERT_EQUAL(value, 7);
    close_heard(&h);
}

static char rows[1024];
static void take_row(void *ctx, const char *name, const struct wire_label *labels, size_t n,
    enum series_kind kind, const char *unit, double value)
{
    size_t len = strlen(rows);
    (void)ctx;
    (void)kind;
    (void)unit;
    len += (size_t)snprintf(rows + len, sizeof(rows) - len, "%s", name);
    for (size_t i = 0; i < n; i++)
        len += (size_t)snprintf(rows + len, sizeof(rows) - len, " %s", labels[i].value);
    snprintf(rows + len, sizeof(rows) - len, " %g\n", value);
}

static void gives_rows(void)
{
    static const struct page_sink SINK = {.value = take_row};
    // One topic of two partitions: one whole, one without a leader that lost a replica.
    static const char TOPICS[] = "\0\0\0\x5c\0\0\0\2" KAFKA_BROKERS "\0\0\0\1\0\0\0\6orders\0"
                                 "\0\0\0\2"
                                 "\0\0\0\0\0\0\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1"
                                 "\0\5\0\0\0\1\xff\xff\xff\xff\0\0\0\1\0\0\0\1\0\0\0\0";
    struct dialogue_words none = {0};
    for (size_t piece = 1; piece < sizeof(TOPICS); piece += 20) {
        struct heard h;
        rows[0] = '\0';
        open_heard(&h, &DIALOGUE_KAFKA, &none);
        h.d.sink = &SINK;
        hear(&h, TEXT(KAFKA_VERSIONS "\0\0\0\x1d\0\0\0\1" KAFKA_BROKERS "\0\0\0\0"), piece);
        CU_ASSERT_TRUE(h.d.answered);
        CU_ASSERT_EQUAL(h.d.state, DIALOGUE_GOES_ON);
        hear(&h, TEXT(TOPICS), piece);
        CU_ASSERT_EQUAL(h.d.state, DIALOGUE_DONE);
        CU_ASSERT_STRING_EQUAL(rows,
            "kafka_brokers 1\nkafka_topic_partitions orders 2\n"
            "kafka_topic_partition_leader orders 0 1\n"
            "kafka_topic_partition_replicas orders 0 1\n"
            "kafka_topic_partition_in_sync_replica orders 0 1\n"
            "kafka_topic_partition_under_replicated_partition orders 0 0\n"
            "kafka_topic_partition_leader orders 1 -1\n"
            "kafka_topic_partition_replicas orders 1 1\n"
            "kafka_topic_partition_in_sync_replica orders 1 0\n"
            "kafka_topic_partition_under_replicated_partition orders 1 1\n"
            "tocsin_kafka_under_replicated_partitions 1\n"
            "tocsin_kafka_leaderless_partitions 1\n");
        close_heard(&h);
    }
}

static void a_peer_that_hangs_up_has_not_answered(void)
{
    struct dialogue_words none = {0};
    struct heard h;
    open_heard(&h, &DIALOGUE_NATS, &none);
    hear(&h, TEXT("INFO {}\r\n"), 9);
    dialogue_closed(&h.d);
    CU_ASSERT_EQUAL(h.d.state, DIALOGUE_FAILED);
    CU_ASSERT_EQUAL(h.d.class, CLASS_CLOSED);
    close_heard(&h);
}

static void every_class_has_a_name(void)
{
    for (int c = CLASS_NONE + 1; c < PROBE_CLASSES; c++)
        CU_ASSERT_TRUE(*probe_class_name((enum probe_class)c));
}

static const struct test TESTS[] = {
    {"comes to a verdict, in pieces too", comes_to_a_verdict},
    {"takes numbers", takes_numbers},
    {"gives rows, in pieces too", gives_rows},
    {"takes a page in pieces", takes_a_page_in_pieces},
    {"a peer that hangs up has not answered", a_peer_that_hangs_up_has_not_answered},
    {"every class has a name", every_class_has_a_name},
};

int main(void)
{
    return test_main("dialogue", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}

// SPDX-License-Identifier: Apache-2.0
// Kafka: which requests it takes, then its metadata without topics, which is what is timed. When numbers are
// wanted the metadata of all topics follows: brokers, partitions, replicas in sync, leaders, with
// kafka_exporter's names. Source: the protocol's own guide. A broker that wants SASL hangs up.
#include "agent/dialogue.h"
#include "agent/page.h"
#include <stdio.h>
#include <string.h>

enum { KAFKA_VERSIONS, KAFKA_ALIVE, KAFKA_TOPICS };

#define METADATA     3
#define API_VERSIONS 18
#define VERSION_LOW  1 // of metadata: below it nothing can be asked for without topics
#define VERSION_HIGH 8 // above it numbers are packed otherwise
#define TOPIC_MAX    249

// --- reading: what is not there sets `broken` and reads as 0 -----------------------------------------

struct reader {
    const uint8_t *at, *end;
    bool broken;
};

static uint32_t take(struct reader *r, size_t n)
{
    uint32_t v = 0;
    if ((size_t)(r->end - r->at) < n) {
        r->broken = true;
        return 0;
    }
    while (n--)
        v = v << 8 | *r->at++;
    return v;
}

static int32_t i32(struct reader *r)
{
    return (int32_t)take(r, 4);
}

static int16_t i16(struct reader *r)
{
    return (int16_t)take(r, 2);
}

static void skip(struct reader *r, size_t n)
{
    if ((size_t)(r->end - r->at) < n)
        r->broken = true;
    else
        r->at += n;
}

// A text that may be null; cut to what fits.
static void text(struct reader *r, char *ret, size_t size)
{
    int16_t n = i16(r);
    const uint8_t *from = r->at;
    *ret = '\0';
    if (n < 0)
        return;
    skip(r, (size_t)n);
    if (!r->broken)
        snprintf(ret, size, "%.*s", n, (const char *)from);
}

// How many of at least `each` bytes follow.
static int32_t count(struct reader *r, size_t each)
{
    int32_t n = i32(r);
    if (n < 0)
        return 0;
    if ((size_t)n > (size_t)(r->end - r->at) / each)
        r->broken = true;
    return r->broken ? 0 : n;
}

// --- asking --------------------------------------------------------------------------------------

static void request(
    struct dialogue *d, unsigned key, unsigned version, const char *body, size_t len)
{
    static const char CLIENT[] = "\0\6tocsin";
    size_t n = 8 + sizeof(CLIENT) - 1 + len;
    uint8_t head[12] = {
        0, 0, 0, (uint8_t)n, 0, (uint8_t)key, 0, (uint8_t)version, 0, 0, 0, (uint8_t)d->step};
    dialogue_say(d, head, sizeof(head));
    dialogue_say(d, CLIENT, sizeof(CLIENT) - 1);
    dialogue_say(d, body, len);
}

static void ask_metadata(struct dialogue *d, bool topics)
{
    char body[8];
    size_t len = 4;
    memset(body, topics ? 255 : 0, 4); // all of them, or none
    if (d->version >= 4)
        body[len++] = 0; // asking makes no topic
    if (d->version >= 8) {
        body[len++] = 0;
        body[len++] = 0;
    }
    d->step = topics ? KAFKA_TOPICS : KAFKA_ALIVE;
    request(d, METADATA, d->version, body, len);
}

static void kafka_begin(struct dialogue *d)
{
    d->step = KAFKA_VERSIONS;
    request(d, API_VERSIONS, 0, "", 0);
}

// --- what it says --------------------------------------------------------------------------------

static void versions(struct dialogue *d, struct reader *r)
{
    int16_t error = i16(r);
    int low = -1, high = -1;
    for (int32_t n = count(r, 6); n > 0; n--) {
        int16_t key = i16(r), from = i16(r), to = i16(r);
        if (key != METADATA)
            continue;
        low = from;
        high = to;
    }
    if (r->broken || error || low < 0)
        dialogue_fail(d, CLASS_PROTOCOL, "not Kafka: no list of what it takes");
    else if (low > VERSION_HIGH || high < VERSION_LOW)
        dialogue_fail(
            d, CLASS_PROTOCOL, "it takes metadata of versions %d to %d only", low, high);
    else {
        d->version = (uint8_t)(high < VERSION_HIGH ? high : VERSION_HIGH);
        ask_metadata(d, false);
    }
}

static void tell(const struct page_sink *s, const char *name, const char *topic,
    const char *partition, double v)
{
    struct wire_label l[] = {{"topic", topic}, {"partition", partition}};
    s->value(s->ctx, name, l, topic ? partition ? 2 : 1 : 0, SERIES_GAUGE, "1", v);
}

struct totals {
    double under_replicated, leaderless;
};

static void partition(
    struct dialogue *d, struct reader *r, const char *topic, struct totals *totals)
{
    const struct page_sink *s = d->sink;
    char number[16];
    skip(r, 2); // an error that the leader tells too
    snprintf(number, sizeof(number), "%d", i32(r));
    int32_t leader = i32(r);
    skip(r, d->version >= 7 ? 4 : 0);
    int32_t replicas = count(r, 4);
    skip(r, (size_t)replicas * 4);
    int32_t in_sync = count(r, 4);
    skip(r, (size_t)in_sync * 4);
    if (d->version >= 5)
        skip(r, (size_t)count(r, 4) * 4); // offline
    if (r->broken || !s)
        return;
    totals->leaderless += leader < 0;
    totals->under_replicated += in_sync < replicas;
    tell(s, "kafka_topic_partition_leader", topic, number, leader);
    tell(s, "kafka_topic_partition_replicas", topic, number, replicas);
    tell(s, "kafka_topic_partition_in_sync_replica", topic, number, in_sync);
    tell(s, "kafka_topic_partition_under_replicated_partition", topic, number,
        in_sync < replicas);
}

static void topics(struct dialogue *d, struct reader *r)
{
    struct totals totals = {0};
    for (int32_t n = count(r, 9); n > 0 && !r->broken; n--) {
        char name[TOPIC_MAX + 1];
        skip(r, 2);
        text(r, name, sizeof(name));
        skip(r, 1); // internal
        int32_t partitions = count(r, 18);
        if (d->sink && !r->broken)
            tell(d->sink, "kafka_topic_partitions", name, NULL, partitions);
        for (; partitions > 0 && !r->broken; partitions--)
            partition(d, r, name, &totals);
        skip(r, d->version >= 8 ? 4 : 0);
    }
    if (!d->sink || r->broken)
        return;
    tell(d->sink, "tocsin_kafka_under_replicated_partitions", NULL, NULL,
        totals.under_replicated);
    tell(d->sink, "tocsin_kafka_leaderless_partitions", NULL, NULL, totals.leaderless);
}

static void metadata(struct dialogue *d, struct reader *r)
{
    char unused[1];
    skip(r, d->version >= 3 ? 4 : 0); // how long it makes us wait
    int32_t brokers = count(r, 12);
    for (int32_t n = brokers; n > 0 && !r->broken; n--) {
        skip(r, 4);
        text(r, unused, sizeof(unused)); // host
        skip(r, 4);
        text(r, unused, sizeof(unused)); // rack
    }
    if (d->version >= 2)
        text(r, unused, sizeof(unused)); // cluster
    skip(r, 4);                          // controller
    if (r->broken) {
        dialogue_fail(d, CLASS_PROTOCOL, "broken metadata");
    } else if (d->step == KAFKA_ALIVE) {
        d->answered = true;
        if (d->sink)
            ask_metadata(d, true);
        else
            d->state = DIALOGUE_DONE;
    } else {
        if (d->sink)
            tell(d->sink, "kafka_brokers", NULL, NULL, brokers);
        topics(d, r);
        if (r->broken)
            dialogue_fail(d, CLASS_PROTOCOL, "broken metadata of topics");
        else
            d->state = DIALOGUE_DONE;
    }
}

static size_t kafka_hear(struct dialogue *d, const uint8_t *data, size_t len)
{
    struct reader r = {data, data + len, false};
    if (len < 8)
        return 0;
    uint32_t size = take(&r, 4), correlation = take(&r, 4);
    if (size < 4 || size > DIALOGUE_HEARD_MAX - 4 || correlation != d->step) {
        dialogue_refused(d, CLASS_PROTOCOL, "not Kafka", data, len);
        return len;
    }
    if (len < size + 4)
        return 0;
    r.end = data + 4 + size;
    if (d->step == KAFKA_VERSIONS)
        versions(d, &r);
    else
        metadata(d, &r);
    return size + 4;
}

const struct dialogue_kind DIALOGUE_KAFKA = {.name = "kafka",
    .port = 9092,
    .tls = DIALOGUE_TLS_FIRST,
    .rows_ms = 10000,
    .begin = kafka_begin,
    .hear = kafka_hear};

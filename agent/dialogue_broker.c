// SPDX-License-Identifier: Apache-2.0
// Message brokers: AMQP 0-9-1 (RabbitMQ), NATS, MQTT 3.1.1. Sources: the protocols' specifications.
#include "agent/dialogue.h"
#include <string.h>

// --- AMQP: the server starts the conversation after the protocol header -------------------------

static void amqp_begin(struct dialogue *d)
{
    dialogue_say(d, "AMQP\0\0\x09\x01", 8);
}

// type 1, channel 2, size 4, class 2, method 2
static size_t amqp_hear(struct dialogue *d, const uint8_t *data, size_t len)
{
    static const uint8_t START[] = {0, 10, 0, 10};
    if (len >= 4 && memcmp(data, "AMQP", 4) == 0) {
        dialogue_fail(d, CLASS_PROTOCOL, "it speaks another version of AMQP");
        return len;
    }
    if (len < 11 && (data[0] == 1 || data[0] == 'A'))
        return 0;
    if (data[0] == 1 && memcmp(data + 7, START, 4) == 0) {
        d->answered = true;
        d->state = DIALOGUE_DONE;
    } else {
        dialogue_refused(d, CLASS_PROTOCOL, "not AMQP", data, len);
    }
    return len;
}

const struct dialogue_kind DIALOGUE_AMQP = {.name = "amqp",
    .port = 5672,
    .tls = DIALOGUE_TLS_FIRST,
    .begin = amqp_begin,
    .hear = amqp_hear};

// --- NATS: the server speaks first ---------------------------------------------------------------

enum { NATS_INFO, NATS_PONG };

static void nats_connect(struct dialogue *d)
{
    buf_adds(&d->say,
        "CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"c\",\"version\":\"1\","
        "\"name\":\"tocsin\"");
    if (d->words.user) {
        buf_adds(&d->say, ",\"user\":");
        buf_add_json(&d->say, d->words.user, strlen(d->words.user));
    }
    if (d->words.password) {
        buf_adds(&d->say, d->words.user ? ",\"pass\":" : ",\"auth_token\":");
        buf_add_json(&d->say, d->words.password, strlen(d->words.password));
    }
    buf_adds(&d->say, "}\r\nPING\r\n");
    if (d->say.failed)
        dialogue_fail(d, CLASS_LOCAL, "the login is too long");
    d->step = NATS_PONG;
}

// Under TLS it does not introduce itself again.
static void nats_begin(struct dialogue *d)
{
    d->step = NATS_INFO;
    if (d->secured)
        nats_connect(d);
}

static size_t nats_hear(struct dialogue *d, const uint8_t *data, size_t len)
{
    size_t line, taken;
    if (d->turns_secure || !dialogue_line(data, len, &line, &taken))
        return 0;
    bool login = d->words.user || d->words.password;
    if (d->step == NATS_INFO && dialogue_begins(data, line, "INFO {")) {
        d->turns_secure = d->words.tls && !d->secured;
        if (!d->turns_secure)
            nats_connect(d);
    } else if (d->step == NATS_PONG && dialogue_begins(data, line, "PONG")) {
        d->answered = true;
        d->state = DIALOGUE_DONE;
    } else if (dialogue_begins(data, line, "-ERR 'Authorization Violation'") ||
               dialogue_begins(data, line, "-ERR 'Authentication Timeout'")) {
        if (login) {
            dialogue_refused(d, CLASS_LOGIN, "login refused", data, line);
        } else {
            d->answered = true;
            d->state = DIALOGUE_DONE;
        }
    } else if (dialogue_begins(data, line, "-ERR 'maximum connections exceeded'")) {
        dialogue_refused(d, CLASS_OVERLOADED, "full", data, line);
    } else if (d->step == NATS_PONG &&
               (dialogue_begins(data, line, "INFO ") || dialogue_begins(data, line, "PING"))) {
        // It may tell more, or ask, before it answers.
        if (data[0] == 'P')
            dialogue_say(d, "PONG\r\n", 6);
    } else {
        dialogue_refused(d, CLASS_PROTOCOL, "not NATS", data, line);
    }
    return taken;
}

const struct dialogue_kind DIALOGUE_NATS = {.name = "nats",
    .port = 4222,
    .has_login = true,
    .tls = DIALOGUE_TLS_ASKED,
    .begin = nats_begin,
    .hear = nats_hear};

// --- MQTT ----------------------------------------------------------------------------------------

static void mqtt_text(struct buf *b, const char *s)
{
    size_t n = strlen(s);
    buf_addc(b, (char)(n >> 8));
    buf_addc(b, (char)n);
    buf_add(b, s, n);
}

// A clean session under a name the server makes: nothing is left behind.
static void mqtt_begin(struct dialogue *d)
{
    const char *user = d->words.user, *password = user ? d->words.password : NULL;
    size_t n = 10 + 2 + (user ? 2 + strlen(user) : 0) + (password ? 2 + strlen(password) : 0);
    buf_addc(&d->say, 0x10);
    do {
        buf_addc(&d->say, (char)(n % 128 + (n >= 128 ? 128 : 0)));
        n /= 128;
    } while (n);
    mqtt_text(&d->say, "MQTT");
    buf_addc(&d->say, 4);
    buf_addc(&d->say, (char)(2 | (user ? 0x80 : 0) | (password ? 0x40 : 0)));
    buf_add(&d->say, "\0\x1e", 2); // alive for 30 s without a word; we are gone long before
    mqtt_text(&d->say, "");
    if (user)
        mqtt_text(&d->say, user);
    if (password)
        mqtt_text(&d->say, password);
    if (d->say.failed)
        dialogue_fail(d, CLASS_LOCAL, "the login is too long");
}

static size_t mqtt_hear(struct dialogue *d, const uint8_t *data, size_t len)
{
    if (data[0] != 0x20 || (len >= 2 && data[1] != 2)) {
        dialogue_refused(d, CLASS_PROTOCOL, "not MQTT 3.1.1", data, len);
        return len;
    }
    if (len < 4)
        return 0;
    switch (data[3]) {
    case 0:
        d->answered = true;
        d->state = DIALOGUE_DONE;
        dialogue_say(d, "\xe0\0", 2); // good-bye
        break;
    case 3: dialogue_fail(d, CLASS_OVERLOADED, "the server is not available"); break;
    case 4:
    case 5:
        if (d->words.user) {
            dialogue_fail(d, CLASS_LOGIN, "login refused");
            break;
        }
        d->answered = true;
        d->state = DIALOGUE_DONE;
        break;
    default: dialogue_fail(d, CLASS_PROTOCOL, "refused with code %u", data[3]);
    }
    return 4;
}

const struct dialogue_kind DIALOGUE_MQTT = {.name = "mqtt",
    .port = 1883,
    .has_login = true,
    .tls = DIALOGUE_TLS_FIRST,
    .begin = mqtt_begin,
    .hear = mqtt_hear};

// SPDX-License-Identifier: Apache-2.0
#include "agent/dialogue.h"
#include "base/num.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SAY_MAX  4096
#define SAID_MAX 100

const struct dialogue_kind *const DIALOGUES[DIALOGUE_KINDS] = {&DIALOGUE_REDIS,
    &DIALOGUE_MEMCACHED, &DIALOGUE_POSTGRES, &DIALOGUE_MYSQL, &DIALOGUE_AMQP, &DIALOGUE_NATS,
    &DIALOGUE_MQTT, &DIALOGUE_WEBSOCKET, &DIALOGUE_DNS, &DIALOGUE_HAPROXY, &DIALOGUE_KAFKA};

void dialogue_set(struct dialogue *d, const struct dialogue_kind *kind,
    const struct dialogue_words *words, bool wants_values)
{
    struct buf say = d->say;
    *d = (struct dialogue){
        .kind = kind, .words = *words, .wants_values = wants_values && kind->n_values};
    d->say = say;
    if (!d->say.max)
        buf_init(&d->say, SAY_MAX);
    buf_reset(&d->say);
    for (size_t i = 0; i < DIALOGUE_VALUES_MAX; i++)
        d->values[i] = NAN;
}

size_t dialogue_hear(struct dialogue *d, const uint8_t *data, size_t len)
{
    size_t taken = 0, more = 1;
    while (d->state == DIALOGUE_GOES_ON && taken < len && more) {
        more = d->kind->hear(d, data + taken, len - taken);
        taken += more;
    }
    return taken;
}

void dialogue_closed(struct dialogue *d)
{
    if (d->state == DIALOGUE_GOES_ON)
        dialogue_fail(d, CLASS_CLOSED, "the connection was closed before an answer");
    else if (d->state == DIALOGUE_RESTS)
        dialogue_fail(d, CLASS_CLOSED, "the connection was closed");
}

void dialogue_done(struct dialogue *d)
{
    buf_done(&d->say);
    *d = (struct dialogue){0};
}

void dialogue_say(struct dialogue *d, const void *data, size_t len)
{
    if (buf_add(&d->say, data, len) < 0)
        dialogue_fail(d, CLASS_LOCAL, "out of memory");
}

void dialogue_fail(struct dialogue *d, enum probe_class class, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(d->detail, sizeof(d->detail), fmt, ap);
    va_end(ap);
    d->state = DIALOGUE_FAILED;
    d->class = class;
}

void dialogue_refused(struct dialogue *d, enum probe_class class, const char *what,
    const uint8_t *said, size_t len)
{
    char text[SAID_MAX + 1];
    size_t n = 0;
    for (; n < len && n < SAID_MAX; n++)
        text[n] = (char)(said[n] >= ' ' && said[n] < 127 ? said[n] : '.');
    text[n] = '\0';
    dialogue_fail(d, class, "%s: %s", what, text);
}

bool dialogue_begins(const uint8_t *data, size_t len, const char *with)
{
    size_t n = strlen(with);
    return len >= n && memcmp(data, with, n) == 0;
}

bool dialogue_line(const uint8_t *data, size_t len, size_t *ret_len, size_t *ret_taken)
{
    const uint8_t *end = memchr(data, '\n', len);
    if (!end)
        return false;
    *ret_taken = (size_t)(end - data) + 1;
    *ret_len = *ret_taken - 1;
    if (*ret_len && data[*ret_len - 1] == '\r')
        --*ret_len;
    return true;
}

void dialogue_note(struct dialogue *d, const char *field, size_t field_len, const char *value,
    size_t value_len)
{
    for (size_t i = 0; i < d->kind->n_values; i++) {
        const struct dialogue_value *v = &d->kind->values[i];
        double number;
        if (strlen(v->field) != field_len || memcmp(v->field, field, field_len) != 0)
            continue;
        if (num_parse(value, value_len, &number))
            d->values[i] = number * v->factor;
        else if (value_len == 2 && memcmp(value, "up", 2) == 0)
            d->values[i] = 1;
        else if (value_len == 2 && memcmp(value, "ok", 2) == 0)
            d->values[i] = 1;
        else
            d->values[i] = 0; // down, err: what is no number is a state that is not well
    }
}

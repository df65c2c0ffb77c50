// SPDX-License-Identifier: Apache-2.0
// PostgreSQL: asked to log in it says how, and what else it says tells whether it is well. Source: the
// protocol's own document.
#include "agent/dialogue.h"
#include <string.h>

static void put_u32(struct buf *b, size_t at, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        b->data[at + (size_t)i] = (uint8_t)(v >> (24 - 8 * i));
}

static void postgres_begin(struct dialogue *d)
{
    static const char MORE[] = "database\0postgres\0application_name\0tocsin\0";
    struct buf *b = &d->say;
    const char *user = d->words.user ? d->words.user : "tocsin";
    buf_add(b, "\0\0\0\0\0\3\0\0", 8); // length, version 3.0
    buf_add(b, "user", 5);
    buf_add(b, user, strlen(user) + 1);
    buf_add(b, MORE, sizeof(MORE));
    if (b->failed)
        dialogue_fail(d, CLASS_LOCAL, "the user is too long");
    else
        put_u32(b, 0, (uint32_t)b->len);
}

// Fields of an ErrorResponse: a byte that says which, a text.
static void postgres_error(struct dialogue *d, const uint8_t *data, size_t len)
{
    char state[6] = "";
    const uint8_t *message = NULL;
    size_t message_len = 0;
    while (len && *data) {
        const uint8_t *end = memchr(data, 0, len);
        if (!end)
            break;
        size_t n = (size_t)(end - data);
        if (*data == 'C' && n == 6)
            memcpy(state, data + 1, 5);
        if (*data == 'M') {
            message = data + 1;
            message_len = n - 1;
        }
        data += n + 1;
        len -= n + 1;
    }
    if (strncmp(state, "57P", 3) == 0)
        dialogue_refused(d, CLASS_STARTING, "not ready", message, message_len);
    else if (strncmp(state, "53", 2) == 0)
        dialogue_refused(d, CLASS_OVERLOADED, "full", message, message_len);
    else if (strncmp(state, "28", 2) == 0 || strncmp(state, "3D", 2) == 0) {
        d->answered = true; // no such user, no such database: it has looked
        d->state = DIALOGUE_DONE;
    } else
        dialogue_refused(d, CLASS_PROTOCOL, "an error", message, message_len);
}

static size_t postgres_hear(struct dialogue *d, const uint8_t *data, size_t len)
{
    if (data[0] != 'R' && data[0] != 'E' && data[0] != 'N') {
        dialogue_refused(d, CLASS_PROTOCOL, "not PostgreSQL", data, len);
        return len;
    }
    if (len < 5)
        return 0;
    uint32_t size =
        (uint32_t)data[1] << 24 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 8 | data[4];
    if (size < 4 || size > DIALOGUE_HEARD_MAX / 2) {
        dialogue_refused(d, CLASS_PROTOCOL, "not PostgreSQL", data, len);
        return len;
    }
    if (len < size + 1)
        return 0;
    if (data[0] == 'E') {
        postgres_error(d, data + 5, size - 4);
    } else if (data[0] == 'R') {
        d->answered = true;
        d->state = DIALOGUE_DONE;
        dialogue_say(d, "X\0\0\0\4", 5); // good-bye
    }
    return size + 1;
}

const struct dialogue_kind DIALOGUE_POSTGRES = {.name = "postgresql",
    .port = 5432,
    .has_login = true,
    .begin = postgres_begin,
    .hear = postgres_hear};

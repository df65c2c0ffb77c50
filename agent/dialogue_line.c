// SPDX-License-Identifier: Apache-2.0
// Any protocol: something is said, something is expected in what comes. Nothing expected: it is enough
// that the connection is taken. For `tcp` probes.
#include "agent/dialogue.h"
#include <string.h>

static void answered(struct dialogue *d)
{
    d->answered = true;
    d->state = DIALOGUE_DONE;
}

static void line_begin(struct dialogue *d)
{
    if (d->words.send)
        dialogue_say(d, d->words.send, strlen(d->words.send));
    if (!d->words.expect)
        answered(d);
}

// What does not hold it yet may hold its beginning, so all of it is kept.
static size_t line_hear(struct dialogue *d, const uint8_t *data, size_t len)
{
    size_t n = strlen(d->words.expect);
    if (memmem(data, len, d->words.expect, n))
        answered(d);
    else if (len >= DIALOGUE_HEARD_MAX)
        dialogue_fail(d, CLASS_CONTENT, "what was expected did not come");
    return 0;
}

const struct dialogue_kind DIALOGUE_LINE = {
    .name = "tcp", .tls = DIALOGUE_TLS_FIRST, .begin = line_begin, .hear = line_hear};
// The handshake alone, for its certificate.
const struct dialogue_kind DIALOGUE_TLS = {
    .name = "tls", .tls = DIALOGUE_TLS_FIRST, .begin = line_begin, .hear = line_hear};

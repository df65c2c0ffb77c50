// SPDX-License-Identifier: Apache-2.0
// WebSocket: the upgrade, then a ping that has to come back. Source: RFC 6455.
#include "agent/dialogue.h"
#include <openssl/evp.h>
#include <string.h>
#include <strings.h>

enum { WEBSOCKET_UPGRADE, WEBSOCKET_PONG };

// The nonce and the mask need not be secret here: nobody between us and the service is to be outwitted.
#define KEY    "dG9jc2luLXByb2JlLTAwMQ=="
#define GUID   "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define ACCEPT 28 // characters of a SHA-1 in base64

static void websocket_begin(struct dialogue *d)
{
    d->step = WEBSOCKET_UPGRADE;
    buf_addf(&d->say,
        "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " KEY
        "\r\nUser-Agent: tocsin-agent\r\n\r\n",
        d->words.path, d->words.host);
    if (d->say.failed)
        dialogue_fail(d, CLASS_LOCAL, "the path is too long");
}

static bool accepts(const uint8_t *head, size_t len)
{
    static const char NAME[] = "sec-websocket-accept:";
    uint8_t digest[20], want[ACCEPT + 1];
    size_t line, taken;
    if (!EVP_Digest(KEY GUID, sizeof(KEY GUID) - 1, digest, NULL, EVP_sha1(), NULL))
        return false;
    EVP_EncodeBlock(want, digest, sizeof(digest));
    for (; dialogue_line(head, len, &line, &taken); head += taken, len -= taken) {
        size_t at = sizeof(NAME) - 1;
        if (line < at || strncasecmp((const char *)head, NAME, at) != 0)
            continue;
        while (at < line && head[at] == ' ')
            at++;
        return line - at == ACCEPT && memcmp(head + at, want, ACCEPT) == 0;
    }
    return false;
}

static void upgraded(struct dialogue *d, const uint8_t *head, size_t len)
{
    // A ping of four bytes under a mask of zeros.
    static const uint8_t PING[] = {0x89, 0x84, 0, 0, 0, 0, 't', 'o', 'c', 's'};
    if (!dialogue_begins(head, len, "HTTP/1.1 ")) {
        dialogue_refused(d, CLASS_PROTOCOL, "not HTTP", head, len);
    } else if (!dialogue_begins(head, len, "HTTP/1.1 101")) {
        dialogue_fail(d, CLASS_STATUS, "status %.3s instead of 101", (const char *)head + 9);
    } else if (!accepts(head, len)) {
        dialogue_fail(d, CLASS_PROTOCOL, "the upgrade is not confirmed by its key");
    } else {
        d->step = WEBSOCKET_PONG;
        dialogue_say(d, PING, sizeof(PING));
    }
}

// What the service sends by itself before the pong is passed over.
static size_t frame(struct dialogue *d, const uint8_t *data, size_t len)
{
    static const uint8_t CLOSE[] = {0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8}; // 1000: all is well
    size_t head = 2, n = len > 1 ? data[1] & 127u : 0;
    if (len < 2)
        return 0;
    if (data[1] & 128) {
        dialogue_fail(d, CLASS_PROTOCOL, "a frame of the service is masked");
        return len;
    }
    if (n == 126) {
        if (len < 4)
            return 0;
        n = (size_t)data[2] << 8 | data[3];
        head = 4;
    } else if (n == 127) {
        dialogue_fail(d, CLASS_PROTOCOL, "it sends more than this probe takes");
        return len;
    }
    if (len < head + n)
        return 0;
    unsigned opcode = data[0] & 15;
    if (opcode == 10 && n == 4 && memcmp(data + head, "tocs", 4) == 0) {
        d->answered = true;
        d->state = DIALOGUE_DONE;
        dialogue_say(d, CLOSE, sizeof(CLOSE));
    } else if (opcode == 8) {
        dialogue_fail(d, CLASS_CLOSED, "closed with code %u",
            n >= 2 ? (unsigned)data[head] << 8 | data[head + 1] : 1005);
    }
    return head + n;
}

static size_t websocket_hear(struct dialogue *d, const uint8_t *data, size_t len)
{
    if (d->step == WEBSOCKET_PONG)
        return frame(d, data, len);
    const uint8_t *end = memmem(data, len, "\r\n\r\n", 4);
    if (!end && (len < 9 || dialogue_begins(data, len, "HTTP/1.1 ")))
        return 0;
    size_t head = end ? (size_t)(end - data) + 4 : len;
    upgraded(d, data, head);
    return head;
}

const struct dialogue_kind DIALOGUE_WEBSOCKET = {.name = "websocket",
    .port = 80,
    .tls = DIALOGUE_TLS_FIRST,
    .begin = websocket_begin,
    .hear = websocket_hear};

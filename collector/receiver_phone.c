// SPDX-License-Identifier: Apache-2.0
// Phones: Telegram's bot API and ntfy.
#include "collector/receiver.h"
#include "collector/receiver_text.h"
#include <string.h>

#define TELEGRAM_TEXT_MAX 4096
#define TITLE_MAX         256
#define NTFY_TEXT_MAX     1365 // 4096 bytes, should each unit be three

// https://core.telegram.org/bots/api#sendmessage
static int telegram(const struct integration *i, const char *key,
    const struct webhook_message *m, struct buf *body, struct buf *path)
{
    bool html = i->chat.parse_mode && *i->chat.parse_mode;
    enum text_style style = html ? TEXT_ENTITIES : TEXT_PLAIN;
    struct buf text, head;
    buf_addf(path, "/bot%s/sendMessage", key);
    buf_init(&text, 1u << 20);
    buf_init(&head, 1u << 20);
    if (i->text) {
        text_add(i->text, TEXT_PLAIN, TELEGRAM_TEXT_MAX, &text);
    } else {
        text_title(m, TITLE_MAX, &head);
        buf_adds(&text, html ? "<b>" : "");
        text_add(buf_cstr(&head), style, TITLE_MAX, &text);
        buf_adds(&text, html ? "</b>\n" : "\n");
        size_t used = text_units((const char *)text.data, text.len);
        text_alerts(m, style, TELEGRAM_TEXT_MAX - used, &text);
    }
    buf_addf(body, "{\"chat_id\":%s", i->chat.chat_id);
    text_pair("text", buf_cstr(&text), body);
    if (html)
        text_pair("parse_mode", i->chat.parse_mode, body);
    buf_addf(body, ",\"disable_notification\":%s,\"disable_web_page_preview\":true}",
        i->chat.silently ? "true" : "false");
    int rc = text.failed ? text.failed : head.failed ? head.failed : body->failed;
    buf_done(&text);
    buf_done(&head);
    return rc;
}

static bool pages(const struct webhook_message *m)
{
    for (size_t i = 0; i < m->n; i++) {
        const char *s = labels_get(m->alerts[i].labels, "severity");
        if (m->alerts[i].firing && (strcmp(s, "page") == 0 || strcmp(s, "critical") == 0))
            return true;
    }
    return false;
}

// https://docs.ntfy.sh/publish/#publish-as-json
static int ntfy(const struct integration *i, const char *key, const struct webhook_message *m,
    struct buf *body, struct buf *path)
{
    struct buf piece;
    (void)key;
    (void)path;
    buf_init(&piece, 1u << 20);
    buf_addc(body, '{');
    text_pair("topic", i->chat.topic, body);
    text_title(m, TITLE_MAX, &piece);
    text_pair("title", buf_cstr(&piece), body);
    buf_reset(&piece);
    text_alerts(m, TEXT_PLAIN, NTFY_TEXT_MAX, &piece);
    text_pair("message", buf_cstr(&piece), body);
    buf_addf(body, ",\"priority\":%d", pages(m) ? 5 : text_fires(m) ? 4 : 3);
    buf_addf(body, ",\"tags\":[\"%s\"]", text_fires(m) ? "rotating_light" : "white_check_mark");
    text_pair("click", m->external_url, body);
    buf_addc(body, '}');
    int rc = piece.failed ? piece.failed : body->failed;
    buf_done(&piece);
    return rc;
}

static const struct receiver_field TELEGRAM_FIELDS[] = {
    {"bot_token", "telegram_bot_token", RECEIVER_SECRET, offsetof(struct integration, key),
        true, NULL, NULL},
    {"api_url", "telegram_api_url", RECEIVER_URL, offsetof(struct integration, url), false,
        NULL, NULL},
    {"chat_id", NULL, RECEIVER_NUMBER, offsetof(struct integration, chat.chat_id), true, NULL,
        NULL},
    {"message", NULL, RECEIVER_MESSAGE, offsetof(struct integration, text), false,
        "telegram.default.message", NULL},
    {"parse_mode", NULL, RECEIVER_PARSE_MODE, offsetof(struct integration, chat.parse_mode),
        false, NULL, NULL},
    {"disable_notifications", NULL, RECEIVER_BOOL, offsetof(struct integration, chat.silently),
        false, NULL, NULL},
    {0},
};
static const char *const TELEGRAM_NOT_YET[] = {"message_thread_id", NULL};

const struct receiver_kind RECEIVER_TELEGRAM = {.name = "telegram",
    .key = "telegram_configs",
    .url = "https://api.telegram.org",
    .send_resolved = true,
    .fields = TELEGRAM_FIELDS,
    .not_yet = TELEGRAM_NOT_YET,
    .make = telegram};

static const struct receiver_field NTFY_FIELDS[] = {
    {"url", NULL, RECEIVER_URL, offsetof(struct integration, url), false, NULL, NULL},
    {"topic", NULL, RECEIVER_FIXED, offsetof(struct integration, chat.topic), true, NULL, NULL},
    {"token", NULL, RECEIVER_SECRET, offsetof(struct integration, key), false, NULL, NULL},
    {0},
};
static const char *const NTFY_NOT_YET[] = {NULL};

const struct receiver_kind RECEIVER_NTFY = {.name = "ntfy",
    .key = "ntfy_configs",
    .url = "https://ntfy.sh/",
    .auth = "Bearer",
    .send_resolved = true,
    .fields = NTFY_FIELDS,
    .not_yet = NTFY_NOT_YET,
    .make = ntfy};

// SPDX-License-Identifier: Apache-2.0
// Chats: Slack, Discord and Teams, each with one coloured card per message.
#include "collector/receiver.h"
#include "collector/receiver_text.h"
#include <stdio.h>

#define SLACK_TEXT_MAX       40000
#define SLACK_SECTION_MAX    3000
#define SLACK_TITLE_MAX      1024
#define SLACK_ATTACHMENT_MAX 8000
#define DISCORD_TITLE_MAX    256
#define DISCORD_TEXT_MAX     4096
#define DISCORD_NAME_MAX     80
#define DISCORD_CONTENT_MAX  2000
#define TEAMS_TITLE_MAX      512
#define TEAMS_TEXT_MAX       6000 // of 28 KB in all, should each unit be three bytes
#define RED                  0xC0392B
#define GREEN                0x2E8B57

static unsigned colour(const struct webhook_message *m)
{
    return text_fires(m) ? RED : GREEN;
}

// The title we make, or the one given, cut to max.
static int title(const struct integration *i, const struct webhook_message *m,
    enum text_style style, size_t max, struct buf *out)
{
    struct buf whole;
    buf_init(&whole, 1u << 20);
    int rc = i->title ? buf_adds(&whole, i->title) : text_title(m, max, &whole);
    if (rc == 0)
        rc = text_add(buf_cstr(&whole), style, max, out);
    buf_done(&whole);
    return rc;
}

static int text(const struct integration *i, const struct webhook_message *m,
    enum text_style style, size_t max, struct buf *out)
{
    return i->text ? text_add(i->text, TEXT_PLAIN, max, out) : text_alerts(m, style, max, out);
}

// `"name":value` of what was made in piece; piece is empty afterwards.
static void add_piece(const char *name, struct buf *piece, struct buf *out)
{
    text_pair(name, buf_cstr(piece), out);
    if (piece->failed)
        out->failed = piece->failed;
    buf_reset(piece);
}

static void pair_if(const char *name, const char *value, struct buf *out)
{
    if (value && *value)
        text_pair(name, value, out);
}

// What Alertmanager sends, for those who say themselves what is to stand in it: an attachment.
static bool own_words(const struct integration *i)
{
    const char *const said[] = {i->title, i->text, i->chat.color, i->chat.title_link,
        i->chat.pretext, i->chat.footer, i->chat.fallback, i->chat.callback_id,
        i->chat.image_url, i->chat.thumb_url, i->chat.fields, i->chat.actions};
    for (size_t k = 0; k < sizeof(said) / sizeof(said[0]); k++)
        if (said[k])
            return true;
    return false;
}

static void slack_attachment(
    const struct integration *i, const struct webhook_message *m, struct buf *body)
{
    struct buf piece;
    char hex[8];
    buf_init(&piece, 1u << 20);
    snprintf(hex, sizeof(hex), "#%06X", colour(m));
    if (i->chat.link_names)
        buf_adds(body, body->len > 1 ? ",\"link_names\":true" : "\"link_names\":true");
    buf_adds(body, body->len > 1 ? ",\"attachments\":[{" : "\"attachments\":[{");
    title(i, m, TEXT_ENTITIES, SLACK_TITLE_MAX, &piece);
    text_pair("fallback", i->chat.fallback ? i->chat.fallback : buf_cstr(&piece), body);
    add_piece("title", &piece, body);
    text_pair("title_link", i->chat.title_link ? i->chat.title_link : m->external_url, body);
    text(i, m, TEXT_ENTITIES, SLACK_ATTACHMENT_MAX, &piece);
    add_piece("text", &piece, body);
    text_pair("color", i->chat.color && *i->chat.color ? i->chat.color : hex, body);
    pair_if("pretext", i->chat.pretext, body);
    pair_if("footer", i->chat.footer, body);
    pair_if("callback_id", i->chat.callback_id, body);
    pair_if("image_url", i->chat.image_url, body);
    pair_if("thumb_url", i->chat.thumb_url, body);
    if (i->chat.fields)
        buf_addf(body, ",\"fields\":%s", i->chat.fields);
    if (i->chat.actions)
        buf_addf(body, ",\"actions\":%s", i->chat.actions);
    buf_adds(body, ",\"mrkdwn_in\":[\"fallback\",\"pretext\",\"text\"]}]}");
    buf_done(&piece);
}

// https://api.slack.com/messaging/webhooks; `text` is what a notification shows.
static int slack(const struct integration *i, const char *key, const struct webhook_message *m,
    struct buf *body, struct buf *path)
{
    struct buf piece;
    (void)key;
    (void)path;
    buf_init(&piece, 1u << 20);
    buf_addc(body, '{');
    pair_if("channel", i->chat.channel, body);
    pair_if("username", i->chat.username, body);
    pair_if("icon_emoji", i->chat.icon_emoji, body);
    pair_if("icon_url", i->chat.icon_url, body);
    if (own_words(i)) {
        slack_attachment(i, m, body);
        return body->failed;
    }
    title(i, m, TEXT_ENTITIES, SLACK_TEXT_MAX, &piece);
    add_piece("text", &piece, body);
    buf_addf(body, ",\"attachments\":[{\"color\":\"#%06X\",\"blocks\":[", colour(m));
    buf_adds(body, "{\"type\":\"section\",\"text\":{\"type\":\"mrkdwn\"");
    text(i, m, TEXT_ENTITIES, SLACK_SECTION_MAX, &piece);
    add_piece("text", &piece, body);
    buf_adds(body, "}},{\"type\":\"context\",\"elements\":[{\"type\":\"mrkdwn\"");
    text_add(m->external_url, TEXT_ENTITIES, SLACK_SECTION_MAX, &piece);
    add_piece("text", &piece, body);
    buf_adds(body, "}]}]}]}");
    buf_done(&piece);
    return body->failed;
}

// https://discord.com/developers/docs/resources/webhook; nobody is pinged by what a label says.
static int discord(const struct integration *i, const char *key,
    const struct webhook_message *m, struct buf *body, struct buf *path)
{
    struct buf piece;
    (void)key;
    (void)path;
    buf_init(&piece, 1u << 20);
    buf_addc(body, '{');
    if (i->chat.username && *i->chat.username) {
        text_add(i->chat.username, TEXT_PLAIN, DISCORD_NAME_MAX, &piece);
        add_piece("username", &piece, body);
    }
    pair_if("avatar_url", i->chat.icon_url, body);
    if (i->chat.content && *i->chat.content) {
        text_add(i->chat.content, TEXT_PLAIN, DISCORD_CONTENT_MAX, &piece);
        add_piece("content", &piece, body);
    }
    if (body->len > 1)
        buf_addc(body, ',');
    buf_adds(body, "\"allowed_mentions\":{\"parse\":[]},\"embeds\":[{");
    title(i, m, TEXT_PLAIN, DISCORD_TITLE_MAX, &piece);
    add_piece("title", &piece, body);
    text(i, m, TEXT_MARKDOWN, DISCORD_TEXT_MAX, &piece);
    add_piece("description", &piece, body);
    pair_if("url", m->external_url, body);
    buf_addf(body, ",\"color\":%u}]}", colour(m));
    buf_done(&piece);
    return body->failed;
}

// A line break of ours as Teams' markdown takes it.
static void add_paragraphs(const char *name, struct buf *piece, struct buf *out)
{
    struct buf wide;
    buf_init(&wide, 1u << 20);
    for (const char *c = buf_cstr(piece); *c; c++)
        buf_adds(&wide, *c == '\n' ? "\n\n" : (char[]){*c, '\0'});
    buf_reset(piece);
    add_piece(name, &wide, out);
    buf_done(&wide);
}

// The older connector's card.
static int teams(const struct integration *i, const char *key, const struct webhook_message *m,
    struct buf *body, struct buf *path)
{
    struct buf piece;
    (void)key;
    (void)path;
    buf_init(&piece, 1u << 20);
    buf_addf(body,
        "{\"@type\":\"MessageCard\",\"@context\":\"http://schema.org/extensions\","
        "\"themeColor\":\"%06X\"",
        colour(m));
    if (i->chat.summary)
        text_add(i->chat.summary, TEXT_PLAIN, TEAMS_TITLE_MAX, &piece);
    else
        title(i, m, TEXT_PLAIN, TEAMS_TITLE_MAX, &piece);
    add_piece("summary", &piece, body);
    title(i, m, TEXT_PLAIN, TEAMS_TITLE_MAX, &piece);
    add_piece("title", &piece, body);
    text(i, m, TEXT_MARKDOWN, TEAMS_TEXT_MAX, &piece);
    add_paragraphs("text", &piece, body);
    buf_adds(body, ",\"potentialAction\":[{\"@type\":\"OpenUri\",\"name\":\"Tocsin\","
                   "\"targets\":[{\"os\":\"default\"");
    text_pair("uri", m->external_url, body);
    buf_adds(body, "}]}]}");
    buf_done(&piece);
    return body->failed;
}

// What a workflow takes: an adaptive card.
static int teams_card(const struct integration *i, const char *key,
    const struct webhook_message *m, struct buf *body, struct buf *path)
{
    struct buf piece;
    (void)key;
    (void)path;
    buf_init(&piece, 1u << 20);
    buf_adds(body,
        "{\"type\":\"message\",\"attachments\":[{\"contentType\":"
        "\"application/vnd.microsoft.card.adaptive\",\"content\":{\"type\":\"AdaptiveCard\","
        "\"$schema\":\"http://adaptivecards.io/schemas/adaptive-card.json\",\"version\":\"1.4\","
        "\"msteams\":{\"width\":\"Full\"},\"body\":[{\"type\":\"TextBlock\",\"weight\":\"Bolder\","
        "\"size\":\"Medium\",\"wrap\":true");
    text_pair("color", text_fires(m) ? "Attention" : "Good", body);
    title(i, m, TEXT_PLAIN, TEAMS_TITLE_MAX, &piece);
    add_piece("text", &piece, body);
    buf_adds(body, "},{\"type\":\"TextBlock\",\"wrap\":true");
    text(i, m, TEXT_MARKDOWN, TEAMS_TEXT_MAX, &piece);
    add_paragraphs("text", &piece, body);
    buf_adds(body, "}],\"actions\":[{\"type\":\"Action.OpenUrl\",\"title\":\"Tocsin\"");
    text_pair("url", m->external_url, body);
    buf_adds(body, "}]}}]}");
    buf_done(&piece);
    return body->failed;
}

#define TEXT(name, member, standard)                                                           \
    {                                                                                          \
        name, NULL, RECEIVER_TEXT, offsetof(struct integration, member), false, standard, NULL \
    }
static const char *const SLACK_FIELD[] = {"title", "value", "short", NULL};
static const char *const SLACK_ACTION[] = {
    "type", "text", "url", "style", "name", "value", "confirm", NULL};
static const struct receiver_field SLACK_FIELDS[] = {
    {"api_url", "slack_api_url", RECEIVER_URL, offsetof(struct integration, url), true, NULL,
        NULL},
    {"channel", NULL, RECEIVER_TEXT, offsetof(struct integration, chat.channel), false, NULL,
        NULL},
    {"username", NULL, RECEIVER_TEXT, offsetof(struct integration, chat.username), false,
        "slack.default.username", NULL},
    {"icon_emoji", NULL, RECEIVER_TEXT, offsetof(struct integration, chat.icon_emoji), false,
        "slack.default.iconemoji", NULL},
    {"icon_url", NULL, RECEIVER_TEXT, offsetof(struct integration, chat.icon_url), false,
        "slack.default.iconurl", NULL},
    {"title", NULL, RECEIVER_TEXT, offsetof(struct integration, title), false,
        "slack.default.title", NULL},
    {"text", NULL, RECEIVER_TEXT, offsetof(struct integration, text), false,
        "slack.default.text", NULL},
    TEXT("color", chat.color, NULL),
    TEXT("title_link", chat.title_link, "slack.default.titlelink"),
    TEXT("pretext", chat.pretext, "slack.default.pretext"),
    TEXT("footer", chat.footer, "slack.default.footer"),
    TEXT("fallback", chat.fallback, "slack.default.fallback"),
    TEXT("callback_id", chat.callback_id, "slack.default.callbackid"),
    TEXT("image_url", chat.image_url, NULL),
    TEXT("thumb_url", chat.thumb_url, NULL),
    {"link_names", NULL, RECEIVER_BOOL, offsetof(struct integration, chat.link_names), false,
        NULL, NULL},
    {"fields", NULL, RECEIVER_LIST, offsetof(struct integration, chat.fields), false, NULL,
        SLACK_FIELD},
    {"actions", NULL, RECEIVER_LIST, offsetof(struct integration, chat.actions), false, NULL,
        SLACK_ACTION},
    {0},
};
static const char *const SLACK_NOT_YET[] = {"short_fields", "mrkdwn_in", "app_token",
    "app_token_file", "app_url", "update_message", NULL};

const struct receiver_kind RECEIVER_SLACK = {.name = "slack",
    .key = "slack_configs",
    .fields = SLACK_FIELDS,
    .not_yet = SLACK_NOT_YET,
    .make = slack};

static const struct receiver_field DISCORD_FIELDS[] = {
    {"webhook_url", NULL, RECEIVER_URL, offsetof(struct integration, url), true, NULL, NULL},
    {"title", NULL, RECEIVER_TEXT, offsetof(struct integration, title), false,
        "discord.default.title", NULL},
    {"message", NULL, RECEIVER_TEXT, offsetof(struct integration, text), false,
        "discord.default.message", NULL},
    TEXT("content", chat.content, "discord.default.content"),
    {"username", NULL, RECEIVER_TEXT, offsetof(struct integration, chat.username), false, NULL,
        NULL},
    {"avatar_url", NULL, RECEIVER_TEXT, offsetof(struct integration, chat.icon_url), false,
        NULL, NULL},
    {0},
};
static const char *const DISCORD_NOT_YET[] = {NULL};

const struct receiver_kind RECEIVER_DISCORD = {.name = "discord",
    .key = "discord_configs",
    .send_resolved = true,
    .fields = DISCORD_FIELDS,
    .not_yet = DISCORD_NOT_YET,
    .make = discord};

static const struct receiver_field TEAMS_FIELDS[] = {
    {"webhook_url", NULL, RECEIVER_URL, offsetof(struct integration, url), true, NULL, NULL},
    {"title", NULL, RECEIVER_TEXT, offsetof(struct integration, title), false,
        "msteams.default.title", NULL},
    {"text", NULL, RECEIVER_TEXT, offsetof(struct integration, text), false,
        "msteams.default.text", NULL},
    TEXT("summary", chat.summary, "msteams.default.summary"),
    {0},
};
// A card has no summary.
static const struct receiver_field TEAMS_CARD_FIELDS[] = {
    {"webhook_url", NULL, RECEIVER_URL, offsetof(struct integration, url), true, NULL, NULL},
    TEXT("title", title, "msteamsv2.default.title"),
    TEXT("text", text, "msteamsv2.default.text"),
    {0},
};
static const char *const TEAMS_NOT_YET[] = {NULL};

const struct receiver_kind RECEIVER_TEAMS = {.name = "msteams",
    .key = "msteams_configs",
    .send_resolved = true,
    .fields = TEAMS_FIELDS,
    .not_yet = TEAMS_NOT_YET,
    .make = teams};

const struct receiver_kind RECEIVER_TEAMS_CARD = {.name = "msteamsv2",
    .key = "msteamsv2_configs",
    .send_resolved = true,
    .fields = TEAMS_CARD_FIELDS,
    .not_yet = TEAMS_NOT_YET,
    .make = teams_card};

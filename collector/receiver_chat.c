// SPDX-License-Identifier: Apache-2.0
// Chats: Slack, Discord and Teams, each with one coloured card per message.
#include "collector/receiver.h"
#include "collector/receiver_text.h"

#define SLACK_TEXT_MAX    40000
#define SLACK_SECTION_MAX 3000
#define DISCORD_TITLE_MAX 256
#define DISCORD_TEXT_MAX  4096
#define DISCORD_NAME_MAX  80
#define TEAMS_TITLE_MAX   512
#define TEAMS_TEXT_MAX    6000 // of 28 KB in all, should each unit be three bytes
#define RED               0xC0392B
#define GREEN             0x2E8B57

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

static const struct receiver_field SLACK_FIELDS[] = {
    {"api_url", "slack_api_url", RECEIVER_URL, offsetof(struct integration, url), true},
    {"channel", NULL, RECEIVER_TEXT, offsetof(struct integration, chat.channel), false},
    {"username", NULL, RECEIVER_TEXT, offsetof(struct integration, chat.username), false},
    {"icon_emoji", NULL, RECEIVER_TEXT, offsetof(struct integration, chat.icon_emoji), false},
    {"icon_url", NULL, RECEIVER_TEXT, offsetof(struct integration, chat.icon_url), false},
    {"title", NULL, RECEIVER_TEXT, offsetof(struct integration, title), false},
    {"text", NULL, RECEIVER_TEXT, offsetof(struct integration, text), false},
    {0},
};
static const char *const SLACK_NOT_YET[] = {"color", "title_link", "pretext", "fields",
    "short_fields", "footer", "fallback", "callback_id", "image_url", "thumb_url", "link_names",
    "mrkdwn_in", "actions", "app_token", "app_token_file", "app_url", "update_message", NULL};

const struct receiver_kind RECEIVER_SLACK = {.name = "slack",
    .key = "slack_configs",
    .fields = SLACK_FIELDS,
    .not_yet = SLACK_NOT_YET,
    .make = slack};

static const struct receiver_field DISCORD_FIELDS[] = {
    {"webhook_url", NULL, RECEIVER_URL, offsetof(struct integration, url), true},
    {"title", NULL, RECEIVER_TEXT, offsetof(struct integration, title), false},
    {"message", NULL, RECEIVER_TEXT, offsetof(struct integration, text), false},
    {"username", NULL, RECEIVER_TEXT, offsetof(struct integration, chat.username), false},
    {"avatar_url", NULL, RECEIVER_TEXT, offsetof(struct integration, chat.icon_url), false},
    {0},
};
static const char *const DISCORD_NOT_YET[] = {"content", NULL};

const struct receiver_kind RECEIVER_DISCORD = {.name = "discord",
    .key = "discord_configs",
    .send_resolved = true,
    .fields = DISCORD_FIELDS,
    .not_yet = DISCORD_NOT_YET,
    .make = discord};

static const struct receiver_field TEAMS_FIELDS[] = {
    {"webhook_url", NULL, RECEIVER_URL, offsetof(struct integration, url), true},
    {"title", NULL, RECEIVER_TEXT, offsetof(struct integration, title), false},
    {"text", NULL, RECEIVER_TEXT, offsetof(struct integration, text), false},
    {0},
};
static const char *const TEAMS_NOT_YET[] = {"summary", NULL};

const struct receiver_kind RECEIVER_TEAMS = {.name = "msteams",
    .key = "msteams_configs",
    .send_resolved = true,
    .fields = TEAMS_FIELDS,
    .not_yet = TEAMS_NOT_YET,
    .make = teams};

const struct receiver_kind RECEIVER_TEAMS_CARD = {.name = "msteamsv2",
    .key = "msteamsv2_configs",
    .send_resolved = true,
    .fields = TEAMS_FIELDS,
    .not_yet = TEAMS_NOT_YET,
    .make = teams_card};

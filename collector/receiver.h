// SPDX-License-Identifier: Apache-2.0
/*
 * The ways to tell somebody: one struct receiver_kind per message format, one table of them. A kind says
 * which keys it has in the configuration and makes the body of a message; it knows neither files
 * nor sockets. receiver_wire.h moves the bytes.
 *
 *     slack_configs:            kind "slack": keys read by config_receiver.c into
 *       - channel: '#ops'   --> struct integration --> make(message) --> body, path of the URL
 *
 * Kinds with one_alert get a message per alert instead of one per group: an incident at PagerDuty or
 * Opsgenie is opened and closed by the alert it is about.
 *
 * Integrations live in the configuration and never change. Sources: the services' own API
 * documentation, and Alertmanager's for the keys.
 */
#pragma once
#include "base/buf.h"
#include "collector/repair_desk.h"
#include "collector/webhook.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A secret: in a file, or (Alertmanager's older way) in the configuration itself. Both NULL: none.
struct receiver_secret {
    const char *text, *file;
};
// http_config and its parts.
struct receiver_http {
    const char *user; // basic_auth
    struct receiver_secret password;
    const char *scheme; // of authorization; NULL = Bearer
    struct receiver_secret credentials;
    const char *ca_file, *cert_file, *key_file;
    bool insecure_skip_verify;
};
struct message_text;
struct integration {
    const struct receiver_kind *kind;
    size_t number; // among those of its kind in the receiver
    struct receiver_secret url;
    struct receiver_secret key; // the service's: routing key, API key, bot token, mail password
    const char *secret_file;    // signs what is sent, see sign.h
    struct receiver_http http;
    bool send_resolved, insecure;     // insecure: http beyond this machine is wanted
    bool get;                         // a heartbeat that is a GET, without a body
    bool standard, templated;         // webhooks: format standard, template
    size_t max_alerts;                // 0 = all
    int64_t timeout_ms;               // of one try
    const char *title, *text;         // instead of ours
    const char *body;                 // of a webhook, instead of Alertmanager's
    const struct message_text *texts; // templates, of which the texts here are made
    struct {
        const char *channel, *username, *icon_emoji, *icon_url, *chat_id, *topic, *parse_mode;
        const char *color, *title_link, *pretext, *footer, *fallback, *callback_id, *image_url,
            *thumb_url, *content, *summary;
        const char *fields, *actions; // lists, as JSON
        bool silently, link_names;
    } chat;
    struct {
        const char *client, *client_url, *severity, *component, *group, *class, *source, *tags,
            *priority, *entity;
        const char *note;
        const char *responders, *details, *links, *images, *actions; // as JSON
    } incident;
    struct {
        const char *to, *from, *smarthost, *hello, *user, *subject, *html;
        const char *headers; // a map, as JSON
        bool require_tls;
    } mail;
    struct repair_terms repair;
};

enum receiver_type {
    RECEIVER_TEXT,    // may hold a template
    RECEIVER_FIXED,   // no template
    RECEIVER_HTML,    // a template of HTML
    RECEIVER_MESSAGE, // the same if parse_mode is HTML
    RECEIVER_BODY,    // a template of JSON
    RECEIVER_MAP,     // names and texts, kept as JSON; these two may hold templates
    RECEIVER_LIST,    // of maps with these keys, kept as JSON
    RECEIVER_SECRET,  // NAME or NAME_file
    RECEIVER_URL,     // the same, and an http URL
    RECEIVER_BOOL,
    RECEIVER_NUMBER,     // kept as text
    RECEIVER_RESPONDERS, // a list of maps, kept as JSON
    RECEIVER_FORMAT,     // alertmanager, standard or template
    RECEIVER_PARSE_MODE, // HTML or none
    RECEIVER_REPAIR,     // a key of repair_configs, see config_repair
};
struct receiver_field {
    const char *name, *global; // global: the key of `global` that fills it in; NULL = none
    enum receiver_type type;
    size_t offset; // in struct integration
    bool needed;
    const char *standard; // what Alertmanager calls the template of the text it has by itself
    const char *const *keys; // of RECEIVER_LIST
};
struct receiver_kind {
    const char *name, *key; // "slack", "slack_configs"
    const char *url;        // where none is given; NULL = has to be
    const char *auth; // scheme under which key goes into Authorization; NULL = it does not
    bool send_resolved, one_alert, mail;
    bool repair; // no message: its lane hands to the repair desk
    const struct receiver_field *fields;
    const char *const *not_yet; // keys Alertmanager has and we do not; NULL at the end
    // key: the secret's text, "" if there is none. path is added to the URL, and stays empty
    // mostly. 0, -EMSGSIZE, -ENOMEM.
    int (*make)(const struct integration *i, const char *key, const struct webhook_message *m,
        struct buf *body, struct buf *path);
};

extern const struct receiver_kind RECEIVER_WEBHOOK, RECEIVER_SLACK, RECEIVER_DISCORD,
    RECEIVER_TEAMS, RECEIVER_TEAMS_CARD, RECEIVER_PAGERDUTY, RECEIVER_OPSGENIE,
    RECEIVER_TELEGRAM, RECEIVER_NTFY, RECEIVER_EMAIL, RECEIVER_REPAIRS;
#define RECEIVER_KINDS 11
extern const struct receiver_kind *const RECEIVERS[RECEIVER_KINDS];

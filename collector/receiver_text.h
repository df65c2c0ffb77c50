// SPDX-License-Identifier: Apache-2.0
/*
 * A message as people read it in a chat, a mail or on a phone: one line that says what it is, and one
 * line per alert, what fires first. Lengths are counted as these services count them, in UTF-16
 * units, and cut between characters, never inside one, nor inside what was escaped.
 *
 *     [FIRING:2] ServiceDown api
 *     FIRING ServiceDown instance=web-1 severity=page: api does not answer (since 2026-11-25 08:30:00 UTC)
 *
 * Pure.
 */
#pragma once
#include "collector/webhook.h"

enum text_style {
    TEXT_PLAIN,
    TEXT_ENTITIES, // & < > as Slack and HTML want them
    TEXT_MARKDOWN, // what Discord and Teams would read as markup gets a backslash
};

size_t text_units(const char *s, size_t len);
// The text, or as much as fits into max units with "…" at its end.
int text_add(const char *s, enum text_style style, size_t max, struct buf *out);
int text_title(const struct webhook_message *m, size_t max, struct buf *out);
int text_alerts(
    const struct webhook_message *m, enum text_style style, size_t max, struct buf *out);
bool text_fires(const struct webhook_message *m); // one alert does
// What the alert says of itself: its annotation summary, description or message, or "".
const char *text_summary(const struct webhook_alert *a);
// `"name":text` with a comma where one is needed.
int text_pair(const char *name, const char *text, struct buf *out);

// SPDX-License-Identifier: Apache-2.0
/*
 * The templates of an integration: texts of the configuration that are rendered for each message.
 * A kind of receiver knows nothing of them: it is handed a copy of its integration in which each
 * text is what came out, or, where a template failed, NULL: then the kind says what it says by
 * itself. So a message goes out whatever its templates do.
 *
 *     struct integration --+ message_texts --> struct integration, texts filled in --> kind->make
 *     its message_text ----+
 *
 * Made by config_template.c in the configuration's arena, unchanging afterwards.
 */
#pragma once
#include "base/arena.h"
#include "collector/receiver.h"
#include "rules/template_set.h"

// A value of which some texts are templates, shown to the receiver as JSON.
struct text_tree {
    enum { TEXT_TREE_TEXT, TEXT_TREE_RAW, TEXT_TREE_MAP, TEXT_TREE_LIST } kind;
    const char *key;          // in a map
    const char *text;         // as it is; RAW: JSON
    const struct template *t; // or rendered
    struct text_tree *items, *next;
};
struct message_text {
    const char *key; // in the configuration
    size_t offset;   // of the const char * in struct integration
    enum template_escape escape;
    const struct template *t;     // one of the two
    const struct text_tree *tree; // is JSON
    const char *text;             // t as it was written, for the log
    const struct message_text *next;
};
// What went wrong with the texts of a message; text is "" when nothing did.
struct message_trouble {
    unsigned count;
    char text[320];
};
// Texts live in the arena. 0; -EMSGSIZE: with fewer alerts there would be a text; -ENOMEM. What fails
// otherwise is told in trouble.
int message_texts(const struct integration *i, const struct webhook_message *m, int64_t now_ms,
    struct arena *a, struct integration *ret, struct message_trouble *trouble);

// For checks at load: one text against a message. Returns as template_render does; text that should be
// JSON and is not gives -EINVAL.
struct message_view;
struct message_view *message_view(
    const struct webhook_message *m, int64_t now_ms, struct arena *a); // NULL: no memory
int message_text_render(const struct template *t, enum template_escape escape,
    const struct message_view *v, struct buf *out, struct template_fault *fault);
// What is wrong with it whatever the alerts are.
int message_text_explore(const struct template *t, enum template_escape escape,
    const struct message_view *v, struct template_fault *fault);

// SPDX-License-Identifier: Apache-2.0
/*
 * An integration on the wire: its URL and secrets, read from their files when it is opened, and what
 * libcurl is told for one try. A message is POSTed, a mail is spoken as SMTP. Redirects are never
 * followed, and nothing here gets into a log.
 *
 * Headers: those of Standard Webhooks (webhook-id is the delivery key, the same over retries and
 * restarts for the same content; webhook-timestamp is of the try; webhook-signature when there is a
 * secret), Idempotency-Key, Tocsin-Cause-Ms (newest sample time that made a member change),
 * Tocsin-Decided-Ms, Tocsin-Durable: false when the journal does not have it yet, and
 * Tocsin-Fallback-For: the receiver in whose place this one is told.
 *
 * Belongs to the notify thread. The integration is borrowed.
 */
#pragma once
#include "base/err.h"
#include "collector/deliver.h"
#include "collector/receiver.h"
#include <curl/curl.h>

struct receiver_wire;
// 0; -errno with err, which names the file but not what is in it.
int receiver_wire_open(
    const struct integration *i, struct receiver_wire **ret, struct err *err);
void receiver_wire_close(struct receiver_wire *w); // NULL allowed
// Whether both reach the same receiver in the same way, with the same secrets.
bool receiver_wire_same(const struct receiver_wire *a, const struct receiver_wire *b);
// i says the same as its integration does, of another configuration. Also while a try is under way.
void receiver_wire_move(struct receiver_wire *w, const struct integration *i);
// For deliver_options: ctx is the struct receiver_wire.
int receiver_wire_make(
    void *ctx, const struct webhook_message *m, struct buf *body, struct buf *path);
// Before a message is made: what `since` of templates counts to. Forgets the last one's trouble.
void receiver_wire_now(struct receiver_wire *w, int64_t wall_ms);
// What failed when the last message was made, "" mostly: its own text went out instead.
const char *receiver_wire_trouble(const struct receiver_wire *w);
// All that is the same for every try. 0; -EINVAL with err.
int receiver_wire_setup(struct receiver_wire *w, CURL *easy, struct err *err);
// What is of this try. The message stays until the try has ended. False: no memory.
bool receiver_wire_try(struct receiver_wire *w, CURL *easy, const struct deliver_message *m,
    int64_t wall_ms, bool durable);
// What is kept of a message or shown of an answer holds no secret: see mask.h. The key of today is put
// back into what is sent again. 0; -EINVAL: cannot be masked; -EMSGSIZE, -ENOMEM.
int receiver_wire_mask(
    const struct receiver_wire *w, const void *data, size_t len, bool json, struct buf *out);
int receiver_wire_unmask(
    const struct receiver_wire *w, const void *data, size_t len, bool json, struct buf *out);
bool receiver_wire_has_key(const struct receiver_wire *w); // else there is nothing to mask
void receiver_wire_hide(const struct receiver_wire *w, char *text); // in place
// Scheme and host of the URL, the rest of it masked; "" without memory.
const char *receiver_wire_to(const struct receiver_wire *w);
// How it ended, as an HTTP status; 0 = no answer.
int receiver_wire_status(const struct receiver_wire *w, CURL *easy, CURLcode code);

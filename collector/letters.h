// SPDX-License-Identifier: Apache-2.0
/*
 * Dead letters: messages that were given up, kept whole until a person sends them again or dismisses
 * them.
 *
 *     given up --> letters, oldest first --> replayed | dismissed | told after all
 *                    |  LETTERS_MAX, LETTERS_BYTES_MAX: the oldest make room, counted
 *
 * The same content given up again (after a restart) takes its older letter's place. Body and path are
 * as they were sent but for the receiver's key, which is masked (receiver_wire_mask) and put back when
 * they are sent again. Letters outlive a restart in alerts.db (delivery_rows.h).
 *
 * Owns its letters, each one block. Belongs to the notify thread.
 */
#pragma once
#include "collector/delivery.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LETTERS_MAX       1000
#define LETTERS_BYTES_MAX (16u << 20)

struct letter_alert {
    uint64_t alert_id, fingerprint;
    uint64_t resolved; // 0, 1; a number, since alerts stand in files as they are here
};
struct letter {
    uint64_t id;                            // of its row in the log
    const char *lane, *receiver, *key, *to; // see struct delivery
    const char *path;                       // what the URL ends in, masked
    const char *why;                        // it was given up; masked
    int64_t at_ms, cause_ms, decided_ms;
    int64_t status, tries;
    const struct letter_alert *alerts; // that changed
    size_t n_alerts;
    const char *body; // masked
    size_t body_len;
};
struct letter *letter_copy(const struct letter *l); // one block, for free(). NULL: no memory
size_t letter_bytes(const struct letter *l);

struct letters { // all zero is empty
    struct letter **l;
    size_t n, cap, bytes;
    uint64_t lost; // that made room for others, or were too large to keep
};
void letters_done(struct letters *s);
// Takes l over, also on failure. gone is called for each that is kept no more, before it is freed.
// 0; -EMSGSIZE: too large to keep; -ENOMEM.
int letters_add(struct letters *s, struct letter *l,
    void (*gone)(void *ctx, const struct letter *l), void *ctx);
const struct letter *letters_get(const struct letters *s, uint64_t id); // NULL: none
const struct letter *letters_find(const struct letters *s, const char *lane, const char *key);
bool letters_remove(struct letters *s, uint64_t id);
size_t letters_of(const struct letters *s, const char *lane); // how many

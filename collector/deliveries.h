// SPDX-License-Identifier: Apache-2.0
/*
 * The book of what was sent: numbers each message, has the journal write its row of the delivery log,
 * and keeps the dead letters and what became of the last errands.
 *
 *     lane --row--> journal (delivery)          answers of /api/v1/hooks: letters, errands
 *          --given up--> letters --> journal (letter)
 *
 * A row of the log is worth less than a page: while the disk refuses none is written, and counted.
 * Letters are always handed to the journal. Without a journal there is no log, and letters live as long
 * as the program.
 *
 * Belongs to the notify thread.
 */
#pragma once
#include "collector/delivery.h"
#include "collector/journal.h"
#include "collector/letters.h"

#define DELIVERIES_RECENT 256 // errands whose end is remembered

struct deliveries_options {
    struct journal *journal; // opened, not started; NULL: nothing is kept
    // What this turn has written so far, made on first use; NULL: no memory.
    struct journal_write *(*writing)(void *ctx);
    void *ctx;
};
struct deliveries;
struct deliveries *deliveries_new(
    const struct deliveries_options *o);      // reads letters; NULL: no memory
void deliveries_free(struct deliveries *d);   // NULL allowed
uint64_t deliveries_id(struct deliveries *d); // for the next message
// Takes the row over; NULL allowed (no memory for it).
void deliveries_log(struct deliveries *d, struct delivery *row);
// Copies the letter.
void deliveries_bury(struct deliveries *d, const struct letter *l);
// The letter is told or dismissed. False: there is none.
bool deliveries_settle(struct deliveries *d, uint64_t id);
// The receiver took a message with this key after all: a letter that says the same is settled.
void deliveries_told(struct deliveries *d, const char *lane, const char *key);
const struct letters *deliveries_letters(const struct deliveries *d);
// How the errand ended, or stands; NULL: not tried yet, or longer ago than DELIVERIES_RECENT others.
const struct delivery *deliveries_recent(const struct deliveries *d, uint64_t id);
uint64_t deliveries_unlogged(const struct deliveries *d); // rows that were not written

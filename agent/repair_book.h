// SPDX-License-Identifier: Apache-2.0
/*
 * What this host has been asked to run, and what became of it: the reason that nothing is run twice,
 * and nothing oftener than its budget. Pure: times come in, a verdict comes out; the executor keeps
 * the book's lines in a file.
 *
 *     request --> known id? -------- its answer, again
 *                 too old? --------- expired
 *                 on the list? ----- not listed, bad parameter
 *                 same action runs - busy
 *                 budget left? ----- over budget
 *                 else               run: the line is on disk before the process is made
 *
 * A line: "2 ID ACTION STARTED_WALL_MS OUTCOME CODE DURATION_MS". One that was started and has no end
 * when the file is read again is lost: nobody knows how it went, and it is not run again.
 *
 * Refusals are not remembered: nothing was run. Times: mono for what expires, wall for the budget, which
 * has to outlive a restart; a start in the future counts as one of the last hour.
 */
#pragma once
#include "agent/repair_list.h"
#include "base/buf.h"

#define REPAIR_BOOK_MAX 2048 // ids; the oldest go, none younger than an hour
#define REPAIR_LINE_MAX 256

struct repair_book;
struct repair_book *repair_book_new(
    const struct repair_action *list, size_t n); // the list is borrowed; NULL: no memory
void repair_book_free(struct repair_book *b);    // NULL allowed

// The action to run: it counts as started. NULL: *ret is the answer, valid until the next call.
const struct repair_action *repair_book_ask(struct repair_book *b, const struct wire_repair *r,
    int64_t expires_ns, int64_t now_ns, int64_t wall_ms, struct wire_repair_result *ret);
// How what was started ended. id, outcome, code and duration are kept, the rest is not.
void repair_book_end(struct repair_book *b, const struct wire_repair_result *r);
// The id's newest line, to be appended to the file.
int repair_book_line(const struct repair_book *b, const char *id, struct buf *out);
// A line of the file, without its end. False: it is none of ours. wall_ms: older than a day is passed
// over. Before the first question.
bool repair_book_read(struct repair_book *b, const char *line, int64_t wall_ms);
// All lines were read: what has no end has none any more.
void repair_book_opened(struct repair_book *b);
// The whole book as lines.
int repair_book_print(const struct repair_book *b, struct buf *out);
size_t repair_book_count(const struct repair_book *b);

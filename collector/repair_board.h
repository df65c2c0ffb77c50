// SPDX-License-Identifier: Apache-2.0
/*
 * What other threads see of repairs: the episodes as they stand, and how many attempts there were. Written
 * by the notify thread, read by the shard for status, metrics and RepairGaveUp; behind a mutex for the
 * reasons of board.h. Bounded: those beyond REPAIR_ROWS_MAX are only counted.
 */
#pragma once
#include "base/buf.h"
#include "collector/repair_desk.h"

#define REPAIR_ROWS_MAX 256

struct repair_row {
    char receiver[128], instance[256], action[WIRE_REPAIR_ACTION_MAX + 1], alert[256];
    enum repair_state state;
    unsigned attempts, give_up_after;
    int outcome;
    int32_t code;
    uint32_t duration_ms;
    char output[WIRE_REPAIR_OUTPUT_MAX + 1], reason[WIRE_DETAIL_MAX + 1], why[64];
};
struct repair_board;
struct repair_board *repair_board_new(void); // NULL: no memory
void repair_board_free(struct repair_board *b);
// All of the desk anew; what gave up stands first.
void repair_board_set(struct repair_board *b, const struct repair_desk *d);
// Returns how many were written; stats may be NULL. b NULL: none.
size_t repair_board_read(
    struct repair_board *b, struct repair_row *ret, size_t max, struct repair_stats *ret_stats);
// A list of objects for the status.
void repair_board_json(struct repair_board *b, struct buf *out);
// tocsin_repair_* in the text exposition format.
void repair_board_metrics(struct repair_board *b, struct buf *out);

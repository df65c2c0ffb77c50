// SPDX-License-Identifier: Apache-2.0
/*
 * The acknowledgements as the page shows them. The notify thread makes a list that never changes, the shard
 * reads the newest one; shared by a count, behind a mutex for the reasons of board.h. Those beyond
 * ACK_BOARD_MAX are not shown.
 */
#pragma once
#include "collector/ack.h"

#define ACK_BOARD_MAX 1000

struct ack_board;
struct ack_list;                       // owns its text
struct ack_board *ack_board_new(void); // NULL: no memory
void ack_board_free(struct ack_board *b);
// All of them anew. False: no memory, the board stays as it was.
bool ack_board_set(struct ack_board *b, const struct acks *all);
const struct ack_list *ack_board_read(struct ack_board *b); // NULL: none; ack_list_free
const struct ack *ack_list_find(const struct ack_list *l, uint64_t alert_id); // NULL
void ack_list_free(const struct ack_list *l);                                 // NULL allowed

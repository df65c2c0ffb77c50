// SPDX-License-Identifier: Apache-2.0
/*
 * What `tocsin top` knows and how it looks: live messages in, a picture out. Pure but for the
 * FILE it draws on; the terminal and the connection are top.c's.
 */
#pragma once
#include "base/buf.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define TOP_SUBS 7 // subscriptions 1 to TOP_SUBS

struct top_view;
struct top_view *top_view_new(const char *filter); // copied; NULL = all. NULL: no memory
void top_view_free(struct top_view *v);
// The command that subscribes to number sub, 1 to TOP_SUBS.
int top_view_subscribe(const struct top_view *v, unsigned sub, struct buf *out);
// False for what is no live message, or when there is no memory for it.
bool top_view_message(struct top_view *v, const uint8_t *message, size_t len);
// Everything a whole picture needs has come.
bool top_view_complete(const struct top_view *v);
bool top_view_has_state(const struct top_view *v); // alerts and agents, services maybe not
void top_view_lost(struct top_view *v, const char *why); // connection gone; NULL = it is back

struct top_size {
    size_t columns, rows; // 0 = as large as it gets
};
bool top_view_draw(const struct top_view *v, struct top_size size, bool color, FILE *out);
bool top_view_json(const struct top_view *v, FILE *out);

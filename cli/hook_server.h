// SPDX-License-Identifier: Apache-2.0
/*
 * A small webhook receiver on 127.0.0.1: answers 200 and prints what came, flushed line by line.
 * Several connections with keep-alive; the one idle longest makes room when there are too many,
 * so that a sender that opens and forgets cannot lock others out. Belongs to its loop's thread.
 */
#pragma once
#include "base/err.h"
#include "base/loop.h"
#include "cli/hook_line.h"
#include <stdio.h>

#define HOOK_CONNECTIONS_MAX 64

struct hook_server;
// port 0 = any. NULL with err. loop and out are borrowed.
struct hook_server *hook_server_new(struct loop *loop, uint16_t port,
    const struct hook_line_options *o, FILE *out, struct err *err);
uint16_t hook_server_port(const struct hook_server *s); // really bound
void hook_server_free(struct hook_server *s);           // NULL allowed; before the loop

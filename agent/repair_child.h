// SPDX-License-Identifier: Apache-2.0
/*
 * One running action: a process in a group of its own, with its output on a pipe and a time by which
 * it has to be done. Of the output the first WIRE_REPAIR_OUTPUT_MAX bytes are kept, the rest is read
 * and dropped, so that no action waits for a reader. At its timeout the group gets SIGTERM, and
 * SIGKILL CHILD_KILL_MS later; nothing but that group is ever signalled.
 *
 * An action may leave a service behind that holds on to the pipe: it is drained on until that ends
 * too, because a pipe without a reader would kill the service at its next line.
 *
 * Belongs to the executor's loop.
 */
#pragma once
#include "agent/repair_list.h"
#include "base/err.h"
#include "base/loop.h"

#define CHILD_KILL_MS 2000

struct repair_child;
// The process has ended. outcome, code, duration and output are filled in; id is not. Pointers live until
// it returns.
typedef void repair_child_fn(void *ctx, const struct wire_repair_result *r);
// NULL with err. argv and env are read before it returns; the action is borrowed until done.
struct repair_child *repair_child_start(struct loop *loop, const struct repair_action *a,
    char *const *argv, char *const *env, repair_child_fn *done, void *ctx, struct err *err);
// False: nobody holds its output any more, and it may be freed.
bool repair_child_open(const struct repair_child *c);
bool repair_child_running(const struct repair_child *c);
void repair_child_free(struct repair_child *c); // NULL allowed; the process is left alone

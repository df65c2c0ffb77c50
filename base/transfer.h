// SPDX-License-Identifier: Apache-2.0
/*
 * libcurl's multi interface driven by our loop: it asks for sockets to be watched and for one
 * timer, and never waits itself. Shared by all who send in a loop; each puts a struct transfer behind
 * its easy handle and is called when that is through. Belongs to the loop's thread.
 */
#pragma once
#include "base/loop.h"
#include <curl/curl.h>

struct transfers;
struct transfer {
    // May start the same or other transfers again. The handle is out of the multi by then.
    void (*done)(struct transfer *t, CURLcode result);
};

// turn is called after each step in which transfers may have ended; NULL = nobody has to know. The
// loop outlives it. NULL: memory.
struct transfers *transfers_new(struct loop *loop, void (*turn)(void *ctx), void *ctx);
void transfers_free(struct transfers *m); // stop all transfers first
// Idle connections that are kept. Without it libcurl keeps four for each transfer that runs, which are
// too few for many that take turns.
void transfers_keep(struct transfers *m, long connections);
// Easy options are the caller's, but CURLOPT_PRIVATE. 0 or -ENOMEM.
int transfer_start(struct transfers *m, CURL *easy, struct transfer *t);
void transfer_stop(
    struct transfers *m, CURL *easy); // without calling done; one not running is fine

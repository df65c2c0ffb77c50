// SPDX-License-Identifier: Apache-2.0
/*
 * libcurl's transfers in a loop of ours: its sockets and its timer are the loop's, and after each step
 * `turn` is called, which takes what has ended and starts what is due. Belongs to the loop's thread.
 */
#pragma once
#include "base/clock.h"
#include "base/loop.h"
#include <curl/curl.h>

struct transfers;
// loop and clock outlive it. NULL: no memory.
struct transfers *transfers_new(
    struct loop *loop, struct clock clock, void (*turn)(void *ctx), void *ctx);
// Every easy handle has been taken out before. NULL allowed.
void transfers_free(struct transfers *t);
CURLM *transfers_multi(struct transfers *t);
// Each transfer that has ended since this was last called; fn removes its handle.
void transfers_reap(
    struct transfers *t, void (*fn)(void *ctx, CURL *easy, CURLcode code), void *ctx);

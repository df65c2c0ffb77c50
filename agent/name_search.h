// SPDX-License-Identifier: Apache-2.0
/*
 * Naming for samplers that look at many sockets and seldom meet a new one: the memory of naming.h is
 * there only while somebody waits for a name, and searches have a share of the time.
 *
 *     a look --> name_search_naming, naming_add for who is new --> name_search_looked
 *                                                                        |
 *     next look: naming_is_done, or searched <-- slices of 2 ms <-- a timer, now or when the last
 *                                                                   search has been paid for
 *
 * What a search took, times NAME_SEARCH_SHARE, must pass before the next one: sockets come in bursts
 * (a login, a test suite), and each search looks through all of /proc.
 *
 * One owner, a sampler; loop thread.
 */
#pragma once
#include "agent/naming.h"
#include "agent/sampler.h"

#define NAME_SEARCH_SHARE 20 // at most a 20th of a core

struct name_search {
    struct sampler *sampler;
    struct naming naming;
    bool has_naming; // its memory is there
    struct loop_timer *timer;
    int64_t after_ns; // of the loop's clock: no search before
    void (*over)(void *ctx);
    void *ctx;
};

// over: called when a search has ended, before who waits is looked at again; NULL allowed. 0, -ENOMEM.
int name_search_init(
    struct name_search *s, struct sampler *sampler, void (*over)(void *ctx), void *ctx);
void name_search_done(struct name_search *s); // also what was only zeroed
// For a look to add to. NULL: out of memory. Valid until name_search_looked.
struct naming *name_search_naming(struct name_search *s);
// A whole look is over: who is not in the view is gone, the others are searched for soon. As naming_keep.
void name_search_looked(
    struct name_search *s, bool (*has)(const void *view, uint64_t cookie), const void *view);

// SPDX-License-Identifier: Apache-2.0
/*
 * Dumps of the kernel's UNIX stream sockets: those that listen are kept, connections are told one by
 * one, for they may be a hundred thousand.
 *
 *     unix_view_begin --> unix_view_read, a datagram each --> 1: whole
 *
 * Reading goes on at the caller's pace, so that a large table is read in slices; a dump that failed is
 * over. Owned by unix.listen, loop thread; the memory grows to what was needed and stays.
 */
#pragma once
#include "agent/netlink.h"
#include "agent/unixdiag.h"

#define UNIX_VIEW_MAX 4096

struct unix_view {
    struct netlink netlink;
    struct unixdiag *sockets; // that listen, so far
    size_t n, cap;
    bool reading;          // a dump is under way
    bool with_connections; // that one, or the last
    // A connection to whoever listens at the name with that hash (unixdiag_hash).
    void (*connection)(void *ctx, uint64_t name_hash);
    void *ctx;
};

// Reads the table once, to know that this kernel can. 0, -errno; unix_view_close either way.
int unix_view_open(struct unix_view *v);
void unix_view_close(struct unix_view *v);
int unix_view_begin(struct unix_view *v, bool with_connections); // 0, -errno
// 1 = the dump is whole, 0 = there is more; -ENOMEM, also for more than UNIX_VIEW_MAX; -errno.
int unix_view_read(struct unix_view *v);
// Of a struct unix_view, for naming_keep: is that socket in it?
bool unix_view_has(const void *view, uint64_t cookie);

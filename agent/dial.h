// SPDX-License-Identifier: Apache-2.0
/*
 * A connection of a probe, begun. To a service of this host it is there when connect returns: the kernel
 * does the whole handshake within the call, though it says "in progress" to who must not block. Waiting
 * to be told of it was a turn of the loop and three calls more.
 *
 * What of it this host's own service accepts is not taken for somebody's coming (pulse.h).
 *
 * Loop thread.
 */
#pragma once
#include <stdbool.h>
#include <sys/socket.h>

struct pulse;
// A non-blocking socket that connects to that address, or has: *ret_connected. -errno: it cannot be.
// Whose queue is full at a path says EAGAIN at once; at a port it lets us wait, and so it is here.
int dial(struct pulse *pulse, const struct sockaddr *to, socklen_t len, int type,
    bool *ret_connected); // pulse NULL: nobody looks
// Both ends are on this host.
bool dial_is_here(const struct sockaddr *to);

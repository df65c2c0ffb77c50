// SPDX-License-Identifier: Apache-2.0
/*
 * Requests to and answers from the kernel's unix_diag: bytes only, no socket, as sockdiag.h for TCP.
 *
 * A stream socket that was accepted has its listener's name; the end that connected has none unless
 * it chose one. So a dump of the states LISTEN and ESTABLISHED holds everything there is to know of a
 * service, and connections are counted by name.
 *
 * Names are up to 108 bytes of anything. What people see is `path`: abstract names begin with '@', what
 * is no printable ASCII is '?'. What names are compared by is `name_hash`, made of all bytes, the same
 * way bpf/latency.bpf.c makes it.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UNIXDIAG_PATH_MAX 112

struct unixdiag {
    uint64_t cookie, name_hash; // hash 0 = it has no name
    uint32_t inode;
    uint32_t waiting, limit; // LISTEN: of the accept queue; else bytes to be read and sent
    uint8_t type, state;     // SOCK_STREAM ..., as SOCKDIAG_LISTEN and SOCKDIAG_ESTABLISHED
    char path[UNIXDIAG_PATH_MAX];
};

#define UNIXDIAG_REQUEST_MAX 24
// states: SOCKDIAG_BIT of those wanted. Returns the length; type and flags for netlink_send.
size_t unixdiag_request(uint8_t buf[static UNIXDIAG_REQUEST_MAX], uint32_t states,
    uint16_t *ret_type, uint16_t *ret_flags);
// Every field of *ret is written. -EBADMSG when shorter than its parts say, or of another family.
int unixdiag_parse(const uint8_t *body, size_t len, struct unixdiag *ret);
// Of a name's bytes as the kernel has them (abstract ones begin with 0); never 0.
uint64_t unixdiag_hash(const uint8_t *name, size_t len);

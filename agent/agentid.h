// SPDX-License-Identifier: Apache-2.0
/*
 * Who this agent is: 128 random bits kept on disk, the number of the session (+1 per start, kept
 * too, so that the newer of two sessions is known), and a nonce that tells two agents with one
 * copied identity apart.
 *
 *     STATE_DIR/identity    "tocsin-agent 1 <32 hex digits> <epoch>\n", replaced by rename after fsync
 *     STATE_DIR/lock        held while we run: two agents must not share one identity
 */
#pragma once
#include "base/err.h"
#include <stdbool.h>
#include <stdint.h>

struct agentid {
    uint8_t id[16], boot_id[16];
    uint64_t epoch, nonce;
    bool kept;   // false: nothing could be written, the identity lasts as long as the process
    int lock_fd; // -1: none
};

// 0 with a usable identity; when it could not be kept, err says why and kept is false. -EBUSY:
// another agent runs with this directory. -EIO: no random bytes. proc_root: "/proc".
int agentid_open(
    const char *state_dir, const char *proc_root, struct agentid *ret, struct err *err);
// Only looks: takes no lock and no session number, so that it may be asked beside a running agent.
// epoch is that of the last session. -ENOENT: no agent has run with this directory yet; -EINVAL: the
// file is damaged; -errno.
int agentid_peek(const char *state_dir, struct agentid *ret, struct err *err);
void agentid_close(struct agentid *a);

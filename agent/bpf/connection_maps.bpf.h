// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * The maps of agent/connection_slot.h that more than one file of programs uses. connections.bpf.c makes
 * them; kernel_load.c gives those to a file loaded after it, which has its own, empty, until then.
 */
#pragma once
#include "agent/connection_slot.h"
#include <bpf/bpf_helpers.h>
#include <linux/bpf.h>

struct {
    __uint(type, BPF_MAP_TYPE_SK_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, int);
    __type(value, struct connection_socket);
} sockets SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, int);
    __type(value, struct connection_head);
} head SEC(".maps");

static __always_inline struct connection_head *head_get(void)
{
    int zero = 0;
    return bpf_map_lookup_elem(&head, &zero);
}

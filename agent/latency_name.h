// SPDX-License-Identifier: Apache-2.0
/*
 * The hash by which the kernel's half of "tcp.latency" and ours agree on the name of a UNIX socket.
 * Included by C for the kernel too: no library, fixed-size types only.
 *
 * Made once for each accepted connection, of the name's bytes in words, filled up with zeros. Whoever
 * may make sockets could make two names of one hash: their latencies would be one.
 */
#pragma once
#include <linux/types.h>

#define LATENCY_NAME_WORDS 14
#define LATENCY_NAME_MAX   (LATENCY_NAME_WORDS * 8) // more than sun_path

// len: of the name, without the NUL a path ends with. Never 0.
static inline __u64 latency_name_hash(const __u64 words[LATENCY_NAME_WORDS], __u32 len)
{
    __u64 h = 0x9e3779b97f4a7c15ull ^ len;

    for (int i = 0; i < LATENCY_NAME_WORDS; i++) {
        h = (h ^ words[i]) * 0xd6e8feb86659fd93ull;
        h ^= h >> 32;
    }
    return h ? h : 1;
}

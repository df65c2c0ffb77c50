// SPDX-License-Identifier: Apache-2.0
/*
 * Which bucket a duration falls into, for the kernel's and our half of what is timed in the kernel. Included
 * by C for the kernel too: no library, fixed-size types only.
 *
 * The kernel counts in the buckets of the wire (scale 4: bucket i reaches to 2^(i/16) seconds), not
 * in cheaper ones converted later, which would put some a bucket off. The bounds are not powers of
 * two in nanoseconds, but the 16 of an octave have the same leading digits in every octave: a search
 * of five steps in a table.
 */
#pragma once
#include <linux/types.h>

#define LATENCY_BUCKETS  496
#define LATENCY_SHORTEST 256ull // ns; what is shorter counts as this
#define LATENCY_LONGEST                                                                        \
    534668176602ull // ns, the last bucket's bound; what is longer counts as this
#define LATENCY_INDEX BUCKET_INDEX(8) // the wire's number of our bucket 0
// The wire's number of the bucket in which 2^low ns is.
#define BUCKET_INDEX(low) (16 * ((low)-29) - 14)

// Bounds of one octave, as 1.63 fixed point: those of 2^29 ns, from wire bucket -14 on.
static const __u64 LATENCY_BOUNDS[16] = {
    0x81ffa7a9549ca6e3ull,
    0x87c11235836d16a3ull,
    0x8dc3b8960164a7d9ull,
    0x940a7e28259fb382ull,
    0x9a9867054d512391ull,
    0xa1709975dfb06757ull,
    0xa8965f74bf065071ull,
    0xb00d2843e1060dc2ull,
    0xb7d88a12d0dd9ea0ull,
    0xbffc43b7e604a922ull,
    0xc87c3e7d03cdbec3ull,
    0xd15c9000bf211c1full,
    0xdaa17c2cd19555dbull,
    0xe44f7742cb56e3ddull,
    0xee6b280000000000ull,
    0xf8f969d9b5abf948ull,
};

// The bucket of a duration of at least 2^low ns, counted from the one in which 2^low is: 16 for each
// octave above, and one more for the last of them.
static inline __u32 bucket_above(__u64 ns, __u32 low)
{
    __u32 e = 0, at = 0;
    __u64 v = ns;

    for (int step = 32; step; step /= 2)
        if (v >> step) {
            v >>= step;
            e += (__u32)step;
        }
    v = ns << (63 - e);
    for (__u32 step = 8; step; step /= 2)
        if (v > LATENCY_BOUNDS[(at + step - 1) & 15])
            at += step;
    if (v > LATENCY_BOUNDS[at & 15])
        at++;
    return 16 * (e - low) + at;
}

static inline __u32 latency_bucket(__u64 ns)
{
    if (ns < LATENCY_SHORTEST)
        ns = LATENCY_SHORTEST;
    if (ns > LATENCY_LONGEST)
        ns = LATENCY_LONGEST;
    return bucket_above(ns, 8);
}

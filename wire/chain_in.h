// SPDX-License-Identifier: Apache-2.0
/* The receiver's chain, as the two halves of the decoder see it: decode.c frames, decode_group.c values. */
#pragma once
#include "wire/batch.h"
#include "wire/tocsin.pb-c.h"
#include "wire/unpack.h"

enum { DECLARED = 1, HAS_LAST = 2, IS_HISTOGRAM = 4 };

struct chain_in {
    uint64_t seq;         // 0 = empty: no other field but the memory counts
    uint8_t agent_id[16]; // the session whose state this is
    uint64_t epoch, nonce;
    uint32_t n, cap;     // highest id declared + 1; ids there is room for
    uint8_t *flags;      // [id]
    double *last;        // [id], with HAS_LAST
    struct cell **cells; // [id]; NULL until the first histogram
    uint32_t charge;     // of all cells, see cell_charge
    size_t cells_bytes;
};

// What reading one frame hands around.
struct reader {
    struct chain_in *c;
    struct unpack unpack;
    struct err *err;
    size_t samples; // of the groups so far
};

void *reader_take(struct reader *r, size_t n, size_t size); // NULL: the arena's ceiling
void chain_in_drop(struct chain_in *c, uint32_t id);        // its histogram
// 0, -EBADMSG, -ENOMEM. The samples are in the arena.
int reader_group(
    struct reader *r, const Tocsin__V1__Group *m, int64_t wall_ms, struct batch_group *ret);

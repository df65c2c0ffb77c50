// SPDX-License-Identifier: Apache-2.0
/* The sender's chain, as the two halves of the encoder see it: encode.c frames, encode_group.c values. */
#pragma once
#include "wire/batch.h"
#include "wire/columns.h"
#include "wire/rows.h"
#include <stdbool.h>

enum { HAS_LAST = 1, RETIRING = 2 };

struct series {
    uint32_t id;
    uint16_t declare_len;
    uint8_t kind; // enum series_kind
    uint8_t flags;
    uint8_t *declare;  // as key frames repeat it, field of a Frame
    struct cell *cell; // histograms
    double last;
};

struct chain_out {
    struct rows series;
    uint32_t next;      // id to be declared
    uint32_t told;      // ids below were declared in a frame
    uint32_t *retiring; // rising; told with the next frame
    size_t n_retiring, cap_retiring;
    uint64_t seq;
    unsigned since_key;
    bool want_key;
    uint32_t charge; // of all cells that hold a histogram, see cell_charge
    struct columns_block block;
};

// The next value of s refers to none before it.
void chain_out_forget(struct chain_out *c, struct series *s);
// Every id of the group is alive. 0; -EINVAL: ids that do not rise, a value of another kind than its series,
// more buckets than a chain holds; -ENOMEM.
int chain_out_group(struct chain_out *c, struct columns *k, const struct batch *b,
    const struct batch_group *group, Tocsin__V1__Group *m);

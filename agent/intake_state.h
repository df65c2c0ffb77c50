// SPDX-License-Identifier: Apache-2.0
/*
 * What an intake holds. Private to intake.c, which makes series known and stages their samples, and
 * intake_round.c, which writes what was staged.
 */
#pragma once
#include "agent/intake.h"
#include "agent/intake_other.h"
#include "agent/intake_table.h"
#include "base/buf.h"

#define INTAKE_OWN_MAX 12

// A series of the source itself.
struct intake_own {
    const char *name;
    uint32_t id;
    enum series_kind kind;
    double value;
    bool staged;
};

struct intake {
    struct output *out;
    struct intake_options o;
    struct intake_table table;
    uint32_t round;
    int64_t wall_ms;
    struct intake_round now;
    size_t standing; // entries with an id
    size_t fresh;    // those of them that are not stale
    size_t waiting;  // those that are, and only keep their id
    uint32_t waiting_at;
    bool crowded; // something is there that would be a series of its own, were there room
    bool doubled; // two series of the source are one when the rules are through
    uint64_t refused;
    struct intake_others others;
    int64_t stamps[INTAKE_STAMPS_MAX];
    size_t n_stamps;
    uint8_t *taken; // a bit per id of the output: an entry of ours has it
    size_t n_taken;
    struct intake_own own[INTAKE_OWN_MAX];
    size_t n_own;
    uint32_t series_id, refused_id; // self-metrics
    struct buf key;
    struct arena text;
};

// Its series ends, and its key is not known any more.
void intake_end_entry(struct intake *in, uint32_t number);

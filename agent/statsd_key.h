// SPDX-License-Identifier: Apache-2.0
/*
 * The name and tags of a StatsD line in Prometheus's terms, as one text to find a series by:
 *
 *     "name\0tag\0value\0tag\0value\0"      tags by name; of two of one name the later counts
 *
 * In names what is not a letter, digit or `_` is `_`, one for each character, and a leading digit gets
 * one in front. Values stay as they are.
 *
 * Pure, nothing allocates; borrows the line.
 */
#pragma once
#include "agent/statsd_line.h"
#include "base/span.h"

struct statsd_tag {
    struct span name, value;
};

struct statsd_key {
    struct span name[2]; // two pieces: SignalFx has its tags in the middle
    struct statsd_tag tags[STATSD_TAGS_MAX];
    size_t n_tags;
    bool too_many;
    char text[STATSD_KEY_MAX];
    size_t len;     // 0: not made
    size_t made_of; // tags
};

void statsd_key_init(struct statsd_key *k); // name is the caller's to set
void statsd_key_tag(struct statsd_key *k, struct span name, struct span value);
// Makes text and len, unless they hold already. STATSD_FAULTS, or what is wrong with the line.
enum statsd_fault statsd_key_make(struct statsd_key *k);

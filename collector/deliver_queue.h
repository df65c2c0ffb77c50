// SPDX-License-Identifier: Apache-2.0
/*
 * What the deliver*.c share: the queue (deliver.c), what a message says (deliver_message.c), what becomes
 * of it (deliver_done.c), what is kept of one that is given up (deliver_lost.c), what is late
 * (deliver_late.c), and what a reload does to all that (deliver_change.c).
 */
#pragma once
#include "base/map.h"
#include "collector/deliver.h"
#include "collector/notice_set.h"
#include <sys/types.h>

struct item {
    struct item *next;
    struct group *group;
    struct notice_set changes; // empty: a repeat
    int64_t queued_ms;
    int64_t due_ms; // when it could have gone first
    bool late;      // whoever asks for what is late knows of it
    unsigned tries, refused;
    struct deliver_mark mark;
};

struct group {
    struct labels *labels;
    char *key;
    struct notice_set known; // firing at the receiver; over: it may know that already
    struct item *last;       // newest queued item that is not in flight
    size_t items;            // queued, in flight included
    size_t stays;            // alerts of an older grouping that belong here until they are over
    bool flying;             // its first item is in flight, so the others wait
    int64_t retry_at_ms;     // of its first item, which failed
    int64_t not_before_ms;   // group_wait; the group's, so that its items never pass each other
    int64_t last_sent_ms;
    int64_t quiet_until_ms; // nobody was to be reminded of it: looked at again then
};

struct flight {
    struct item *it; // NULL: free; in no list while it is here
    unsigned fails;  // of the receiver when it was sent
    struct buf body, path;
    struct deliver_message message;
    struct deliver_member *changed;
};

struct deliver {
    struct deliver_options o;
    struct map groups; // key -> struct group
    struct map
        stays; // alert id -> struct group: what was grouped before a reload that groups otherwise
    bool retired; // nobody is told anything any more
    struct item *head, *tail;
    struct flight flights[DELIVER_FLIGHTS_MAX];
    size_t flying;
    bool hold; // no repeats now
    struct deliver_told *told;
    size_t n_told, cap_told;
    unsigned fails; // in a row: tries of a receiver that is away, groups it chokes on
    const struct group *choked;    // the last of these; only compared
    int64_t retry_at_ms, named_ms; // named_ms: by Retry-After
    int64_t late_at_ms;            // when something may be late
    uint64_t *unheard;             // alerts whose beginning was given up
    size_t n_unheard, cap_unheard;
    uint64_t random;
    struct deliver_stats stats;
};

// The body of a message: what the receiver knows with the item's changes applied. The number of alerts in
// it; 0 = there is nothing to tell; -ENOMEM.
ssize_t deliver_render(struct deliver *d, struct flight *f, const struct item *it);
// An item that is in no list any more. told = the receiver has it, so this is what it knows now.
void deliver_finish(struct deliver *d, struct item *it, bool told, int64_t now_ms);
void deliver_take_out(struct deliver *d, struct item *before, struct item *it);
void deliver_put_back(struct deliver *d, struct item *it);
void deliver_learn(struct deliver *d, uint64_t alert_id, enum told told);
void deliver_item_free(struct item *it);
// The group this alert belongs to; NULL: there is none, or no memory to make it.
struct group *deliver_group(struct deliver *d, const struct notice *n, bool make);
// It is over, or left: nothing keeps its group for it.
void deliver_unstay(struct deliver *d, uint64_t alert_id);
// Passes what is given up on to whoever keeps it: a message that was in flight; one that is still in the
// queue, whose body is made when there is `room`; a change that is not taken into it.
void deliver_lose_flight(struct deliver *d, const struct flight *f, enum deliver_loss why);
void deliver_lose_item(
    struct deliver *d, const struct item *it, bool room, enum deliver_loss why);
void deliver_lose_change(struct deliver *d, const struct notice *n);
// A group nobody is told about any more takes no memory.
void deliver_group_release(struct deliver *d, struct group *g);
// deliver_late.c: an item is new, or has taken something in; a change is given up; a reload.
void deliver_late_begins(struct deliver *d, struct item *it);
void deliver_late_lost(struct deliver *d, const struct notice *n);
void deliver_late_anew(struct deliver *d);
// For deliver_why.c. NULL: there is none, or no memory.
const struct group *deliver_group_find(const struct deliver *d, const struct labels *labels);
int64_t deliver_group_due(const struct group *g);
bool deliver_quiet(const struct deliver *d, const struct group *g); // no reminder now

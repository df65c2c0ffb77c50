// SPDX-License-Identifier: Apache-2.0
/*
 * Processes of one name and service, added up, and which of these groups are shown.
 *
 *     begin -> groups_find + group_add for each process -> groups_show
 *
 * Shown is who is among the first `top` by CPU since the last round or by resident memory, and who
 * was within the last GROUP_KEEP_NS: a line that comes and goes with each round can be neither
 * looked at nor alerted on. The series of more than four times `top` groups are never there.
 *
 * Counters are those of the group, not of its members: what a process used stays counted when it
 * ends. A group without processes is forgotten when it is shown no more. At most GROUPS_MAX; beyond
 * them processes are in the group "other".
 *
 * Pure but for the output; loop thread; owned by processes.c.
 */
#pragma once
#include "agent/output.h"
#include "agent/process_stat.h"

#define GROUPS_MAX    1024
#define GROUP_KEEP_NS 300000000000LL
#define GROUP_IDS     9

struct group {
    char comm[PROCESS_COMM_MAX];
    char *service; // owned; NULL: none
    bool used;
    // Counted by the round under way:
    uint64_t processes, threads, virtual_bytes, resident_pages,
        oldest;     // oldest: in ticks since boot
    uint64_t spent; // CPU of this round
    // Since the group was first seen:
    uint64_t user, system, minor_faults, major_faults;
    bool shown, top;
    int64_t top_ns; // when it was among the first last
    uint32_t ids[GROUP_IDS];
};

struct groups {
    struct group *list;
    size_t n, cap;
    uint32_t *order; // scratch of groups_show, cap entries
};

#define GROUP_NONE UINT32_MAX // no memory
void groups_done(struct groups *g);
void groups_begin(struct groups *g); // a new round
uint32_t groups_find(struct groups *g, const char *comm, const char *service);
// One process of it, and what it used since the last round.
struct process_use {
    uint64_t user, system, minor_faults, major_faults;
};
void group_add(struct group *g, const struct process_stat *s, const struct process_use *use);
struct group_units {
    double hz, page_bytes, boot_s; // boot: wall clock
};
void groups_show(struct groups *g, struct output *o, size_t top, int64_t now_ns,
    const struct group_units *units);
void groups_hide(struct groups *g, struct output *o); // ends all series

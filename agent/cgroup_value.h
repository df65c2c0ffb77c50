// SPDX-License-Identifier: Apache-2.0
/*
 * The files of one cgroup and the series made of them. Which file and which word of it becomes which
 * series is a table (cgroup_value.c); the rest of the agent need not know it.
 *
 * A value is interned when it is first seen, so a controller that is off costs no series. Counters
 * that are lower than before, or of a folder that was made anew, are written as a reset.
 */
#pragma once
#include "agent/output.h"
#include <stdbool.h>
#include <stdint.h>

enum cgroup_file {
    CGROUP_CPU_STAT,
    CGROUP_MEMORY_CURRENT,
    CGROUP_MEMORY_MAX,
    CGROUP_MEMORY_SWAP,
    CGROUP_MEMORY_EVENTS,
    CGROUP_MEMORY_STAT,
    CGROUP_IO_STAT,
    CGROUP_PIDS,
    CGROUP_PIDS_MAX,
    CGROUP_PRESSURE_CPU,
    CGROUP_PRESSURE_IO,
    CGROUP_PRESSURE_MEMORY,
    CGROUP_FILES
};
#define CGROUP_VALUES     32
#define CGROUP_DEVICES    8
#define CGROUP_DEVICE_IDS 4
#define CGROUP_NOT_OPEN   (-1)
#define CGROUP_NOT_THERE  (-2) // not asked for again until cgroup_files_again

struct cgroup_device {
    uint32_t number; // major << 20 | minor
    uint32_t ids[CGROUP_DEVICE_IDS];
    double last[CGROUP_DEVICE_IDS];
};

struct cgroup {
    char *path; // "/system.slice/nginx.service", the caller's
    uint64_t inode;
    bool container, seen;
    bool anew; // another folder of the same name: counters begin
    int fds[CGROUP_FILES];
    uint32_t ids[CGROUP_VALUES];
    double last[CGROUP_VALUES];
    struct cgroup_device *devices; // owned; NULL: no disk so far
    size_t n_devices;
};

struct cgroup_source {
    const char *root; // of cgroup v2
    const char *sys;  // for the names of devices
    struct output *out;
    int fds_left; // how many more may be kept open
};

void cgroup_init(struct cgroup *c, char *path, uint64_t inode);
// One round. 0; -ENODEV: the folder is gone (look which there are); -EMFILE and others: what could
// not be read is absent.
int cgroup_sample(struct cgroup *c, struct cgroup_source *from);
// What was not there may have come: a controller was turned on.
void cgroup_files_again(struct cgroup *c);
void cgroup_files_close(struct cgroup *c, struct cgroup_source *from);
void cgroup_end(struct cgroup *c, struct cgroup_source *from); // series, descriptors, devices

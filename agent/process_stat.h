// SPDX-License-Identifier: Apache-2.0
/* One line of /proc/PID/stat, as far as it is used. Pure. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROCESS_COMM_MAX 16

struct process_stat {
    char
        comm[PROCESS_COMM_MAX]; // valid UTF-8; of a kernel thread what stands before '/' or ':'
    char state;
    bool kernel;
    uint64_t minor_faults, major_faults;
    uint64_t user, system, start; // in ticks of the kernel's clock
    uint64_t threads, virtual_bytes, resident_pages;
};

bool process_stat_parse(const char *text, size_t len, struct process_stat *ret);

// SPDX-License-Identifier: Apache-2.0
/*
 * Sampler "host.processes": what runs here, by name, and how many there are in which state.
 *
 *     each 10 s: pids of /proc -> /proc/PID/stat -> groups by name and service -> the first ones
 *                \___ in slices of 2 ms between other work; shown at the tick that finds them done
 *
 * One process costs 10-15 us a round, so a host with 200 of them spends 0.03 % of a core. What lives
 * less than a round is seen only if it happens to; its CPU is in that of its service
 * (container_cpu_usage_seconds_total) and in node_forks_total.
 *
 * The names are process-exporter's, namedprocess_namegroup_*: it is the only one with public
 * dashboards for this. groupname is the process's own name (comm, 15 bytes), kernel threads without
 * their numbers; a label service is added where the cgroup names one. Of all processes together:
 * node_processes_*, as node_exporter's collector of that name has them.
 *
 * `processes: {top: 10}` says how many by CPU and how many by resident memory; 0 turns it off. See
 * process_group.h for which are shown and for how long.
 *
 * Loop thread, owned by the core through sampler_ops. Needs no privilege; where /proc hides other users'
 * processes (hidepid) the reason says so.
 */
#pragma once
#include "agent/sampler.h"

#define PROCESSES_TOP_DEFAULT 10
#define PROCESSES_TOP_LIMIT   100

extern const struct sampler_ops sampler_host_processes;

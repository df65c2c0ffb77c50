// SPDX-License-Identifier: Apache-2.0
#include "agent/cgroup.h"
#include "agent/established.h"
#include "agent/host.h"
#include "agent/latency.h"
#include "agent/listen.h"
#include "agent/processes.h"
#include "agent/procevents.h"
#include "agent/sampler.h"
#include "agent/turnover.h"
#include "agent/udp_listen.h"
#include "agent/unix_listen.h"

// In the order in which they are opened and run: listeners are there when a death is told of them.
const struct sampler_ops *const samplers[] = {
    &listen_sampler,
    &unix_listen_sampler,
    &udp_listen_sampler,
    &procevents_sampler,
    &established_sampler,
    &turnover_sampler,
    &latency_sampler,
    &sampler_host_cpu,
    &sampler_host_memory,
    &sampler_host_disk,
    &sampler_host_filesystem,
    &sampler_host_network,
    &sampler_host_netstat,
    &sampler_host_pressure,
    &sampler_host_load,
    &sampler_host_clock,
    &sampler_host_tables,
    &sampler_host_netclass,
    &sampler_host_raid,
    &sampler_host_cgroup,
    &sampler_host_processes,
    NULL,
};

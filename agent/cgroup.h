// SPDX-License-Identifier: Apache-2.0
/*
 * Sampler "host.cgroup": what each service and container uses, from its folder below the cgroup v2
 * root.
 *
 *     root's cgroup.stat changed, a folder died, each minute --> walk: which folders are services
 *     each tick --> pread of their files, kept open --> values
 *
 * A folder counts when its own name says whose it is (identity.h): units, and the containers of
 * docker, podman, containerd, cri-o, lxc and machined, wherever they stand; what lies below is in
 * its numbers. At most `cgroups: {max: 200}` of them, services that listen first; those that are
 * followed already stay. Who is restarted under its name keeps its series, counters are marked as begun anew.
 *
 * The names are cAdvisor's, container_*: it exports units with them too, kubernetes-mixin's and most other
 * public dashboards and rules ask for them, while systemd_exporter's systemd_unit_* know no
 * containers. Labels: job="service", service (as on tocsin_service_*), id (the path), and
 * container for what is no unit. io has a device of its own as cAdvisor's has. What cAdvisor has no
 * name for: tocsin_service_memory_events_total{event="high|max|oom"}.
 *
 * Files are kept open as long as all together they are under a quarter of the descriptors this process
 * may have, and opened for each read beyond. A kernel without a controller lacks its files: the rest is
 * sampled and the reason says which. Measured: 200 folders with four files each, 6.2 ms a tick, 0.12 % of a core.
 *
 * Loop thread, owned by the core through sampler_ops. Needs no privilege.
 */
#pragma once
#include "agent/sampler.h"

#define CGROUP_MAX_DEFAULT 200
#define CGROUP_MAX_LIMIT   2000

extern const struct sampler_ops sampler_host_cgroup;

// Pure. The last folder of the path names a service or a container: true, and whether it is the
// latter.
bool cgroup_is_service(const char *path, bool *ret_container);

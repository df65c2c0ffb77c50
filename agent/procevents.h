// SPDX-License-Identifier: Apache-2.0
/*
 * Sampler "proc.events": deaths of processes with their signal, from the kernel's process connector.
 * They are the evidence that tells a crash from a planned stop, 0.4 ms after the fact.
 *
 * Everything that forks, execs or exits is multicast; a filter in the kernel lets through only the
 * end of whole processes and deaths by signal, so a busy host does not wake us for each thread.
 *
 * Needs CAP_NET_ADMIN on kernels before 6.6, and the host's own pid namespace. Without it a vanished
 * listener is judged after its grace.
 */
#pragma once
#include "agent/sampler.h"
#include "agent/service.h"

extern const struct sampler_ops procevents_sampler;

// Pure. One connector message after its netlink header. 1 = *ret is a death, 2 = the answer to our
// subscription with its error in *ret_error (0 or an errno), 0 = something else, -EBADMSG.
int procevents_parse(const uint8_t *body, size_t len, struct service_exit *ret, int *ret_error);

// SPDX-License-Identifier: Apache-2.0
/*
 * Sampler "proc.events": deaths of processes with their signal, from the kernel's process connector.
 * They are the evidence that tells a crash from a planned stop, 0.4 ms after the fact.
 *
 * Everything that forks, execs or exits is multicast, on a busy host a thousand times a second. A
 * filter in the kernel lets through deaths by signal, of anybody, and of those who just exit only the
 * processes that hold a listener. It is put anew when one more was found to hold one: who exits
 * before it is known to hold anything says nothing either way.
 *
 * Needs CAP_NET_ADMIN on kernels before 6.6, and the host's own pid namespace. Without it a vanished
 * listener is judged after its grace.
 */
#pragma once
#include "agent/sampler.h"
#include "agent/service.h"
#include <linux/filter.h>

extern const struct sampler_ops procevents_sampler;

// Pure. The filter for these owners; more than PROCEVENTS_OWNERS_MAX: for anybody. Returns its length.
#define PROCEVENTS_OWNERS_MAX 200
#define PROCEVENTS_FILTER_MAX (14 + 2 * PROCEVENTS_OWNERS_MAX)
unsigned short procevents_filter(
    struct sock_filter code[static PROCEVENTS_FILTER_MAX], const int32_t *owners, size_t n);
// Pure. One connector message after its netlink header. 1 = *ret is a death, 2 = the answer to our
// subscription with its error in *ret_error (0 or an errno), 0 = something else, -EBADMSG.
int procevents_parse(const uint8_t *body, size_t len, struct service_exit *ret, int *ret_error);

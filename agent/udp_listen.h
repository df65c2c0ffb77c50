// SPDX-License-Identifier: Apache-2.0
/*
 * Sampler "udp.listen": UDP ports somebody serves, by service, and what they lose.
 *
 *     tick: one dump of each family, sockets without a peer --> services --> samples
 *
 * A socket whose receive buffer is full drops what comes, and only the socket knows:
 * tocsin_service_udp_receive_drops_total is the sum over a service's sockets, which goes on when they are
 * closed and others take their place. Beside it what waits to be read, the room there is, and how many
 * sockets it has (SO_REUSEPORT).
 *
 * Ports of the ephemeral range are mostly a client's for one question, so a socket there counts only
 * when it has been seen for UDP_LISTEN_SETTLE_NS. UDP has no listening that could be missed: a service
 * that goes ends without a word, its series with it.
 *
 * Names come from cgroups, else processes, else /etc/services (naming.h). Loop thread; owned by the core
 * through sampler_ops. Needs no privilege. A dump walks the kernel's whole table of UDP sockets, 0.2 ms for
 * each family however few there are, so it is made each 5 s; a socket costs 0.4 us beside.
 */
#pragma once
#include "agent/sampler.h"

#define UDP_LISTEN_MAX       256 // services
#define UDP_LISTEN_SOCKETS   4096
#define UDP_LISTEN_SETTLE_NS 10000000000LL

extern const struct sampler_ops udp_listen_sampler;

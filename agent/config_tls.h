// SPDX-License-Identifier: Apache-2.0
/*
 * Which of this host's ports speak TLS, so that their handshakes are not taken for requests. It is never
 * read off the traffic, which nobody here looks into:
 *
 *     tls_ports: [443, 8443]    these; without the key those that IANA gives to TLS alone
 *     probes                    and each port of this host that a probe of https, wss or tls asks
 *
 * A port taken for TLS that is not loses the first exchanges of each connection.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TLS_PORTS_MAX 64

struct agent_config;
struct buf;
struct config_reader;
struct yaml_node;

struct tls_ports {
    uint16_t list[TLS_PORTS_MAX];
    size_t n;
    bool given;
};

// The list `tls_ports`, into a struct tls_ports, and the same printed.
void config_tls_ports(struct config_reader *r, const struct yaml_node *n, void *to);
void config_print_tls_ports(const struct agent_config *c, struct buf *out);
// The list itself, for what is connected to; at most `max`, returns how many. c NULL: the defaults.
size_t config_tls_list(const struct agent_config *c, uint16_t *ret, size_t max);
// Of a port of this host. c NULL: the defaults.
bool config_is_tls(const struct agent_config *c, uint16_t port);

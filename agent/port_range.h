// SPDX-License-Identifier: Apache-2.0
/*
 * The ports the kernel gives to who asks for any (net.ipv4.ip_local_port_range): those of clients, and of
 * tests. Who listens on one of them is rarely a service.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct port_range {
    uint16_t low, high;
};

// Of a root like "/proc"; the kernel's default where it is not told.
void port_range_read(struct port_range *r, const char *proc);
bool port_range_has(const struct port_range *r, uint16_t port);

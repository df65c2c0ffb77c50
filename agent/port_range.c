// SPDX-License-Identifier: Apache-2.0
#include "agent/port_range.h"
#include <stdio.h>

void port_range_read(struct port_range *r, const char *proc)
{
    char path[512];
    unsigned low, high;

    *r = (struct port_range){32768, 60999};
    snprintf(path, sizeof(path), "%s/sys/net/ipv4/ip_local_port_range", proc);
    FILE *f = fopen(path, "re");
    if (!f)
        return;
    if (fscanf(f, "%u %u", &low, &high) == 2 && low <= high && high <= 65535)
        *r = (struct port_range){(uint16_t)low, (uint16_t)high};
    fclose(f);
}

bool port_range_has(const struct port_range *r, uint16_t port)
{
    return port >= r->low && port <= r->high;
}

// SPDX-License-Identifier: Apache-2.0
#include "agent/latency_table.h"
#include <math.h>
#include <string.h>

#define KEY_GIVEN_BACK 1

void latency_table_init(struct latency_shared *m)
{
    for (int i = 0; i < LATENCY_THRESHOLDS; i++)
        m->thresholds_ns[i] = m->call_thresholds_ns[i] = LATENCY_NO_THRESHOLD;
}

struct latency_port *latency_port_find(struct latency_shared *m, __u64 key)
{
    __u32 place = latency_port_place(key);

    for (__u32 i = 0; i < LATENCY_PLACES; i++) {
        struct latency_port *p = &m->ports[(place + i) & (LATENCY_PORTS - 1)];
        if (p->key == key)
            return p;
        if (!p->key)
            return NULL;
    }
    return NULL;
}

bool latency_port_add(struct latency_shared *m, __u64 key, __u8 slot, bool tls)
{
    __u32 place = latency_port_place(key);

    for (__u32 i = 0; i < LATENCY_PLACES; i++) {
        struct latency_port *p = &m->ports[(place + i) & (LATENCY_PORTS - 1)];
        if (p->key > KEY_GIVEN_BACK)
            continue;
        p->slot = slot;
        p->tls = tls;
        __atomic_store_n(&p->key, key, __ATOMIC_RELEASE);
        return true;
    }
    return false;
}

void latency_port_drop(struct latency_shared *m, __u64 key)
{
    struct latency_port *p = latency_port_find(m, key);

    if (p)
        __atomic_store_n(&p->key, KEY_GIVEN_BACK, __ATOMIC_RELEASE);
}

void latency_name_set(struct latency_shared *m, __u8 slot, __u64 key)
{
    __atomic_store_n(&m->names[slot], key, __ATOMIC_RELEASE);
    __atomic_fetch_add(&m->generation, 1, __ATOMIC_RELEASE);
}

bool latency_thresholds_set(
    __u64 to[static LATENCY_THRESHOLDS], const double *seconds, size_t n)
{
    __u64 now[LATENCY_THRESHOLDS];

    for (size_t i = 0; i < LATENCY_THRESHOLDS; i++)
        // The greatest whole number of nanoseconds that is not more: what the kernel measures.
        now[i] = i < n && seconds[i] < 1e9 ? (__u64)floor(fmax(seconds[i], 0) * 1e9 + 1e-3)
                                           : LATENCY_NO_THRESHOLD;
    if (memcmp(now, to, sizeof(now)) == 0)
        return false;
    memcpy(to, now, sizeof(now));
    return true;
}

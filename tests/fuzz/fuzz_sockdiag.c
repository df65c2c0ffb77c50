// SPDX-License-Identifier: Apache-2.0
// links: base wire agent
// Any datagram is walked to its end and each message read as a socket and as a death: what is
// returned lies within the bytes, and the quick look at the port agrees with the whole one.
#include "agent/netlink.h"
#include "agent/procevents.h"
#include "agent/sockdiag.h"
#include "agent/unixdiag.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t at = 0, before = 0;
    struct netlink_message m;

    while (netlink_next(data, size, &at, &m)) {
        struct sockdiag k;
        struct service_exit e;
        int error;
        if (at <= before || m.body < data || m.len > size)
            abort();
        before = at;
        if (sockdiag_parse(m.body, m.len, &k) == 0 &&
            k.local_port != sockdiag_local_port(m.body, m.len))
            abort();
        struct unixdiag u;
        if (unixdiag_parse(m.body, m.len, &u) == 0 &&
            (memchr(u.path, '\0', sizeof(u.path)) == NULL || (u.path[0] && !u.name_hash)))
            abort();
        netlink_status(&m);
        if (procevents_parse(m.body, m.len, &e, &error) == 1 && e.signal > 127)
            abort();
    }
    return 0;
}

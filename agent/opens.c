// SPDX-License-Identifier: Apache-2.0
#include "agent/opens.h"
#include <string.h>

void opens_open(struct opens *o, int fd, const char *proc)
{
    *o = (struct opens){0};
    procfile_init(&o->snmp);
    if (fd != -1)
        o->snmp.fd = fd;
    else
        (void)procfile_open(&o->snmp, proc, "net/snmp");
}

void opens_done(struct opens *o)
{
    procfile_done(&o->snmp);
}

// "Tcp: RtoAlgorithm ... PassiveOpens ...\nTcp: 1 ... 17 ...\n": the values under the names.
bool opens_parse(const char *snmp, uint64_t *passive, uint64_t *active)
{
    const char *names = strstr(snmp, "Tcp: ");
    const char *values = names ? strstr(names + 1, "\nTcp: ") : NULL;
    size_t n, v;
    unsigned found = 0;

    if (!values)
        return false;
    values++;
    const char *end = values;
    for (const char *name = scan_word(&names, &n); n && names < end && found < 2;
         name = scan_word(&names, &n)) {
        const char *value = scan_word(&values, &v);
        if (v == 0)
            return false;
        if (n == 12 && memcmp(name, "PassiveOpens", n) == 0) {
            scan_u64(value, passive);
            found++;
        } else if (n == 11 && memcmp(name, "ActiveOpens", n) == 0) {
            scan_u64(value, active);
            found++;
        }
    }
    return found == 2;
}

void opens_read(struct opens *o)
{
    o->known =
        procfile_read(&o->snmp) == 0 && opens_parse(o->snmp.text, &o->passive, &o->active);
}

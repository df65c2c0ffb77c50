// SPDX-License-Identifier: Apache-2.0
#include "agent/few.h"
#include <errno.h>
#include <string.h>

void few_open(struct few *f, const char *proc)
{
    *f = (struct few){0};
    procfile_init(&f->snmp);
    // Without it every round is a walk.
    (void)procfile_open(&f->snmp, proc, "net/snmp");
}

void few_done(struct few *f)
{
    procfile_done(&f->snmp);
}

// "Tcp: RtoAlgorithm ... PassiveOpens ...\nTcp: 1 ... 17 ...\n": the value under the name.
bool few_passive_opens(const char *snmp, uint64_t *ret)
{
    const char *names = strstr(snmp, "Tcp: ");
    const char *values = names ? strstr(names + 1, "\nTcp: ") : NULL;
    size_t n, v;

    if (!values)
        return false;
    values++;
    const char *end = values;
    for (const char *name = scan_word(&names, &n); n && names < end;
         name = scan_word(&names, &n)) {
        const char *value = scan_word(&values, &v);
        if (v == 0)
            return false;
        if (n == 12 && memcmp(name, "PassiveOpens", n) == 0) {
            scan_u64(value, ret);
            return true;
        }
    }
    return false;
}

static bool read_opens(struct few *f, uint64_t *ret)
{
    return procfile_read(&f->snmp) == 0 && few_passive_opens(f->snmp.text, ret);
}

void few_begin(struct few *f)
{
    f->n = 0;
    f->closed_since = 0;
    // Before the walk: what opens during it makes another walk.
    f->usable = read_opens(f, &f->opens);
}

void few_add(struct few *f, const struct sockdiag *s)
{
    if (f->n == FEW_MAX)
        f->usable = false;
    else if (f->usable)
        sockdiag_ask(f->requests + f->n++ * SOCKDIAG_ASK_SIZE, s, true);
}

void few_end(struct few *f, bool whole)
{
    if (!whole)
        f->usable = false;
}

bool few_complete(struct few *f)
{
    uint64_t opens;

    return f->usable && read_opens(f, &opens) && opens - f->opens <= f->closed_since;
}

int few_ask(struct few *f, struct netlink *nl,
    bool (*fn)(void *ctx, const struct netlink_message *m), void *ctx)
{
    size_t answers = 0;
    int rc = f->n > 0 ? netlink_send_all(nl, f->requests, f->n * SOCKDIAG_ASK_SIZE) : 0;

    while (rc == 0 && answers < f->n) {
        int n = netlink_receive(nl);
        size_t at = 0;
        struct netlink_message m;
        if (n <= 0)
            return n < 0 ? n : -EAGAIN;
        while (netlink_next(nl->chunk, (size_t)n, &at, &m)) {
            if (m.seq != nl->seq)
                continue;
            answers++;
            if (!sockdiag_is_socket(m.type) || !fn(ctx, &m))
                return -EAGAIN;
        }
    }
    return rc;
}

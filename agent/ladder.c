// SPDX-License-Identifier: Apache-2.0
#include "agent/ladder.h"
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

// Those a sampler may ask for, in the order in which they are printed.
static const struct {
    unsigned bit;
    const char *setcap, *unit;
} CAPABILITIES[] = {
    {CAP_BPF, "cap_bpf", "CAP_BPF"},
    {CAP_DAC_READ_SEARCH, "cap_dac_read_search", "CAP_DAC_READ_SEARCH"},
    {CAP_NET_ADMIN, "cap_net_admin", "CAP_NET_ADMIN"},
    {CAP_NET_RAW, "cap_net_raw", "CAP_NET_RAW"},
    {CAP_PERFMON, "cap_perfmon", "CAP_PERFMON"},
    {CAP_SYS_ADMIN, "cap_sys_admin", "CAP_SYS_ADMIN"},
    {CAP_SYS_PTRACE, "cap_sys_ptrace", "CAP_SYS_PTRACE"},
};
enum { N_CAPABILITIES = sizeof(CAPABILITIES) / sizeof(CAPABILITIES[0]) };

void ladder_self(struct ladder_who *ret, char exe[static 512])
{
    struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct d[_LINUX_CAPABILITY_U32S_3] = {0};

    ssize_t len = readlink("/proc/self/exe", exe, 511);
    snprintf(exe + (len > 0 ? len : 0), 16, "%s", len > 0 ? "" : "tocsin-agent");
    *ret = (struct ladder_who){.exe = exe, .root = geteuid() == 0};
    if (syscall(SYS_capget, &h, d) == 0)
        ret->held = (uint64_t)d[1].permitted << 32 | d[0].permitted;
}

static void print_set(struct buf *out, uint64_t set, const char *between, bool unit)
{
    bool any = false;

    for (size_t i = 0; i < N_CAPABILITIES; i++)
        if (set >> CAPABILITIES[i].bit & 1) {
            buf_adds(out, any ? between : "");
            buf_adds(out, unit ? CAPABILITIES[i].unit : CAPABILITIES[i].setcap);
            any = true;
        }
}

static void print_grant(
    struct buf *out, const char *head, uint64_t lacks, const struct ladder_who *who)
{
    buf_adds(out, head);
    if (who->root) {
        buf_adds(out, "root without ");
        print_set(out, lacks, " and ", true);
        buf_adds(out, ": the container or the unit withholds it (docker run --cap-add, "
                      "CapabilityBoundingSet=)\n");
        return;
    }
    buf_adds(out, "setcap ");
    print_set(out, who->held | lacks, ",", false);
    buf_addf(out, "+ep %s\n", who->exe);
    buf_addf(out, "%s", head);
    buf_adds(out, "or in the unit: AmbientCapabilities=");
    print_set(out, who->held | lacks, " ", true);
    buf_adds(out, "\n");
}

#define FIX_HEAD "                         fix: "

static void print_row(const struct sampler *p, const struct ladder_who *who, struct buf *out)
{
    char every[32] = "events";

    if (p->interval_ms)
        snprintf(every, sizeof(every), "%u ms", p->interval_ms);
    buf_addf(out, "  %-4s %-18s %-4s %-8s %s\n", p->ops->tier ? p->ops->tier : "", p->ops->name,
        p->available ? "ok" : "NO", every, p->reason);
    if (p->lacks)
        print_grant(out, FIX_HEAD, p->lacks, who);
    if (p->fix)
        buf_addf(out, FIX_HEAD "%s\n", p->fix);
}

// Whether a listener's process may be found among those of other users: no sampler of its own, but what
// services are called hangs on it (identity.h).
static const struct sampler_ops NAMES = {.name = "process.names", .tier = "A"};
static void look_into_others(const struct env *env, struct sampler *names)
{
    char path[300];

    *names = (struct sampler){.ops = &NAMES, .available = true};
    snprintf(path, sizeof(path), "%.256s/1/fd", env->proc ? env->proc : "");
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd != -1) {
        close(fd);
        return;
    }
    names->lacks = 1ull << CAP_SYS_PTRACE | 1ull << CAP_DAC_READ_SEARCH;
    snprintf(names->reason, sizeof(names->reason),
        "other users' processes are not looked into: names come from units and ports");
}

int ladder_print(const struct schedule *s, const struct ladder_who *who, struct buf *out)
{
    int missing = 0, lacking = 0;
    uint64_t lacks = 0;
    const char *tier = "";

    // Rung by rung, then those without. Rungs are few: each lap finds the next one by name.
    while (tier) {
        const char *next = NULL;
        for (size_t i = 0; i < schedule_count(s); i++) {
            const char *t = schedule_at(s, i)->ops->tier;
            if (t && strcmp(t, tier) > 0 && (!next || strcmp(t, next) < 0))
                next = t;
        }
        for (size_t i = 0; i < schedule_count(s); i++) {
            const struct sampler *p = schedule_at(s, i);
            if (p->ops->tier ? !next || strcmp(p->ops->tier, next) != 0 : next != NULL)
                continue;
            print_row(p, who, out);
            missing += !p->available;
            lacking += p->lacks != 0;
            lacks |= p->lacks;
        }
        if (next && strcmp(next, NAMES.tier) == 0) {
            struct sampler names;
            look_into_others(schedule_at(s, 0)->env, &names);
            print_row(&names, who, out);
            lacking += names.lacks != 0;
            lacks |= names.lacks;
        }
        tier = next;
    }
    if (lacking > 1 && !who->root)
        print_grant(out, "  all of them: ", lacks, who);
    return missing;
}

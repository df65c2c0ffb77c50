// SPDX-License-Identifier: Apache-2.0
// The table of --doctor: order, reasons, and commands that grant what is missing.
#include "agent/ladder.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>

#define BIT(c) (1ull << (c))

static int open_whole(struct sampler *s)
{
    (void)s;
    return 0;
}

static int open_without_bpf(struct sampler *s)
{
    strcpy(s->reason, "the kernel refuses the programs");
    s->lacks = BIT(CAP_PERFMON) | BIT(CAP_BPF);
    return -EPERM;
}

static int open_without_admin(struct sampler *s)
{
    strcpy(s->reason, "process connector");
    s->lacks = BIT(CAP_NET_ADMIN);
    return -EPERM;
}

static int open_without_psi(struct sampler *s)
{
    strcpy(s->reason, "/proc/pressure: No such file or directory");
    s->fix = "boot with psi=1";
    return -ENOENT;
}

static void tick(struct sampler *s, const struct tick *t)
{
    (void)s;
    (void)t;
}

static void on_frame(void *ctx, int64_t wall_ms, int64_t mono_ns, enum schedule_frame why)
{
    (void)ctx;
    (void)wall_ms;
    (void)mono_ns;
    (void)why;
}

static const struct sampler_ops PRESSURE = {.name = "x.pressure",
                                    .interval_ms = 1000,
                                    .open = open_without_psi,
                                    .tick = tick},
                                LATENCY = {.name = "x.latency",
                                    .tier = "D",
                                    .interval_ms = 1000,
                                    .open = open_without_bpf,
                                    .tick = tick},
                                EVENTS = {.name = "x.events", .open = open_without_admin},
                                LISTEN = {.name = "x.listen",
                                    .tier = "A",
                                    .interval_ms = 1000,
                                    .open = open_whole,
                                    .tick = tick};

static bool readable; // the descriptors of process 1
static int print(const struct ladder_who *who, struct buf *out)
{
    char proc[300];
    snprintf(proc, sizeof(proc), "%s/%s", test_tmpdir(), readable ? "readable" : "hidden");
    struct env env = {
        .loop = loop_new(), .out = output_new(), .clock = clock_system(), .proc = proc};
    struct schedule *s = schedule_new(&env, on_frame, NULL);

    buf_init(out, 1u << 16);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    schedule_open(s, &PRESSURE);
    schedule_open(s, &LATENCY);
    schedule_open(s, &EVENTS);
    schedule_open(s, &LISTEN);
    int missing = ladder_print(s, who, out);
    schedule_free(s);
    output_free(env.out);
    loop_free(env.loop);
    return missing;
}

static void a_user(void)
{
    static const char WANT[] =
        "  A    x.listen           ok   1000 ms  \n"
        "  A    process.names      ok   events   \n"
        "  D    x.latency          NO   1000 ms  the kernel refuses the programs\n"
        "                         fix: setcap cap_bpf,cap_perfmon,cap_sys_ptrace+ep /bin/agent\n"
        "                         fix: or in the unit: AmbientCapabilities=CAP_BPF CAP_PERFMON "
        "CAP_SYS_PTRACE\n"
        "       x.pressure         NO   1000 ms  /proc/pressure: No such file or directory\n"
        "                         fix: boot with psi=1\n"
        "       x.events           NO   events   process connector\n"
        "                         fix: setcap cap_net_admin,cap_sys_ptrace+ep /bin/agent\n"
        "                         fix: or in the unit: AmbientCapabilities=CAP_NET_ADMIN "
        "CAP_SYS_PTRACE\n"
        "  all of them: setcap cap_bpf,cap_net_admin,cap_perfmon,cap_sys_ptrace+ep /bin/agent\n"
        "  all of them: or in the unit: AmbientCapabilities=CAP_BPF CAP_NET_ADMIN CAP_PERFMON "
        "CAP_SYS_PTRACE\n";
    struct ladder_who who = {.held = BIT(CAP_SYS_PTRACE) | BIT(CAP_CHOWN), .exe = "/bin/agent"};
    struct buf out;

    char command[300];
    snprintf(command, sizeof(command), "mkdir -p %s/readable/1/fd", test_tmpdir());
    CU_ASSERT_EQUAL(system(command), 0);
    readable = true;
    CU_ASSERT_EQUAL(print(&who, &out), 3);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&out), WANT);
    if (strcmp(buf_cstr(&out), WANT) != 0)
        printf("%s", buf_cstr(&out));
    buf_done(&out);
}

static void a_root(void)
{
    struct ladder_who who = {.exe = "/bin/agent", .root = true};
    struct buf out;

    CU_ASSERT_EQUAL(print(&who, &out), 3);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(buf_cstr(&out), "fix: root without CAP_BPF and CAP_PERFMON: "));
    CU_ASSERT_PTR_NULL(strstr(buf_cstr(&out), "setcap"));
    buf_done(&out);
    readable = false; // that degrades names, and is nothing that is missing
    CU_ASSERT_EQUAL(print(&who, &out), 3);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(buf_cstr(&out), "fix: root without CAP_DAC_READ_SEARCH and CAP_SYS_PTRACE: "));
    buf_done(&out);
}

static const struct test TESTS[] = {
    {"rungs first, each with its reason and the command that grants it beside what is held",
        a_user},
    {"root is not told to use setcap", a_root},
};

int main(void)
{
    return test_main("ladder", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}

// SPDX-License-Identifier: Apache-2.0
// Process groups of a recorded /proc: what is counted, who is shown, for how long.
#include "agent/config.h"
#include "agent/process_group.h"
#include "agent/processes.h"
#include "tests/lib/oom.h"
#include "tests/unit/agent/sampled.h"
#include <linux/capability.h>
#include <unistd.h>

#define PAGE ((double)sysconf(_SC_PAGESIZE))
#define HZ   ((double)sysconf(_SC_CLK_TCK))

static const char *tree(void)
{
    static char root[512];
    char command[600];

    snprintf(root, sizeof(root), "%s/proc", test_tmpdir());
    snprintf(command, sizeof(command), "rm -rf %s", root);
    CU_ASSERT_EQUAL_FATAL(system(command), 0);
    mkdir(root, 0755);
    sampled_file(root, "stat", "cpu 1\nbtime 1700000000\n");
    sampled_file(root, "sys/kernel/pid_max", "32768\n");
    sampled_file(root, "self/stat", "not a process of its own\n");
    return root;
}

static void process(const char *root, int pid, const char *comm, int user, int start, int pages)
{
    char name[64], text[256];

    snprintf(name, sizeof(name), "%d/stat", pid);
    snprintf(text, sizeof(text),
        "%d (%s) S 1 1 1 0 -1 4194304 10 0 3 0 %d 7 0 0 20 0 2 0 %d 4096 %d 18446744073709551615 "
        "1 1\n",
        pid, comm, user, start, pages);
    sampled_file(root, name, text);
}

static void gone(const char *root, int pid)
{
    char command[600];

    snprintf(command, sizeof(command), "rm -r %s/%d", root, pid);
    CU_ASSERT_EQUAL(system(command), 0);
}

static const char *of(const char *what, const char *group, const char *label)
{
    static char name[256];

    snprintf(name, sizeof(name), "namedprocess_namegroup_%s{groupname=\"%s\"%s}", what, group,
        label);
    return name;
}

static double user_seconds(const char *group)
{
    return sampled_value(of("cpu_seconds_total", group, ",mode=\"user\""));
}

static void parsed(void)
{
    static const char LINE[] =
        "77 (a) R (b) S 1 1 1 0 -1 4194304 10 20 30 40 50 60 70 80 20 0 3 0 1324973 3133440 408 1\n";
    struct process_stat s;

    CU_ASSERT_TRUE(process_stat_parse(LINE, sizeof(LINE) - 1, &s));
    CU_ASSERT_STRING_EQUAL(s.comm, "a) R (b");
    CU_ASSERT_EQUAL(s.state, 'S');
    CU_ASSERT_EQUAL(s.minor_faults, 10);
    CU_ASSERT_EQUAL(s.major_faults, 30);
    CU_ASSERT_EQUAL(s.user, 50);
    CU_ASSERT_EQUAL(s.system, 60);
    CU_ASSERT_EQUAL(s.threads, 3);
    CU_ASSERT_EQUAL(s.start, 1324973);
    CU_ASSERT_EQUAL(s.virtual_bytes, 3133440);
    CU_ASSERT_EQUAL(s.resident_pages, 408);
    for (size_t n = 0; n < 90; n++) { // cut anywhere it is none
        char cut[sizeof(LINE)];
        memcpy(cut, LINE, n);
        cut[n] = 0;
        CU_ASSERT_FALSE(process_stat_parse(cut, n, &s) && s.resident_pages > 408);
    }
    static const char KERNEL[] =
        "9 (kworker/0:1-ev) I 2 0 0 0 -1 69238880 0 0 0 0 0 4 0 0 20 0 1 0 27 0 0 1\n";
    CU_ASSERT_TRUE(process_stat_parse(KERNEL, sizeof(KERNEL) - 1, &s));
    CU_ASSERT_STRING_EQUAL(s.comm, "kworker");
}

static void counted(void)
{
    const char *root = tree();

    process(root, 10, "web", 100, 5, 4);
    process(root, 11, "web", 50, 6, 6);
    process(root, 12, "db", 1, 7, 100);
    char empty[600];
    snprintf(empty, sizeof(empty), "%s/13", root);
    mkdir(empty, 0755); // ended between the list and the look
    sampled_open(&sampler_host_processes, root);
    sampled_tick(1);
    CU_ASSERT_EQUAL(sampled_value(of("num_procs", "web", "")), 2);
    CU_ASSERT_EQUAL(sampled_value(of("num_threads", "web", "")), 4);
    CU_ASSERT_DOUBLE_EQUAL(user_seconds("web"), 150 / HZ, 1e-9);
    CU_ASSERT_EQUAL(
        sampled_value(of("memory_bytes", "web", ",memtype=\"resident\"")), 10 * PAGE);
    CU_ASSERT_EQUAL(sampled_value(of("major_page_faults_total", "web", "")), 6);
    CU_ASSERT_DOUBLE_EQUAL(
        sampled_value(of("oldest_start_time_seconds", "web", "")), 1700000000 + 5 / HZ, 1e-6);
    CU_ASSERT_EQUAL(sampled_value("node_processes_pids"), 3);
    CU_ASSERT_EQUAL(sampled_value("node_processes_state{state=\"S\"}"), 3);
    CU_ASSERT_EQUAL(sampled_value("node_processes_max_processes"), 32768);

    // One ends, one goes on, one begins, and one has the number of another: nothing counts down.
    gone(root, 11);
    process(root, 10, "web", 130, 5, 4);
    process(root, 14, "web", 9, 20, 1);
    process(root, 12, "db", 2, 21, 90);
    sampled_tick(2);
    CU_ASSERT_DOUBLE_EQUAL(user_seconds("web"), (150 + 30 + 9) / HZ, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(user_seconds("db"), (1 + 2) / HZ, 1e-9);
    // It could not be looked at for a round: what it used before is not counted again.
    gone(root, 10);
    sampled_tick(3);
    process(root, 10, "web", 140, 5, 4);
    sampled_tick(4);
    CU_ASSERT_DOUBLE_EQUAL(user_seconds("web"), 189 / HZ, 1e-9);
    process(root, 10, "web", 145, 5, 4);
    sampled_tick(5);
    CU_ASSERT_DOUBLE_EQUAL(user_seconds("web"), 194 / HZ, 1e-9);
    // A process that says less than before (a broken /proc) takes nothing away.
    process(root, 10, "web", 3, 5, 4);
    sampled_tick(6);
    CU_ASSERT_DOUBLE_EQUAL(user_seconds("web"), 194 / HZ, 1e-9);
    sampled_close();
}

static int64_t slow(void *ctx)
{
    int64_t *now = ctx;
    return *now += 3 * NS_PER_MS; // a slice is over when the first names are read
}

static void in_slices(void)
{
    const char *root = tree();
    int64_t now = 0;

    for (int i = 0; i < 300; i++)
        process(root, 100 + i, "many", 1, 5, 1);
    sampled_open(&sampler_host_processes, root);
    sampled.env.clock = (struct clock){.mono_ns = slow, .wall_ns = slow, .ctx = &now};
    sampled_tick(1);
    CU_ASSERT_EQUAL(sampled_id("node_processes_pids"), 0);
    for (int i = 0; i < 100; i++)
        loop_once(sampled.env.loop, 0);
    sampled_tick(2);
    CU_ASSERT_EQUAL(sampled_value("node_processes_pids"), 300);
    CU_ASSERT_DOUBLE_EQUAL(user_seconds("many"), 300 / HZ, 1e-9);
    sampled_close();
}

static void by_service(void)
{
    const char *root = tree();

    process(root, 20, "python3", 1, 5, 4);
    sampled_file(root, "20/cgroup", "0::/system.slice/shop.service\n");
    process(root, 21, "python3", 1, 5, 4);
    sampled_file(root, "21/cgroup", "0::/user.slice/session-1.scope\n");
    sampled_open(&sampler_host_processes, root);
    sampled_tick(1);
    CU_ASSERT_EQUAL(sampled_value(of("num_procs", "python3", ",service=\"shop\"")), 1);
    CU_ASSERT_EQUAL(sampled_value(of("num_procs", "python3", "")), 1);
    // After exec it is another program.
    process(root, 21, "sh", 1, 5, 4);
    sampled_tick(2);
    CU_ASSERT_EQUAL(sampled_value(of("num_procs", "sh", "")), 1);
    sampled_close();
}

static size_t shown(void)
{
    size_t n = 0;

    for (uint32_t i = 1; i <= sampled.n; i++)
        n += sampled.states[i] == VALUE &&
             strncmp(sampled.names[i], "namedprocess_namegroup_num_procs", 32) == 0;
    return n;
}

static void first_ones(void)
{
    struct agent_config config = {.processes_top = 3};
    const char *root = tree();
    char name[16];

    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof(name), "p%02d", i);
        process(root, 100 + i, name, 0, 5, i + 1);
    }
    sampled_open(&sampler_host_processes, root);
    sampled.env.config = &config;
    sampled_tick(1 * NS_PER_S);
    CU_ASSERT_EQUAL(shown(), 3); // by memory; nobody has used CPU since
    CU_ASSERT_EQUAL(sampled_state(of("num_procs", "p39", "")), VALUE);
    // Each round another one is busy: bounded, and those that leave stay for a while.
    for (int i = 0; i < 30; i++) {
        snprintf(name, sizeof(name), "p%02d", i);
        process(root, 100 + i, name, 50, 5, i + 1);
        sampled_tick((2 + i) * NS_PER_S);
        CU_ASSERT_TRUE(shown() <= 12);
        CU_ASSERT_EQUAL(sampled_state(of("num_procs", name, "")), VALUE);
    }
    CU_ASSERT_EQUAL(sampled_state(of("num_procs", "p28", "")), VALUE);
    CU_ASSERT_EQUAL(sampled_state(of("num_procs", "p00", "")), ENDED);
    sampled_tick(31 * NS_PER_S + GROUP_KEEP_NS);
    CU_ASSERT_EQUAL(shown(), 3);
    CU_ASSERT_EQUAL(sampled_state(of("num_procs", "p28", "")), ENDED);
    CU_ASSERT_EQUAL(sampled_state(of("num_procs", "p39", "")), VALUE);
    // Turned off and on again while it runs.
    config.processes_top = 0;
    sampled_tick(1000 * NS_PER_S);
    CU_ASSERT_EQUAL(sampled_state(of("num_procs", "p39", "")), ENDED);
    CU_ASSERT_EQUAL(sampled_state("node_processes_pids"), ENDED);
    config.processes_top = 3;
    sampled_tick(1010 * NS_PER_S);
    CU_ASSERT_EQUAL(shown(), 3);
    sampled_close();
}

// More names than there is room for are one group; nothing grows without end.
static void many_names(void)
{
    struct groups g = {0};
    struct process_stat s = {.threads = 1, .resident_pages = 1};
    struct process_use use = {1, 0, 0, 0};
    char name[16];
    size_t others = 0;

    groups_begin(&g);
    for (int i = 0; i < 3 * GROUPS_MAX; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        uint32_t at = groups_find(&g, name, NULL);
        CU_ASSERT_NOT_EQUAL_FATAL(at, GROUP_NONE);
        others += strcmp(g.list[at].comm, "other") == 0;
        group_add(&g.list[at], &s, &use);
    }
    CU_ASSERT_TRUE(g.n <= GROUPS_MAX);
    CU_ASSERT_EQUAL(others, 3 * GROUPS_MAX - (GROUPS_MAX - 1));
    groups_done(&g);
}

static void hidden(void)
{
    const char *root = tree();

    process(root, 30, "mine", 1, 5, 4);
    sampled_open(&sampler_host_processes, root);
    CU_ASSERT_EQUAL(sampled.rc, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(sampled.sampler.reason, "hidepid"));
    CU_ASSERT_EQUAL(sampled.sampler.lacks, 1ull << CAP_SYS_PTRACE);
    sampled_close();
    process(root, 1, "init", 1, 5, 4);
    sampled_open(&sampler_host_processes, root);
    CU_ASSERT_STRING_EQUAL(sampled.sampler.reason, "");
    sampled_close();
}

static void out_of_memory(void)
{
    const char *root = tree();

    for (int i = 0; i < 40; i++)
        process(root, 100 + i, i % 2 ? "odd" : "even", 0, 5, i + 1);
    sampled_file(root, "101/cgroup", "0::/system.slice/shop.service\n");
    for (int nth = 1; nth < 400; nth++) {
        sampled_open(&sampler_host_processes, root);
        struct tick t = {.n = 1, .interval_ms = 10000, .now_ns = 1, .wall_ms = 1500};
        output_group(sampled.env.out, 10000, 1, 1500);
        oom_fail_at(nth);
        sampled.sampler.ops->tick(&sampled.sampler, &t);
        bool hit = oom_stop();
        sampled_take();
        sampled_close();
        if (!hit)
            return;
    }
    CU_FAIL("allocates without end");
}

static const struct test TESTS[] = {
    {"a line of /proc/PID/stat, whatever the process is called", parsed},
    {"counters are the group's and never go down", counted},
    {"many processes go in slices and are shown together", in_slices},
    {"the same program in two services is two groups", by_service},
    {"the first ones are shown, stay for a while, and are bounded", first_ones},
    {"names beyond the limit are one group", many_names},
    {"a /proc that hides others is told", hidden},
    {"every failed allocation leaks nothing", out_of_memory},
};

int main(void)
{
    return test_main("processes", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}

// SPDX-License-Identifier: Apache-2.0
// Services and containers of a recorded cgroup v2 tree, and of a real one where this host lets us make it.
#include "agent/cgroup.h"
#include "agent/config.h"
#include "tests/lib/oom.h"
#include "tests/unit/agent/sampled.h"
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define ID64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
// Labels are in the order of their names.
#define REDIS "id=\"/system.slice/redis.service\",service=\"redis\""
#define DOCKER                                                                                 \
    "container_cpu_usage_seconds_total{container=\"0123456789ab\",cpu=\"total\","              \
    "id=\"/system.slice/docker-" ID64 ".scope\",service=\"0123456789ab\"}"
#define REDIS_CPU "container_cpu_usage_seconds_total{cpu=\"total\"," REDIS "}"

static struct agent_config config;

static const char *tree(void)
{
    static char root[512];

    snprintf(root, sizeof(root), "%s/cgroup", test_tmpdir());
    char command[600];
    snprintf(command, sizeof(command), "rm -rf %s", root);
    CU_ASSERT_EQUAL_FATAL(system(command), 0);
    mkdir(root, 0755);
    sampled_file(root, "cgroup.controllers", "cpuset cpu io memory pids\n");
    sampled_file(root, "cgroup.stat", "nr_descendants 3\nnr_dying_descendants 0\n");
    sampled_file(root, "dev/block", "");
    sampled_file(root, "system.slice/cpu.stat", "usage_usec 1\n");
    sampled_file(root, "system.slice/redis.service/cpu.stat",
        "usage_usec 1500000\nuser_usec 1000000\nsystem_usec 500000\nnice_usec 0\n"
        "core_sched.force_idle_usec 0\nnr_periods 10\nnr_throttled 4\nthrottled_usec 250000\n"
        "nr_bursts 0\nburst_usec 0\n");
    sampled_file(root, "system.slice/redis.service/memory.current", "10485760\n");
    sampled_file(root, "system.slice/redis.service/memory.max", "max\n");
    sampled_file(root, "system.slice/redis.service/memory.events",
        "low 0\nhigh 3\nmax 2\noom 1\noom_kill 1\noom_group_kill 0\n");
    sampled_file(root, "system.slice/redis.service/memory.stat",
        "anon 4096\nfile 8192\nkernel 1\nshmem 0\nfile_mapped 512\nfile_dirty 0\n"
        "inactive_anon 1\nactive_anon 2\ninactive_file 485760\nactive_file 1\npgfault 77\n"
        "pgmajfault 5\n");
    sampled_file(root, "system.slice/redis.service/io.stat",
        "254:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n"
        "9:1 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n");
    sampled_file(root, "system.slice/redis.service/pids.current", "5\n");
    sampled_file(root, "system.slice/redis.service/pids.max", "4915\n");
    sampled_file(root, "system.slice/redis.service/memory.pressure",
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=3000000\n"
        "full avg10=0.00 avg60=0.00 avg300=0.00 total=1000000\n");
    sampled_file(root, "system.slice/docker-" ID64 ".scope/cpu.stat", "usage_usec 7000000\n");
    sampled_file(root, "user.slice/session-1.scope/cpu.stat", "usage_usec 9\n");
    config = (struct agent_config){.cgroups_max = CGROUP_MAX_DEFAULT};
    return root;
}

static void names(void)
{
    bool container = true;

    CU_ASSERT_TRUE(cgroup_is_service("/system.slice/nginx.service", &container));
    CU_ASSERT_FALSE(container);
    CU_ASSERT_TRUE(cgroup_is_service("/system.slice/docker-" ID64 ".scope", &container));
    CU_ASSERT_TRUE(container);
    // Below a unit nothing is one of its own, unless its own name says so.
    CU_ASSERT_FALSE(cgroup_is_service("/system.slice/nginx.service/workers", &container));
    CU_ASSERT_TRUE(cgroup_is_service("/docker/" ID64 "/system.slice/a.service", &container));
    CU_ASSERT_FALSE(cgroup_is_service("/user.slice/session-1.scope", &container));
    CU_ASSERT_FALSE(cgroup_is_service("/system.slice", &container));
}

static void recorded(void)
{
    static const struct {
        const char *name;
        double value;
    } WANT[] = {
        {REDIS_CPU, 1.5},
        {"container_cpu_user_seconds_total{" REDIS "}", 1},
        {"container_cpu_system_seconds_total{" REDIS "}", .5},
        {"container_cpu_cfs_periods_total{" REDIS "}", 10},
        {"container_cpu_cfs_throttled_periods_total{" REDIS "}", 4},
        {"container_cpu_cfs_throttled_seconds_total{" REDIS "}", .25},
        {"container_memory_usage_bytes{" REDIS "}", 10485760},
        {"container_memory_working_set_bytes{" REDIS "}", 10000000},
        {"container_spec_memory_limit_bytes{" REDIS "}", 0},
        {"container_memory_rss{" REDIS "}", 4096},
        {"container_memory_cache{" REDIS "}", 8192},
        {"container_memory_mapped_file{" REDIS "}", 512},
        {"container_memory_failures_total{failure_type=\"pgmajfault\"," REDIS "}", 5},
        {"container_oom_events_total{" REDIS "}", 1},
        {"tocsin_service_memory_events_total{event=\"high\"," REDIS "}", 3},
        {"container_fs_reads_bytes_total{device=\"254:0\"," REDIS "}", 4096},
        {"container_fs_writes_total{device=\"9:1\"," REDIS "}", 4},
        {"container_threads{" REDIS "}", 5},
        {"container_threads_max{" REDIS "}", 4915},
        {"container_pressure_memory_waiting_seconds_total{" REDIS "}", 3},
        {"container_pressure_memory_stalled_seconds_total{" REDIS "}", 1},
        {DOCKER, 7},
    };

    sampled_open(&sampler_host_cgroup, tree());
    CU_ASSERT_EQUAL(sampled.rc, 0);
    CU_ASSERT_STRING_EQUAL(sampled.sampler.reason, "");
    sampled_tick(1);
    for (size_t i = 0; i < sizeof(WANT) / sizeof(WANT[0]); i++) {
        double v = sampled_value(WANT[i].name);
        if (!(fabs(v - WANT[i].value) < 1e-9))
            printf("    %s is %.17g\n", WANT[i].name, v);
        CU_ASSERT_TRUE(fabs(v - WANT[i].value) < 1e-9);
    }
    // Of what has no file there is no series: the container has only a CPU.
    size_t of_container = 0;
    for (uint32_t i = 1; i <= sampled.n; i++)
        of_container += strstr(sampled.names[i], "container=") != NULL;
    CU_ASSERT_EQUAL(of_container, 1);
    sampled_close();
}

static void ended(void)
{
    const char *root = tree();
    char path[700];

    sampled_open(&sampler_host_cgroup, root);
    sampled_tick(1);
    snprintf(path, sizeof(path), "rm -r %s/system.slice/docker-*", root);
    CU_ASSERT_EQUAL(system(path), 0);
    sampled_file(root, "cgroup.stat", "nr_descendants 2\n");
    sampled_tick(2);
    CU_ASSERT_EQUAL(sampled_state(DOCKER), ENDED);
    CU_ASSERT_EQUAL(sampled_state(REDIS_CPU), VALUE);
    sampled_close();
}

// systemd removes the folder and makes another one of the same name.
static void restarted(void)
{
    const char *root = tree();
    char command[1400];

    sampled_open(&sampler_host_cgroup, root);
    sampled_tick(1);
    snprintf(command, sizeof(command), "mv %s/system.slice/redis.service %s/gone", root, root);
    CU_ASSERT_EQUAL(system(command), 0);
    sampled_file(root, "system.slice/redis.service/cpu.stat", "usage_usec 2000000\n");
    sampled_file(root, "cgroup.stat", "nr_descendants 4\n");
    sampled_tick(2);
    // More than before, and yet begun anew.
    uint32_t id = sampled_id(REDIS_CPU);
    CU_ASSERT_EQUAL(sampled.states[id], RESET);
    CU_ASSERT_EQUAL(sampled.values[id], 2);
    // What it does not have now has no value, and its series go on.
    CU_ASSERT_EQUAL(sampled_state("container_threads{" REDIS "}"), ABSENT);
    sampled_tick(3);
    CU_ASSERT_EQUAL(sampled.states[id], VALUE);
    sampled_close();
}

static void bounded(void)
{
    const char *root = tree();
    char name[128];
    size_t shown;

    for (int i = 0; i < 30; i++) {
        snprintf(name, sizeof(name), "system.slice/more-%02d.service/cpu.stat", i);
        sampled_file(root, name, "usage_usec 5\n");
    }
    config.cgroups_max = 20;
    sampled_open(&sampler_host_cgroup, root);
    sampled.env.config = &config;
    sampled_tick(1);
    shown = 0;
    for (uint32_t i = 1; i <= sampled.n; i++)
        shown += sampled.states[i] == VALUE &&
                 strncmp(sampled.names[i], "container_cpu_usage_", 20) == 0;
    CU_ASSERT_EQUAL(shown, 20);
    CU_ASSERT_PTR_NOT_NULL(strstr(sampled.sampler.reason, "20 of 32 services"));
    config.cgroups_max = 5; // the configuration was read again
    sampled_tick(2);
    shown = 0;
    for (uint32_t i = 1; i <= sampled.n; i++)
        shown += sampled.states[i] == VALUE &&
                 strncmp(sampled.names[i], "container_cpu_usage_", 20) == 0;
    CU_ASSERT_EQUAL(shown, 5);
    config.cgroups_max = 0;
    sampled_tick(3);
    for (uint32_t i = 1; i <= sampled.n; i++)
        CU_ASSERT_NOT_EQUAL(sampled.states[i], VALUE);
    sampled_close();
}

static void without_v2(void)
{
    sampled_open(&sampler_host_cgroup, test_tmpdir());
    CU_ASSERT_EQUAL(sampled.rc, -ENOENT);
    CU_ASSERT_PTR_NOT_NULL(strstr(sampled.sampler.reason, "no cgroup v2"));
    CU_ASSERT_PTR_NOT_NULL(sampled.sampler.fix);
    sampled_close();
    const char *root = tree();
    sampled_file(root, "cgroup.controllers", "cpu\n"); // hybrid: v1 has the others
    sampled_open(&sampler_host_cgroup, root);
    CU_ASSERT_EQUAL(sampled.rc, 0);
    CU_ASSERT_STRING_EQUAL(sampled.sampler.reason, "without memory, io, pids");
    sampled_close();
}

// No descriptor is free: nothing is told, nothing ends, and all is well again afterwards.
static void without_descriptors(void)
{
    struct rlimit before, none;

    sampled_open(&sampler_host_cgroup, tree());
    sampled_tick(1);
    getrlimit(RLIMIT_NOFILE, &before);
    none = before;
    none.rlim_cur = 3;
    sampled_file(sampled.env.cgroup, "cgroup.stat", "nr_descendants 9\n");
    setrlimit(RLIMIT_NOFILE, &none);
    sampled_tick(2);
    setrlimit(RLIMIT_NOFILE, &before);
    for (uint32_t i = 1; i <= sampled.n; i++)
        CU_ASSERT_NOT_EQUAL(sampled.states[i], ENDED);
    sampled_tick(3);
    CU_ASSERT_EQUAL(sampled_state(REDIS_CPU), VALUE);
    sampled_close();
}

static void out_of_memory(void)
{
    const char *root = tree();

    for (int nth = 1; nth < 400; nth++) {
        sampled_open(&sampler_host_cgroup, root);
        oom_fail_at(nth);
        struct tick t = {.n = 1, .interval_ms = 5000, .now_ns = 1, .wall_ms = 1500};
        output_group(sampled.env.out, 5000, 1, 1500);
        sampled.sampler.ops->tick(&sampled.sampler, &t);
        bool hit = oom_stop();
        sampled_take();
        sampled_close();
        if (!hit)
            return;
    }
    CU_FAIL("allocates without end");
}

// A folder of our own in the host's cgroup v2, with a process in it.
static void real(void)
{
    static const char *const ROOTS[] = {"/sys/fs/cgroup/unified", "/sys/fs/cgroup"};
    char slice[256], folder[300], procs[320], name[300];
    const char *root =
        access("/sys/fs/cgroup/unified/cgroup.procs", F_OK) == 0 ? ROOTS[0] : ROOTS[1];
    FILE *f = NULL;

    snprintf(slice, sizeof(slice), "%s/tocsin-test-%d.slice", root, getpid());
    snprintf(folder, sizeof(folder), "%s/busy.service", slice);
    snprintf(procs, sizeof(procs), "%s/cgroup.procs", folder);
    if (mkdir(slice, 0755) == -1 || mkdir(folder, 0755) == -1 || !(f = fopen(procs, "w"))) {
        printf("    skipped: %s may not be written\n", root);
        rmdir(slice);
        return;
    }
    pid_t pid = fork();
    if (pid == 0)
        for (volatile unsigned n = 0;; n++) {
        }
    fprintf(f, "%d\n", pid);
    CU_ASSERT_EQUAL(fclose(f), 0);
    sampled_open(&sampler_host_cgroup, "/sys/fs/cgroup");
    sampled.env.sys = "/sys";
    CU_ASSERT_EQUAL(sampled.rc, 0);
    snprintf(name, sizeof(name),
        "container_cpu_usage_seconds_total{cpu=\"total\",id=\"/tocsin-test-%d.slice/"
        "busy.service\",service=\"busy\"}",
        getpid());
    sampled_tick(1);
    double first = sampled_value(name), last = first;
    for (int i = 0; i < 500 && !(last > first); i++) {
        loop_once(sampled.env.loop, 5);
        sampled_tick(2 + i);
        last = sampled_value(name);
    }
    CU_ASSERT_TRUE(last > first);
    // Killed, and the folder removed and made again: the open file says ENODEV.
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    for (int i = 0; i < 1000 && rmdir(folder) == -1; i++)
        loop_once(sampled.env.loop, 5);
    CU_ASSERT_EQUAL(mkdir(folder, 0755), 0);
    sampled_tick(5000);
    CU_ASSERT_EQUAL(sampled_state(name), RESET);
    CU_ASSERT_TRUE(sampled_value(name) < last);
    CU_ASSERT_EQUAL(rmdir(folder), 0);
    sampled_tick(5001);
    CU_ASSERT_EQUAL(sampled_state(name), ENDED);
    CU_ASSERT_EQUAL(rmdir(slice), 0);
    sampled_close();
}

static const struct test TESTS[] = {
    {"a folder is a service by its own name", names},
    {"a recorded tree gives cAdvisor's names", recorded},
    {"a folder that is gone ends with stale markers", ended},
    {"a service that was restarted keeps its series, counters are reset", restarted},
    {"not more than the configuration says, also after a reload", bounded},
    {"without cgroup v2, or without controllers, the reason says so", without_v2},
    {"without a free descriptor nothing ends", without_descriptors},
    {"every failed allocation leaks nothing", out_of_memory},
    {"a real cgroup: its CPU, its restart, its end", real},
};

int main(void)
{
    return test_main("cgroup", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}

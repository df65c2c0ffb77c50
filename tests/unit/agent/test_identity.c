// SPDX-License-Identifier: Apache-2.0
#include "agent/identity.h"
#include "agent/oom.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define ID    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define SHORT "0123456789ab"

static void paths(void)
{
    static const struct {
        const char *path, *name;
    } cases[] = {
        {"/system.slice/nginx.service", "nginx"},
        {"/system.slice/system-postgresql.slice/postgresql@15-main.service",
            "postgresql@15-main"},
        {"/system.slice/my\\x2dapp.service", "my-app"},
        {"/system.slice/docker-" ID ".scope", SHORT},
        {"/docker/" ID, SHORT},
        {"/system.slice/containerd.service/kubepods-burstable-pod1.slice:cri-containerd:" ID,
            SHORT},
        {"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1.slice/cri-containerd-" ID
         ".scope",
            SHORT},
        {"/kubepods/burstable/pod1234/" ID, SHORT},
        {"/kubepods.slice/kubepods-pod1.slice/crio-" ID ".scope", SHORT},
        {"/default/nerdctl-" ID, NULL},
        {"/machine.slice/libpod-" ID ".scope/container", SHORT},
        {"/machine.slice/libpod-conmon-" ID ".scope", NULL},
        {"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID ".scope", SHORT},
        {"/user.slice/user-1000.slice/user@1000.service/app.slice/sync.service", "sync"},
        {"/user.slice/user-1000.slice/user@1000.service/app.slice/app-x.scope", NULL},
        {"/user.slice/user-1000.slice/session-3.scope", NULL},
        {"/machine.slice/machine-web\\x2d1.scope", "web-1"},
        {"/lxc.payload.mail/system.slice/postfix.service", "postfix"},
        {"/lxc.payload.mail", "mail"},
        {"/system.slice/docker-" ID ".scope/system.slice/redis.service", "redis"},
        {"/init.scope", NULL},
        {"/system.slice", NULL},
        {"/", NULL},
        {"", NULL},
        {"/.service", NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char name[IDENTITY_NAME_MAX] = "";
        bool found = identity_cgroup_name(cases[i].path, name);
        if (found != (cases[i].name != NULL) || (found && strcmp(name, cases[i].name) != 0))
            printf("    %s: %s\n", cases[i].path, found ? name : "none");
        CU_ASSERT_EQUAL(found, cases[i].name != NULL);
        if (found && cases[i].name)
            CU_ASSERT_STRING_EQUAL(name, cases[i].name);
    }
}

static void lines(void)
{
    static const struct {
        const char *text, *path;
    } cases[] = {
        {"0::/system.slice/a.service\n", "/system.slice/a.service"},
        {"12:cpu,cpuacct:/x\n1:name=systemd:/system.slice/b.service\n",
            "/system.slice/b.service"},
        {"1:name=systemd:/system.slice/c.service\n0::/system.slice/c.service\n",
            "/system.slice/c.service"},
        {"1:name=systemd:/\n0::/system.slice/d.service\n", "/system.slice/d.service"},
        {"0::/system.slice/e.service\n1:name=systemd:/\n", "/system.slice/e.service"},
        {"1:name=systemd:/docker/f\n0::/\n", "/docker/f"},
        {"0::/a:b", "/a:b"},
        {"garbage\n\n", NULL},
        {"", NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char path[IDENTITY_PATH_MAX] = "";
        bool found = identity_cgroup_line(cases[i].text, strlen(cases[i].text), path);
        if (found != (cases[i].path != NULL) || (found && strcmp(path, cases[i].path) != 0))
            printf("    case %zu: %s\n", i, found ? path : "none");
        CU_ASSERT_EQUAL(found, cases[i].path != NULL);
        if (found && cases[i].path)
            CU_ASSERT_STRING_EQUAL(path, cases[i].path);
    }
}

static void put(const char *root, const char *file, const char *text)
{
    char path[1024];

    snprintf(path, sizeof(path), "%s/%s", root, file);
    for (char *p = path + strlen(root) + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        mkdir(path, 0755);
        *p = '/';
    }
    FILE *f = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fputs(text, f);
    fclose(f);
}

// v2 at the root, and below "unified" on a hybrid host.
static void trees(void)
{
    static const char *const prefixes[] = {"v2", "hybrid/unified"};

    for (int i = 0; i < 2; i++) {
        char root[512], base[600], folder[800], path[IDENTITY_PATH_MAX];
        struct stat st;
        int32_t pids[4];
        uint64_t kills = 0;
        snprintf(root, sizeof(root), "%s/%s", test_tmpdir(), i ? "hybrid" : "v2");
        snprintf(base, sizeof(base), "%s/%s", test_tmpdir(), prefixes[i]);
        mkdir(root, 0755);
        mkdir(base, 0755);
        put(base, "cgroup.controllers", "memory\n");
        put(base, "system.slice/other.service/cgroup.procs", "");
        put(base, "system.slice/redis.service/cgroup.procs", "12\n34\n");
        put(base, "system.slice/redis.service/memory.events", "low 0\noom 2\noom_kill 3\n");
        snprintf(folder, sizeof(folder), "%s/system.slice/redis.service", base);
        CU_ASSERT_EQUAL_FATAL(stat(folder, &st), 0);
        struct identity_roots r = {"/nowhere", root, "/nowhere"};
        CU_ASSERT_EQUAL_FATAL(identity_cgroup_find(&r, st.st_ino, path), 0);
        CU_ASSERT_STRING_EQUAL(path, "/system.slice/redis.service");
        CU_ASSERT_TRUE(identity_cgroup_find(&r, 1, path) < 0);
        CU_ASSERT_EQUAL(identity_cgroup_pids(&r, "/system.slice/redis.service", pids, 4), 2);
        CU_ASSERT_EQUAL(pids[1], 34);
        CU_ASSERT_TRUE(identity_cgroup_oom_kills(&r, "/system.slice/redis.service", &kills));
        CU_ASSERT_EQUAL(kills, 3);
    }
}

// The unprivileged evidence of an OOM kill: the count of the unit's cgroup has grown.
static void oom_kills(void)
{
    static const char *const paths[] = {
        "/system.slice/redis.service", "/system.slice/none.service"};
    char base[512];
    struct identity_roots r = {"/nowhere", base, "/nowhere"};
    struct oom_watch w = {0}, none = {0};

    snprintf(base, sizeof(base), "%s/oom", test_tmpdir());
    mkdir(base, 0755);
    put(base, "cgroup.controllers", "memory\n");
    put(base, "system.slice/redis.service/memory.events", "low 0\noom 2\noom_kill 3\n");
    oom_watch_init(&w, &r, paths[0]);
    oom_watch_init(&none, &r, paths[1]);
    CU_ASSERT_FALSE(oom_watch_hit(&w, &r));
    put(base, "system.slice/redis.service/memory.events", "low 0\noom 3\noom_kill 4\n");
    CU_ASSERT_TRUE(oom_watch_hit(&w, &r));
    CU_ASSERT_FALSE(oom_watch_hit(&w, &r)); // told once
    CU_ASSERT_FALSE(oom_watch_hit(&none, &r));
    for (int nth = 1; nth < 3; nth++) { // without memory nothing is watched, and nothing breaks
        oom_fail_at(nth);
        oom_watch_init(&w, &r, paths[0]);
        bool hit = oom_stop();
        CU_ASSERT_EQUAL(w.path == NULL, hit);
        CU_ASSERT_FALSE(oom_watch_hit(&w, &r));
    }
    oom_watch_done(&w);
    oom_watch_done(&w);
}

static void search_without_memory(void)
{
    struct identity_roots r = {"/proc", "/nowhere", "/nowhere"};
    struct identity_want want = {.inode = 1};

    for (int nth = 1;; nth++) {
        struct identity_scan s;
        oom_fail_at(nth);
        int rc = identity_scan_begin(&s, &r, &want, 1);
        bool hit = oom_stop();
        identity_scan_done(&s);
        if (!hit) {
            CU_ASSERT_EQUAL(rc, 0);
            break;
        }
        CU_ASSERT_EQUAL(rc, -ENOMEM);
    }
}

static void processes(void)
{
    char root[512], services[512], link[600], name[IDENTITY_NAME_MAX];
    snprintf(root, sizeof(root), "%s/proc", test_tmpdir());
    snprintf(services, sizeof(services), "%s/services", test_tmpdir());
    mkdir(root, 0755);
    put(test_tmpdir(), "services", "# x\nhttp\t80/tcp www\ndomain 53/udp\n");
    struct identity_roots r = {root, "/nowhere", services};
    // A master, its worker and an unrelated process; the two hold socket 777.
    put(root, "20/comm", "nginx\n");
    put(root, "20/stat", "20 (ng) (x) S 1 20 20\n");
    put(root, "20/cgroup", "0::/user.slice/session-1.scope\n");
    put(root, "21/comm", "worker\n");
    put(root, "21/stat", "21 (worker) S 20 20 20\n");
    put(root, "30/comm", "unit\n");
    put(root, "30/cgroup", "1:name=systemd:/system.slice/v1.service\n");
    // The kernel cuts a name at 15 bytes: the file has the rest, unless the process chose the name.
    put(root, "40/comm", "tocsin-collecto\n");
    put(root, "41/comm", "postgres: check\n");
    put(root, "42/comm", "tocsin-collecto\n");
    CU_ASSERT_EQUAL(symlink("/usr/bin/tocsin-collector",
                        (snprintf(link, sizeof(link), "%s/40/exe", root), link)),
        0);
    CU_ASSERT_EQUAL(symlink("/usr/lib/postgresql/15/bin/postgres",
                        (snprintf(link, sizeof(link), "%s/41/exe", root), link)),
        0);
    CU_ASSERT_EQUAL(symlink("/usr/bin/tocsin-collector (deleted)",
                        (snprintf(link, sizeof(link), "%s/42/exe", root), link)),
        0);
    mkdir((snprintf(link, sizeof(link), "%s/20/fd", root), link), 0755);
    mkdir((snprintf(link, sizeof(link), "%s/21/fd", root), link), 0755);
    CU_ASSERT_EQUAL(
        symlink("socket:[777]", (snprintf(link, sizeof(link), "%s/20/fd/3", root), link)), 0);
    CU_ASSERT_EQUAL(
        symlink("socket:[777]", (snprintf(link, sizeof(link), "%s/21/fd/3", root), link)), 0);
    CU_ASSERT_EQUAL(
        symlink("pipe:[778]", (snprintf(link, sizeof(link), "%s/21/fd/4", root), link)), 0);

    CU_ASSERT_EQUAL(identity_pid_parent(&r, 20), 1);
    CU_ASSERT_EQUAL(identity_pid_parent(&r, 99), 0);
    CU_ASSERT_TRUE(identity_pid_name(&r, 20, name));
    CU_ASSERT_STRING_EQUAL(name, "nginx");
    CU_ASSERT_TRUE(identity_pid_name(&r, 30, name));
    CU_ASSERT_STRING_EQUAL(name, "v1");
    CU_ASSERT_TRUE(identity_pid_name(&r, 40, name));
    CU_ASSERT_STRING_EQUAL(name, "tocsin-collector");
    CU_ASSERT_TRUE(identity_pid_name(&r, 41, name));
    CU_ASSERT_STRING_EQUAL(name, "postgres: check");
    CU_ASSERT_TRUE(identity_pid_name(&r, 42, name));
    CU_ASSERT_STRING_EQUAL(name, "tocsin-collector");
    CU_ASSERT_FALSE(identity_pid_name(&r, 1, name));
    CU_ASSERT_FALSE(identity_pid_name(&r, 99, name));
    CU_ASSERT_EQUAL(identity_pid_holds(&r, 21, 777), 1);
    CU_ASSERT_EQUAL(identity_pid_holds(&r, 21, 778), 0);
    identity_port_name(&r, 80, name);
    CU_ASSERT_STRING_EQUAL(name, "http");
    identity_port_name(&r, 53, name);
    CU_ASSERT_STRING_EQUAL(name, "port-53");

    struct identity_want wants[2] = {{.inode = 777}, {.inode = 778}};
    struct identity_scan scan;
    CU_ASSERT_EQUAL_FATAL(identity_scan_begin(&scan, &r, wants, 2), 0);
    int steps = 1;
    while (identity_scan_step(&scan, &r))
        steps++;
    CU_ASSERT_EQUAL(steps, 6);
    CU_ASSERT_EQUAL(wants[0].pid, 20); // the master, though the worker is found first
    CU_ASSERT_EQUAL(wants[1].pid, 0);
    CU_ASSERT_PTR_NULL(scan.pids);
}

static const struct test TESTS[] = {
    {"units and containers are read from their cgroup path", paths},
    {"the path that tells is chosen on v1, v2 and hybrid", lines},
    {"a cgroup is found by its inode, with its processes", trees},
    {"a holder is found with its master and named", processes},
    {"an OOM kill in a unit's cgroup is seen once", oom_kills},
    {"a search without memory says so", search_without_memory},
};

int main(void)
{
    return test_main("identity", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}

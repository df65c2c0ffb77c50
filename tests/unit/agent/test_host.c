// SPDX-License-Identifier: Apache-2.0
// Exact values from a recorded tree, then this host beside Debian's node_exporter: what we export
// must be there under the same name and labels, with the value of the same moment.
#include "agent/host.h"
#include "base/buf.h"
#include "tests/lib/run.h"
#include <arpa/inet.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEXT_MAX  (4u << 20)
#define NAMES_MAX 4096

static const char *const EXPORTER = "/usr/bin/prometheus-node-exporter";

static const struct sampler_ops *const HOST[] = {&sampler_host_cpu, &sampler_host_memory,
    &sampler_host_disk, &sampler_host_filesystem, &sampler_host_network, &sampler_host_netstat,
    &sampler_host_pressure, &sampler_host_load};
enum { N_HOST = sizeof(HOST) / sizeof(HOST[0]) };

static struct world {
    struct env env;
    struct sampler samplers[N_HOST];
    char *names[NAMES_MAX]; // by id: name{label="value",...} without job
    double values[NAMES_MAX];
    bool sampled[NAMES_MAX];
    uint32_t n;
    uint64_t seq;
} w;

static void put(const char *root, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", root, name);
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

static void open_world(const char *proc, const char *sys)
{
    memset(&w, 0, sizeof(w));
    w.env = (struct env){.loop = loop_new(),
        .out = output_new(),
        .clock = clock_system(),
        .proc = proc,
        .sys = sys};
    for (int i = 0; i < N_HOST; i++) {
        w.samplers[i] = (struct sampler){.ops = HOST[i], .env = &w.env};
        w.samplers[i].available = HOST[i]->open(&w.samplers[i]) == 0;
    }
}

static void close_world(void)
{
    for (int i = 0; i < N_HOST; i++) // also one that did not open: it may be half open
        HOST[i]->close(&w.samplers[i]);
    for (uint32_t i = 0; i <= w.n; i++)
        free(w.names[i]);
    output_free(w.env.out);
    loop_free(w.env.loop);
}

static void declared(const struct batch_declare *d)
{
    struct buf b;
    bool any = false;

    CU_ASSERT_TRUE_FATAL(d->id < NAMES_MAX);
    buf_init(&b, 4096);
    buf_adds(&b, d->name);
    for (size_t k = 0; k < d->n_labels; k++) {
        if (strcmp(d->labels[k].name, "job") == 0) {
            CU_ASSERT_STRING_EQUAL(d->labels[k].value, "node");
            continue;
        }
        buf_addf(&b, "%c%s=\"%s\"", any ? ',' : '{', d->labels[k].name, d->labels[k].value);
        any = true;
    }
    buf_adds(&b, any ? "}" : "");
    w.names[d->id] = strdup(buf_cstr(&b));
    w.n = d->id > w.n ? d->id : w.n;
    buf_done(&b);
}

static void sample(void)
{
    struct tick t = {.n = (int64_t)++w.seq, .interval_ms = 1000, .now_ns = 1, .wall_ms = 1500};

    memset(w.sampled, 0, sizeof(w.sampled));
    output_group(w.env.out, 1000, t.n, t.wall_ms);
    for (int i = 0; i < N_HOST; i++)
        if (w.samplers[i].available)
            HOST[i]->tick(&w.samplers[i], &t);
    const struct batch *b = output_take(w.env.out, w.seq, t.wall_ms, 1);
    for (size_t i = 0; i < b->n_declares; i++)
        declared(&b->declares[i]);
    for (size_t g = 0; g < b->n_groups; g++)
        for (size_t i = 0; i < b->groups[g].n; i++) {
            const struct batch_sample *s = &b->groups[g].samples[i];
            if (s->kind != SAMPLE_VALUE)
                continue;
            w.values[s->id] = s->value;
            w.sampled[s->id] = true;
        }
}

static double value(const char *name)
{
    for (uint32_t i = 1; i <= w.n; i++)
        if (w.names[i] && w.sampled[i] && strcmp(w.names[i], name) == 0)
            return w.values[i];
    printf("    no sample of %s\n", name);
    return NAN;
}

static void tree(char root[static 256])
{
    snprintf(root, 256, "%s/tree", test_tmpdir());
    mkdir(root, 0755);
    put(root, "stat",
        "cpu  300 4 50 6000 7 8 9 10 11 12\n"
        "cpu0 100 2 30 4000 3 4 5 6 7 8\n"
        "cpu1 200 2 20 2000 4 4 4 4 4 4\n"
        "intr 123456 1 2 3\nctxt 98765\nbtime 1700000000\nprocesses 4321\nprocs_running 3\n"
        "procs_blocked 1\nsoftirq 5 1 2\n");
    put(root, "meminfo",
        "MemTotal:       24684084 kB\nMemFree:         100 kB\nMemAvailable:    2000 kB\n"
        "Active(anon):    64 kB\nHugePages_Total:       3\n");
    put(root, "vmstat", "nr_free_pages 5\npgfault 77\npgmajfault 8\noom_kill 2\n");
    put(root, "loadavg", "1.18 0.62 0.39 3/116 28395\n");
    put(root, "sys/fs/file-nr", "875\t0\t2466170\n");
    put(root, "net/dev",
        "Inter-|   Receive                                                |  Transmit\n"
        " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs "
        "drop fifo colls carrier compressed\n"
        "  eth0: 1000 10 1 2 3 4 5 6 2000 20 7 8 9 10 11 12\n");
    put(root, "net/snmp",
        "Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens\n"
        "Tcp: 1 200 120000 -1 17 18446744073709551615\n");
    put(root, "net/netstat", "TcpExt: SyncookiesSent ListenOverflows\nTcpExt: 5 6\n");
    put(root, "net/sockstat", "sockets: used 24\nTCP: inuse 3 orphan 0 tw 4 alloc 5 mem 2\n");
    put(root, "net/softnet_stat",
        "000aa004 0000044b 00000003 00000000 00000000 00000000 00000000 00000000 00000000 "
        "00000000 00000000 00000000 00000000\n");
    put(root, "pressure/cpu", "some avg10=27.24 avg60=7.90 avg300=2.00 total=3500000\n");
    put(root, "pressure/io",
        "some avg10=0.00 avg60=0.03 avg300=0.00 total=10\n"
        "full avg10=0.00 avg60=0.00 avg300=0.00 total=2000000\n");
    put(root, "pressure/memory", "some total=5\nfull total=6\n");
}

static void recorded(void)
{
    static const struct {
        const char *name;
        double value;
    } WANT[] = {
        {"node_cpu_seconds_total{cpu=\"0\",mode=\"user\"}", 1.0},
        {"node_cpu_seconds_total{cpu=\"1\",mode=\"idle\"}", 20.0},
        {"node_cpu_seconds_total{cpu=\"0\",mode=\"steal\"}", 0.06},
        {"node_cpu_guest_seconds_total{cpu=\"0\",mode=\"user\"}", 0.07},
        {"node_intr_total", 123456},
        {"node_context_switches_total", 98765},
        {"node_boot_time_seconds", 1700000000},
        {"node_forks_total", 4321},
        {"node_procs_running", 3},
        {"node_procs_blocked", 1},
        {"node_memory_MemTotal_bytes", 24684084 * 1024.0},
        {"node_memory_MemAvailable_bytes", 2000 * 1024.0},
        {"node_memory_Active_anon_bytes", 64 * 1024.0},
        {"node_memory_HugePages_Total", 3},
        {"node_vmstat_pgfault", 77},
        {"node_vmstat_oom_kill", 2},
        {"node_load1", 1.18},
        {"node_load5", 0.62},
        {"node_load15", 0.39},
        {"node_filefd_allocated", 875},
        {"node_filefd_maximum", 2466170},
        {"node_network_receive_bytes_total{device=\"eth0\"}", 1000},
        {"node_network_receive_drop_total{device=\"eth0\"}", 2},
        {"node_network_transmit_packets_total{device=\"eth0\"}", 20},
        {"node_netstat_Tcp_ActiveOpens", 17},
        {"node_netstat_Tcp_PassiveOpens", 18446744073709551615.0},
        {"node_netstat_TcpExt_SyncookiesSent", 5},
        {"node_netstat_TcpExt_ListenOverflows", 6},
        {"node_sockstat_sockets_used", 24},
        {"node_sockstat_TCP_tw", 4},
        {"node_softnet_processed_total{cpu=\"0\"}", 0xaa004},
        {"node_softnet_dropped_total{cpu=\"0\"}", 0x44b},
        {"node_softnet_times_squeezed_total{cpu=\"0\"}", 3},
        {"node_pressure_cpu_waiting_seconds_total", 3.5},
        {"node_pressure_io_stalled_seconds_total", 2},
    };
    char root[256];

    tree(root);
    open_world(root, root);
    sample();
    for (size_t i = 0; i < sizeof(WANT) / sizeof(WANT[0]); i++) {
        double v = value(WANT[i].name);
        if (!(fabs(v - WANT[i].value) <= 1e-12 * fabs(WANT[i].value)))
            printf("    %s is %.17g\n", WANT[i].name, v);
        CU_ASSERT_TRUE(fabs(v - WANT[i].value) <= 1e-12 * fabs(WANT[i].value));
    }
    close_world();
}

// Another kernel module puts columns in front of ours: they are learned anew.
static void moved_columns(void)
{
    char root[256];

    tree(root);
    open_world(root, root);
    sample();
    CU_ASSERT_EQUAL(value("node_netstat_Tcp_ActiveOpens"), 17);
    put(root, "net/snmp",
        "Mptcp: One Two\nMptcp: 1 2\n"
        "Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens\n"
        "Tcp: 1 200 120000 -1 18 19\n");
    sample();
    CU_ASSERT_EQUAL(value("node_netstat_Tcp_ActiveOpens"), 18);
    CU_ASSERT_EQUAL(value("node_netstat_Tcp_PassiveOpens"), 19);
    close_world();
}

// --- beside node_exporter -----------------------------------------------------------------------

static pid_t exporter_start(uint16_t *ret_port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    char listen_arg[64];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (bind(fd, (struct sockaddr *)&a, len) == -1) {
        close(fd);
        return -1;
    }
    getsockname(fd, (struct sockaddr *)&a, &len);
    close(fd);
    *ret_port = ntohs(a.sin_port);
    snprintf(listen_arg, sizeof(listen_arg), "--web.listen-address=127.0.0.1:%u", *ret_port);
    pid_t pid = fork();
    if (pid == 0) {
        FILE *none = freopen("/dev/null", "w", stderr);
        if (none)
            // Its own defaults, which Debian narrows.
            execl(EXPORTER, EXPORTER, listen_arg, "--log.level=error",
                "--collector.netdev.device-exclude=",
                "--collector.filesystem.mount-points-exclude="
                "^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|"
                "var/lib/containers/storage/.+)($|/)",
                (char *)NULL);
        _exit(127);
    }
    return pid;
}

static bool scrape(uint16_t port, struct buf *text)
{
    static const char REQUEST[] = "GET /metrics HTTP/1.0\r\n\r\n";
    struct sockaddr_in a = {.sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char part[16384];
    ssize_t n = -1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    buf_reset(text);
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0 &&
        write(fd, REQUEST, sizeof(REQUEST) - 1) == (ssize_t)sizeof(REQUEST) - 1)
        while ((n = read(fd, part, sizeof(part))) > 0)
            buf_add(text, part, (size_t)n);
    close(fd);
    return n == 0 && text->len > 0;
}

// The value of "\nNAME " in the exposition.
static bool exported(struct buf *text, const char *name, double *ret)
{
    char line[4200];
    int n = snprintf(line, sizeof(line), "\n%s ", name);
    const char *at = n < (int)sizeof(line) ? strstr(buf_cstr(text), line) : NULL;

    if (at)
        *ret = strtod(at + n, NULL);
    return at != NULL;
}

// Ours alone: what tells an overload and node_exporter leaves out.
static bool is_extra(const char *name)
{
    static const char *const EXTRA[] = {"node_netstat_TcpExt_RcvPruned",
        "node_netstat_TcpExt_TCPAbortOnMemory", "node_netstat_TcpExt_TCPReqQFullDrop",
        "node_netstat_Tcp_AttemptFails", "node_netstat_Tcp_EstabResets"};

    for (size_t i = 0; i < sizeof(EXTRA) / sizeof(EXTRA[0]); i++)
        if (strcmp(EXTRA[i], name) == 0)
            return true;
    return false;
}

static void beside_node_exporter(void)
{
    struct buf before, after;
    uint16_t port = 0;
    bool up = false;

    if (access(EXPORTER, X_OK) != 0) {
        printf("    skipped: no %s here\n", EXPORTER);
        return;
    }
    pid_t pid = exporter_start(&port);
    CU_ASSERT_TRUE_FATAL(pid > 0);
    buf_init(&before, TEXT_MAX);
    buf_init(&after, TEXT_MAX);
    open_world("/proc", "/sys");
    struct clock c = clock_system();
    int64_t until = clock_mono_ns(&c) + 10 * NS_PER_S;
    while (!up && clock_mono_ns(&c) < until) {
        up = scrape(port, &before);
        if (!up)
            loop_once(w.env.loop, 20); // it starts
    }
    CU_ASSERT_TRUE(up);
    if (up)
        up = scrape(port, &before); // the first one reads what later ones do not
    sample();
    CU_ASSERT_TRUE(up && scrape(port, &after));
    int compared = 0, missing = 0, off = 0;
    for (uint32_t i = 1; up && i <= w.n; i++) {
        double low, high, ours = w.values[i];
        if (!w.names[i] || !w.sampled[i] || strcmp(w.names[i], "node_time_seconds") == 0)
            continue;
        if (!exported(&before, w.names[i], &low) || !exported(&after, w.names[i], &high)) {
            if (!is_extra(w.names[i])) {
                printf("    not in node_exporter: %s\n", w.names[i]);
                missing++;
            }
            continue;
        }
        compared++;
        // Read between the two: in their range, or as near to it as a gauge goes in that time.
        if (low > high) {
            double swap = low;
            low = high;
            high = swap;
        }
        double slack = fmax(2, 0.02 * fmax(fabs(low), fabs(high)));
        if (ours < low - slack || ours > high + slack) {
            printf(
                "    %s: %.17g, node_exporter %.17g to %.17g\n", w.names[i], ours, low, high);
            off++;
        }
    }
    printf("    %d series compared with node_exporter's\n", compared);
    CU_ASSERT_TRUE(compared > 100);
    CU_ASSERT_EQUAL(missing, 0);
    CU_ASSERT_TRUE(off * 50 <= compared); // a machine that works moves a few in between
    close_world();
    buf_done(&before);
    buf_done(&after);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static const struct test TESTS[] = {
    {"a recorded tree gives node_exporter's names and values", recorded},
    {"columns that moved are learned anew", moved_columns},
    {"this host's series are those of node_exporter", beside_node_exporter},
};

int main(void)
{
    return test_main("host", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}

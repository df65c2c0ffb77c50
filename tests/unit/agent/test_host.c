// SPDX-License-Identifier: Apache-2.0
// Exact values from a recorded tree, then this host, and such a tree, beside Debian's node_exporter:
// what we export must be there under the same name and labels, with the value of the same moment,
// and what it exports must be ours or stand in the list of what is left out.
#include "agent/host.h"
#include "agent/processes.h"
#include "base/buf.h"
#include "tests/lib/run.h"
#include <arpa/inet.h>
#include <ctype.h>
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
    &sampler_host_pressure, &sampler_host_load, &sampler_host_clock, &sampler_host_tables,
    &sampler_host_netclass, &sampler_host_raid, &sampler_host_processes};
enum { N_HOST = sizeof(HOST) / sizeof(HOST[0]) };

static struct world {
    struct env env;
    struct clock_manual time;
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
        .clock = clock_manual(&w.time),
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
    put(root, "net/arp",
        "IP address       HW type     Flags       HW address            Mask     Device\n"
        "192.0.2.1        0x1         0x2         02:fc:00:00:00:05     *        eth0\n"
        "192.0.2.2        0x1         0x2         02:fc:00:00:00:06     *        eth0\n"
        "192.0.2.3        0x1         0x0         00:00:00:00:00:00     *        eth1\n");
    put(root, "net/udp",
        "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  "
        "timeout inode ref pointer drops             \n"
        "  122: 00000000:0044 00000000:0000 07 00000010:00000A00 00:00000000 00000000     0        "
        "0 1 2 0000000000000000 0             \n"
        "  123: 0100007F:0045 00000000:0000 07 00000001:00000001 00:00000000 00000000     0        "
        "0 2 2 0000000000000000 0             \n");
    put(root, "sys/net/netfilter/nf_conntrack_count", "123\n");
    put(root, "sys/net/netfilter/nf_conntrack_max", "65536\n");
    put(root, "net/stat/nf_conntrack",
        "entries  clashres found new invalid ignore delete chainlength insert insert_failed drop "
        "early_drop icmp_error  expect_new expect_create expect_delete search_restart\n"
        "00000021  00000000 00000002 00000000 00000003 000057ca 00000000 00000000 00000000 "
        "00000005 00000006 00000007 00000000  00000000 00000000 00000000 00000004\n"
        "00000021  00000000 00000010 00000000 00000037 00003f8c 00000000 00000000 00000000 "
        "00000000 00000000 00000000 00000000  00000000 00000000 00000000 00000003\n");
    put(root, "sys/kernel/random/entropy_avail", "1337\n");
    put(root, "sys/kernel/random/poolsize", "4096\n");
    put(root, "mdstat",
        "Personalities : [raid1] [raid6] [raid5] [raid4] [raid0]\n"
        "md3 : active raid6 sda1[8] sdh1[7] sdg1[6] sdf1[5] sde1[11] sdd1[3](F) sdc1[10] "
        "sdb1[9](S)\n"
        "      5853468288 blocks super 1.2 level 6, 64k chunk, algorithm 2 [8/6] [UUUUUU__]\n"
        "      bitmap: 0/7 pages [0KB], 65536KB chunk\n\n"
        "md7 : active raid1 sdb1[1] sda1[0]\n"
        "      7813735424 blocks super 1.2 [2/1] [U_]\n"
        "      [>....................]  recovery =  1.2% (93770848/7813735424) finish=1.0min "
        "speed=100K/sec\n\n"
        "md8 : active raid1 sdb2[1] sda2[0]\n"
        "      195310144 blocks [2/2] [UU]\n"
        "      [=>...................]  resync =  8.5% (16775552/195310144) finish=17.0min "
        "speed=259783K/sec\n\n"
        "md0 : inactive sdb3[0](S)\n"
        "      3068 blocks super external:imsm\n\n"
        "md10 : active raid0 sda4[0] sdb4[1]\n"
        "      314159265 blocks 64k chunks\n\n"
        "unused devices: <none>\n");
    put(root, "class/net/bonding_masters", "bond0\n");
    put(root, "class/net/bond0/bonding/slaves", "eth1 eth4\n");
    put(root, "class/net/bond0/lower_eth1/bonding_slave/mii_status", "up\n");
    put(root, "class/net/bond0/lower_eth4/bonding_slave/mii_status", "down\n");
    put(root, "class/net/bond0/carrier_changes", "4\n");
    put(root, "class/net/bond0/flags", "0x1003\n");
    put(root, "class/net/bond0/mtu", "9000\n");
    put(root, "class/net/bond0/speed", "10000\n");
    put(root, "class/net/bond0/operstate", "up\n");
    put(root, "class/net/bond0/address", "02:fc:00:00:00:01\n");
    put(root, "class/net/bond0/duplex", "full\n");
    put(root, "devices/system/clocksource/clocksource0/available_clocksource", "tsc hpet\n");
    put(root, "devices/system/clocksource/clocksource0/current_clocksource", "tsc\n");
    put(root, "pressure/cpu", "some avg10=27.24 avg60=7.90 avg300=2.00 total=3500000\n");
    put(root, "pressure/io",
        "some avg10=0.00 avg60=0.03 avg300=0.00 total=10\n"
        "full avg10=0.00 avg60=0.00 avg300=0.00 total=2000000\n");
    put(root, "pressure/memory",
        "some avg10=0.00 avg60=0.03 avg300=0.00 total=5\n"
        "full avg10=0.00 avg60=0.00 avg300=0.00 total=6\n");
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
        {"node_arp_entries{device=\"eth0\"}", 2},
        {"node_arp_entries{device=\"eth1\"}", 1},
        {"node_udp_queues{ip=\"v4\",queue=\"tx\"}", 17},
        {"node_udp_queues{ip=\"v4\",queue=\"rx\"}", 2561},
        {"node_nf_conntrack_entries", 123},
        {"node_nf_conntrack_entries_limit", 65536},
        {"node_nf_conntrack_stat_found", 0x12},
        {"node_nf_conntrack_stat_ignore", 0x57ca + 0x3f8c},
        {"node_nf_conntrack_stat_search_restart", 7},
        {"node_entropy_available_bits", 1337},
        {"node_md_disks{device=\"md3\",state=\"active\"}", 6},
        {"node_md_disks{device=\"md3\",state=\"failed\"}", 1},
        {"node_md_disks{device=\"md3\",state=\"spare\"}", 1},
        {"node_md_disks_required{device=\"md3\"}", 8},
        {"node_md_blocks_synced{device=\"md7\"}", 93770848},
        {"node_md_state{device=\"md7\",state=\"recovering\"}", 1},
        {"node_md_disks_required{device=\"md10\"}", 2},
        {"node_bonding_slaves{master=\"bond0\"}", 2},
        {"node_bonding_active{master=\"bond0\"}", 1},
        {"node_network_speed_bytes{device=\"bond0\"}", 1.25e9},
        {"node_network_flags{device=\"bond0\"}", 0x1003},
        {"node_time_clocksource_current_info{clocksource=\"tsc\",device=\"0\"}", 1},
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

// The kernel computes idle and iowait when they are read: they go back by some ticks.
static void cpu_goes_back(void)
{
    char root[256];

    tree(root);
    open_world(root, root);
    sample();
    put(root, "stat", "cpu  1\ncpu0 100 2 30 3990 2 4 5 6 7 8\ncpu1 210 2 20 10 4 4 4 4 4 4\n");
    sample();
    CU_ASSERT_EQUAL(value("node_cpu_seconds_total{cpu=\"0\",mode=\"idle\"}"), 40);
    CU_ASSERT_EQUAL(value("node_cpu_seconds_total{cpu=\"0\",mode=\"iowait\"}"), 0.03);
    // The second one was taken away and came back: it began anew.
    CU_ASSERT_EQUAL(value("node_cpu_seconds_total{cpu=\"1\",mode=\"idle\"}"), 0.1);
    CU_ASSERT_EQUAL(value("node_cpu_seconds_total{cpu=\"1\",mode=\"user\"}"), 2.1);
    put(root, "stat", "cpu  1\ncpu0 100 2 30 4001 4 4 5 6 7 8\n");
    sample();
    CU_ASSERT_EQUAL(value("node_cpu_seconds_total{cpu=\"0\",mode=\"idle\"}"), 40.01);
    close_world();
}

// Files that were opened and read nothing, or are gone, are no zeros.
static void nothing_is_no_zero(void)
{
    static const char *const NUMBERS[] = {"node_load1", "node_filefd_allocated",
        "node_memory_MemTotal_bytes", "node_entropy_available_bits",
        "node_netstat_Tcp_ActiveOpens", "node_sockstat_TCP_tw",
        "node_pressure_io_stalled_seconds_total", "node_intr_total",
        "node_nf_conntrack_entries", "node_vmstat_pgfault",
        "node_cpu_seconds_total{cpu=\"0\",mode=\"user\"}",
        "node_network_receive_bytes_total{device=\"eth0\"}",
        "node_md_disks_required{device=\"md3\"}", "node_softnet_processed_total{cpu=\"0\"}"};
    char root[256], command[300];

    tree(root);
    open_world(root, root);
    sample();
    for (size_t i = 0; i < sizeof(NUMBERS) / sizeof(NUMBERS[0]); i++)
        CU_ASSERT_FALSE(isnan(value(NUMBERS[i])));
    for (int gone = 0; gone < 2; gone++) {
        snprintf(command, sizeof(command),
            gone ? "rm -r %s" : "find %s -type f -exec truncate -s 0 {} +", root);
        CU_ASSERT_EQUAL(system(command), 0);
        sample();
        for (uint32_t i = 1; i <= w.n; i++)
            for (size_t k = 0; k < sizeof(NUMBERS) / sizeof(NUMBERS[0]); k++)
                if (w.sampled[i] && strcmp(w.names[i], NUMBERS[k]) == 0) {
                    printf("    %s is %g\n", w.names[i], w.values[i]);
                    CU_FAIL("a value of nothing");
                }
    }
    close_world();
    tree(root); // it comes back
}

// --- beside node_exporter -----------------------------------------------------------------------

// proc and sys are the trees it looks at; NULL: this host.
static pid_t exporter_start(uint16_t *ret_port, const char *tree)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    char listen_arg[64], proc[300], sys[300];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (bind(fd, (struct sockaddr *)&a, len) == -1) {
        close(fd);
        return -1;
    }
    getsockname(fd, (struct sockaddr *)&a, &len);
    close(fd);
    *ret_port = ntohs(a.sin_port);
    snprintf(listen_arg, sizeof(listen_arg), "--web.listen-address=127.0.0.1:%u", *ret_port);
    snprintf(proc, sizeof(proc), "--path.procfs=%s", tree ? tree : "/proc");
    snprintf(sys, sizeof(sys), "--path.sysfs=%s", tree ? tree : "/sys");
    pid_t pid = fork();
    if (pid == 0) {
        FILE *none = freopen("/dev/null", "w", stderr);
        if (none)
            // Its own defaults, which Debian narrows and widens.
            execl(EXPORTER, EXPORTER, listen_arg, proc, sys, "--log.level=error",
                "--no-collector.systemd", "--collector.processes",
                "--collector.netdev.device-exclude=",
                "--collector.filesystem.mount-points-exclude="
                "^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|"
                "var/lib/containers/storage/.+)($|/)",
                (char *)NULL);
        _exit(127);
    }
    return pid;
}

// A label without a value is no label.
static void drop_empty_labels(struct buf *text)
{
    char *begin = (char *)text->data, *to = begin;

    for (const char *p = begin, *end = begin + text->len; p < end;) {
        const char *name = p + (*p == ',');
        size_t n = 0;
        while ((*p == ',' || (p > begin && p[-1] == '{')) && name + n < end &&
               (isalnum((unsigned char)name[n]) || name[n] == '_'))
            n++;
        if (n && end - name - n > 3 && memcmp(name + n, "=\"\"", 3) == 0) {
            p = name + n + 3;
            if (to[-1] == '{' && *p == ',')
                p++;
            continue;
        }
        *to++ = *p++;
    }
    text->len = (size_t)(to - begin);
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
    drop_empty_labels(text);
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

// There only while a process is in that state.
static bool is_passing(const char *name)
{
    return strncmp(name, "node_processes_state", 20) == 0;
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
    return strncmp(name, "namedprocess_", 13) == 0 || is_passing(name);
}

// What host.h says is left out, by the beginning of its name.
static bool is_left_out(const char *name, double v)
{
    static const char *const LEFT_OUT[] = {"go_", "process_", "promhttp_", "node_exporter_",
        "node_scrape_", "node_textfile_", "node_disk_info", "node_dmi_", "node_selinux_",
        "node_hwmon_", "node_thermal_", "node_cooling_", "node_power_supply_", "node_rapl_",
        "node_edac_", "node_nvme_", "node_infiniband_", "node_fibrechannel_", "node_tape_",
        "node_nfs_", "node_nfsd_", "node_xfs_", "node_zfs_", "node_btrfs_", "node_bcache_",
        "node_ipvs_", "node_cpu_scaling_", "node_cpu_frequency_", "node_schedstat_",
        "node_processes_threads_state"};

    for (size_t i = 0; i < sizeof(LEFT_OUT) / sizeof(LEFT_OUT[0]); i++)
        if (strncmp(name, LEFT_OUT[i], strlen(LEFT_OUT[i])) == 0)
            return true;
    return is_passing(name) || (v < 0 && strncmp(name, "node_network_speed_bytes", 24) == 0);
}

// Its series that are not ours.
static int not_ours(struct buf *text)
{
    int missing = 0;

    for (const char *p = strstr(buf_cstr(text), "\r\n\r\n"); p && *p; p = strchr(p + 1, '\n')) {
        char name[4200];
        const char *end = strchr(p + 1, '\n'), *space = end;
        if (!end || p[1] == '#' || end - p < 4)
            continue;
        while (space > p && *space != ' ')
            space--;
        snprintf(name, sizeof(name), "%.*s", (int)(space - p - 1), p + 1);
        bool ours = strncmp(name, "node_", 5) != 0 || is_left_out(name, strtod(space, NULL));
        for (uint32_t i = 1; i <= w.n && !ours; i++)
            ours = w.names[i] && w.sampled[i] && strcmp(w.names[i], name) == 0;
        if (!ours) {
            printf("    only in node_exporter: %s\n", name);
            missing++;
        }
    }
    return missing;
}

// Scrapes it before and after our look at the same tree.
static bool both(const char *tree, struct buf *before, struct buf *after)
{
    uint16_t port = 0;
    bool up = false;
    pid_t pid = exporter_start(&port, tree);

    CU_ASSERT_TRUE_FATAL(pid > 0);
    buf_init(before, TEXT_MAX);
    buf_init(after, TEXT_MAX);
    open_world(tree ? tree : "/proc", tree ? tree : "/sys");
    struct clock c = clock_system();
    int64_t until = clock_mono_ns(&c) + 10 * NS_PER_S;
    while (!up && clock_mono_ns(&c) < until) {
        up = scrape(port, before);
        if (!up)
            loop_once(w.env.loop, 20); // it starts
    }
    if (up)
        up = scrape(port, before); // the first one reads what later ones do not
    sample();
    up = up && scrape(port, after);
    buf_cstr(before);
    buf_cstr(after);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return up;
}

static void beside_node_exporter(void)
{
    struct buf before, after;

    if (access(EXPORTER, X_OK) != 0) {
        printf("    no %s: sh packaging/install-packages.sh test\n", EXPORTER);
        CU_FAIL("node_exporter is not installed");
        return;
    }
    bool up = both(NULL, &before, &after);
    CU_ASSERT_TRUE(up);
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
    CU_ASSERT_TRUE(compared > 250);
    CU_ASSERT_EQUAL(missing, 0);
    CU_ASSERT_EQUAL(up ? not_ours(&after) : 0, 0);
    CU_ASSERT_TRUE(off * 50 <= compared); // a machine that works moves a few in between
    close_world();
    buf_done(&before);
    buf_done(&after);
}

// Nothing moves there, so each value is equal: also of what this host does not have.
static void recorded_beside_node_exporter(void)
{
    // The interfaces' traffic it asks the kernel for.
    static const char *const OF_THE_TREE[] = {"node_md_", "node_bonding_", "node_nf_conntrack_",
        "node_arp_", "node_udp_", "node_entropy_", "node_network_carrier", "node_network_flags",
        "node_network_mtu", "node_network_speed", "node_network_info", "node_memory_",
        "node_netstat_Tcp", "node_sockstat_", "node_softnet_", "node_pressure_", "node_load",
        "node_filefd_", "node_vmstat_", "node_time_clocksource"};
    struct buf before, after;
    char root[256];
    int compared = 0;

    if (access(EXPORTER, X_OK) != 0) {
        printf("    no %s: sh packaging/install-packages.sh test\n", EXPORTER);
        CU_FAIL("node_exporter is not installed");
        return;
    }
    tree(root);
    bool up = both(root, &before, &after);
    CU_ASSERT_TRUE(up);
    for (uint32_t i = 1; up && i <= w.n; i++) {
        double theirs = NAN;
        bool of_tree = false;
        for (size_t k = 0; k < sizeof(OF_THE_TREE) / sizeof(OF_THE_TREE[0]); k++)
            of_tree = of_tree ||
                      (w.names[i] && w.sampled[i] && !is_extra(w.names[i]) &&
                          strncmp(w.names[i], OF_THE_TREE[k], strlen(OF_THE_TREE[k])) == 0);
        if (!of_tree)
            continue;
        bool there = exported(&after, w.names[i], &theirs);
        if (!there || !(fabs(theirs - w.values[i]) <= 1e-9 * fabs(theirs)))
            printf("    %s: %.17g, node_exporter %.17g\n", w.names[i], w.values[i], theirs);
        CU_ASSERT_TRUE(there && fabs(theirs - w.values[i]) <= 1e-9 * fabs(theirs));
        compared++;
    }
    printf("    %d series compared with node_exporter's\n", compared);
    CU_ASSERT_TRUE(compared > 90);
    close_world();
    buf_done(&before);
    buf_done(&after);
}

static const struct test TESTS[] = {
    {"a recorded tree gives node_exporter's names and values", recorded},
    {"columns that moved are learned anew", moved_columns},
    {"idle time that goes back a little does not, one that begins anew does", cpu_goes_back},
    {"a file without a text has no values", nothing_is_no_zero},
    {"this host's series are those of node_exporter", beside_node_exporter},
    {"a recorded tree is read as node_exporter reads it", recorded_beside_node_exporter},
};

int main(void)
{
    return test_main("host", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}

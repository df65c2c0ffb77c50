// SPDX-License-Identifier: Apache-2.0
/*
 * The kernel's own counters of the network: /proc/net/{netstat,snmp,snmp6,sockstat,sockstat6,
 * softnet_stat}. The first two are pairs of lines, names above values; names are looked at once
 * and afterwards only the values are walked, unless the heading changed its length.
 */
#include "agent/host.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// What node_exporter exports by default, and four more that tell an overload.
static const char *const WANTED[] = {"Icmp6_InErrors", "Icmp6_InMsgs", "Icmp6_OutMsgs",
    "Icmp_InErrors", "Icmp_InMsgs", "Icmp_OutMsgs", "Ip6_InOctets", "Ip6_OutOctets",
    "IpExt_InOctets", "IpExt_OutOctets", "Ip_Forwarding", "TcpExt_ListenDrops",
    "TcpExt_ListenOverflows", "TcpExt_RcvPruned", "TcpExt_SyncookiesFailed",
    "TcpExt_SyncookiesRecv", "TcpExt_SyncookiesSent", "TcpExt_TCPAbortOnMemory",
    "TcpExt_TCPReqQFullDrop", "TcpExt_TCPSynRetrans", "TcpExt_TCPTimeouts", "Tcp_ActiveOpens",
    "Tcp_AttemptFails", "Tcp_CurrEstab", "Tcp_EstabResets", "Tcp_InErrs", "Tcp_InSegs",
    "Tcp_OutRsts", "Tcp_OutSegs", "Tcp_PassiveOpens", "Tcp_RetransSegs", "Udp6_InDatagrams",
    "Udp6_InErrors", "Udp6_NoPorts", "Udp6_OutDatagrams", "Udp6_RcvbufErrors",
    "Udp6_SndbufErrors", "UdpLite6_InErrors", "UdpLite_InErrors", "Udp_InDatagrams",
    "Udp_InErrors", "Udp_NoPorts", "Udp_OutDatagrams", "Udp_RcvbufErrors", "Udp_SndbufErrors"};
enum { N_WANTED = sizeof(WANTED) / sizeof(WANTED[0]) };

// One file of counters, with the series of each column in the order of the file; 0 = not wanted.
// Columns beyond COLUMNS_MAX, three times what today's kernels have, are not sampled.
#define COLUMNS_MAX 512
struct columns {
    struct procfile file;
    uint32_t ids[COLUMNS_MAX];
    size_t n;
    size_t heading; // bytes of all headings together
};

enum { NETSTAT, SNMP, SNMP6, SOCKSTAT, SOCKSTAT6, N_FILES };
static const char *const FILES[N_FILES] = {
    "net/netstat", "net/snmp", "net/snmp6", "net/sockstat", "net/sockstat6"};

struct netstat {
    struct columns files[N_FILES];
    struct procfile softnet;
    struct host_rows cpus;
    double page_bytes;
};

static void netstat_close(struct sampler *s)
{
    struct netstat *n = s->state;
    if (!n)
        return;
    for (int i = 0; i < N_FILES; i++)
        procfile_done(&n->files[i].file);
    procfile_done(&n->softnet);
    host_rows_done(&n->cpus);
    free(n);
    s->state = NULL;
}

static void columns_add(struct columns *c, uint32_t id)
{
    if (c->n < COLUMNS_MAX)
        c->ids[c->n++] = id;
}

// The series of "Tcp" + "InSegs"; 0 when not wanted.
static uint32_t counter(
    struct output *o, const char *proto, size_t proto_len, const char *field, size_t field_len)
{
    for (int i = 0; i < N_WANTED; i++) {
        const char *w = WANTED[i];
        if (strncmp(w, proto, proto_len) != 0 || w[proto_len] != '_' ||
            strncmp(w + proto_len + 1, field, field_len) != 0 ||
            w[proto_len + 1 + field_len] != 0)
            continue;
        char name[96];
        snprintf(name, sizeof(name), "node_netstat_%s", w);
        bool gauge = strcmp(w, "Tcp_CurrEstab") == 0 || strcmp(w, "Ip_Forwarding") == 0;
        return host_series(o, name, gauge ? SERIES_GAUGE : SERIES_COUNTER, "1", NULL);
    }
    return 0;
}

// "Tcp: InSegs OutSegs\nTcp: 17 12\n" ...
static void intern_pairs(struct output *o, struct columns *c)
{
    c->n = 0;
    c->heading = 0;
    for (const char *p = c->file.text; *p; p = scan_line(p)) {
        const char *begin = p;
        size_t proto_len, len;
        const char *proto = scan_word(&p, &proto_len);
        if (proto_len && proto[proto_len - 1] == ':')
            proto_len--;
        for (const char *w = scan_word(&p, &len); len; w = scan_word(&p, &len))
            columns_add(c, counter(o, proto, proto_len, w, len));
        c->heading += (size_t)(p - begin);
        p = scan_line(p); // the values
    }
}

static void read_pairs(struct output *o, struct columns *c)
{
    for (int again = 0; again < 2; again++) {
        size_t at = 0, heading = 0;
        for (const char *p = c->file.text; *p;) {
            const char *end = strchr(p, '\n');
            if (!end)
                break;
            heading += (size_t)(end - p);
            p = end + 1;
            while (*p && *p != ' ' && *p != '\n')
                p++;
            while (*p == ' ') {
                p++;
                bool minus = *p == '-';
                uint64_t v;
                p = scan_u64(p + minus, &v);
                if (at < c->n && c->ids[at])
                    output_set(o, c->ids[at], minus ? -(double)v : (double)v);
                at++;
            }
            p = scan_line(p);
        }
        if (heading == c->heading)
            return;
        // Another kernel module came: learn the columns anew and write over what was misread.
        intern_pairs(o, c);
    }
}

// "Ip6InReceives      12\n" ...: the protocol ends at its first 6.
static void intern_lines(struct output *o, struct columns *c)
{
    c->n = 0;
    c->heading = 0;
    for (const char *p = c->file.text; *p; p = scan_line(p)) {
        size_t len;
        const char *w = scan_word(&p, &len);
        const char *six = memchr(w, '6', len);
        size_t proto = six ? (size_t)(six + 1 - w) : len;
        columns_add(c, counter(o, w, proto, w + proto, len - proto));
        c->heading += len;
    }
}

static void read_lines(struct output *o, struct columns *c)
{
    for (int again = 0; again < 2; again++) {
        size_t at = 0, heading = 0;
        for (const char *p = c->file.text; *p; p = scan_line(p), at++) {
            size_t len;
            uint64_t v;
            scan_word(&p, &len);
            heading += len;
            if (at < c->n && c->ids[at]) {
                scan_u64(p, &v);
                output_set(o, c->ids[at], (double)v);
            }
        }
        if (heading == c->heading)
            return;
        intern_lines(o, c);
    }
}

// "TCP: inuse 1 orphan 0 mem 33\n" ...: each field a series; mem, counted in pages, also in bytes.
static void read_sockstat(struct output *o, struct columns *c, double page_bytes)
{
    bool intern = c->n == 0;
    size_t at = 0;
    for (const char *p = c->file.text; *p; p = scan_line(p)) {
        size_t proto_len, len;
        const char *proto = scan_word(&p, &proto_len);
        if (proto_len && proto[proto_len - 1] == ':')
            proto_len--;
        for (const char *w = scan_word(&p, &len); len; w = scan_word(&p, &len)) {
            bool mem = len == 3 && memcmp(w, "mem", 3) == 0;
            uint64_t v;
            p = scan_u64(p, &v);
            for (int bytes = 0; bytes < (mem ? 2 : 1); bytes++, at++) {
                if (intern) {
                    char name[96];
                    snprintf(name, sizeof(name), "node_sockstat_%.*s_%.*s%s", (int)proto_len,
                        proto, (int)len, w, bytes ? "_bytes" : "");
                    columns_add(
                        c, host_series(o, name, SERIES_GAUGE, bytes ? "By" : "1", NULL));
                }
                if (at < c->n)
                    output_set(o, c->ids[at], bytes ? (double)v * page_bytes : (double)v);
            }
        }
    }
}

static uint64_t scan_hex(const char **p)
{
    uint64_t v = 0;
    while (**p == ' ')
        ++*p;
    for (;; ++*p) {
        char c = **p;
        if (c >= '0' && c <= '9')
            v = v << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            v = v << 4 | (uint64_t)(c - 'a' + 10);
        else
            return v;
    }
}

// One line per CPU, columns in hex: processed, dropped, times squeezed, ...; the 13th is the CPU.
static void read_softnet(struct output *o, struct netstat *n)
{
    static const char *const NAMES[] = {"node_softnet_processed_total",
        "node_softnet_dropped_total", "node_softnet_times_squeezed_total"};
    unsigned line = 0;
    host_rows_begin(&n->cpus);
    for (const char *p = n->softnet.text; *p; p = scan_line(p), line++) {
        uint64_t v[13] = {0};
        size_t k = 0;
        for (; k < 13 && *p && *p != '\n'; k++)
            v[k] = scan_hex(&p);
        unsigned cpu = k == 13 ? (unsigned)v[12] : line;
        char name[16], *digit = name + sizeof(name);
        do
            *--digit = (char)('0' + cpu % 10);
        while (cpu /= 10);
        bool is_new;
        struct host_row *row =
            host_rows_find(&n->cpus, digit, (size_t)(name + sizeof(name) - digit), &is_new);
        for (int i = 0; row && i < 3; i++) {
            if (is_new)
                row->ids[i] = host_series(o, NAMES[i], SERIES_COUNTER, "1",
                    (struct wire_label[]){{"cpu", row->name}, {NULL, NULL}});
            output_set(o, row->ids[i], (double)v[i]);
        }
    }
    host_rows_sweep(&n->cpus, o);
}

static int netstat_open(struct sampler *s)
{
    struct netstat *n = s->state = calloc(1, sizeof(*n));
    if (!n)
        return host_unavailable(s, "netstat", -ENOMEM);
    n->page_bytes = (double)sysconf(_SC_PAGESIZE);
    procfile_init(&n->softnet);
    for (int i = 0; i < N_FILES; i++)
        procfile_init(&n->files[i].file);
    int opened = 0, rc = 0;
    for (int i = 0; i < N_FILES; i++) {
        int one = procfile_open(&n->files[i].file, s->env->proc, FILES[i]);
        opened += one == 0;
        if (one < 0)
            rc = host_unavailable(s, FILES[i], one); // IPv6 may be off: the others go on
    }
    opened += procfile_open(&n->softnet, s->env->proc, "net/softnet_stat") == 0;
    return opened ? 0 : rc;
}

static void netstat_tick(struct sampler *s, const struct tick *t)
{
    struct netstat *n = s->state;
    struct output *o = s->env->out;
    (void)t;

    for (int i = 0; i < N_FILES; i++) {
        struct columns *c = &n->files[i];
        if (c->file.fd == -1)
            continue;
        if (procfile_read(&c->file) < 0) {
            for (size_t k = 0; k < c->n; k++)
                output_absent(o, c->ids[k]);
        } else if (i == NETSTAT || i == SNMP) {
            read_pairs(o, c);
        } else if (i == SNMP6) {
            read_lines(o, c);
        } else {
            read_sockstat(o, c, n->page_bytes);
        }
    }
    if (n->softnet.fd != -1 && procfile_read(&n->softnet) == 0)
        read_softnet(o, n);
}

const struct sampler_ops sampler_host_netstat = {.name = "host.netstat",
    .interval_ms = 1000,
    .open = netstat_open,
    .tick = netstat_tick,
    .close = netstat_close};

// SPDX-License-Identifier: Apache-2.0
/*
 * What sysfs says of each network interface, and of bonds. The files are opened anew each time:
 * a descriptor for each would be hundreds on a host of containers, and they change seldom. Speed
 * and duplex are asked of the driver, which may take long, so only for an interface that is new or
 * whose carrier changed.
 */
#include "agent/host.h"
#include "wire/name.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *file, *name;
    enum series_kind kind;
} NUMBERS[] = {
    {"carrier_changes", "node_network_carrier_changes_total",
        SERIES_COUNTER}, // first: see speed
    {"carrier_up_count", "node_network_carrier_up_changes_total", SERIES_COUNTER},
    {"carrier_down_count", "node_network_carrier_down_changes_total", SERIES_COUNTER},
    {"carrier", "node_network_carrier", SERIES_GAUGE},
    {"addr_assign_type", "node_network_address_assign_type", SERIES_GAUGE},
    {"dev_id", "node_network_device_id", SERIES_GAUGE},
    {"dormant", "node_network_dormant", SERIES_GAUGE},
    {"flags", "node_network_flags", SERIES_GAUGE},
    {"ifindex", "node_network_iface_id", SERIES_GAUGE},
    {"iflink", "node_network_iface_link", SERIES_GAUGE},
    {"link_mode", "node_network_iface_link_mode", SERIES_GAUGE},
    {"mtu", "node_network_mtu_bytes", SERIES_GAUGE},
    {"name_assign_type", "node_network_name_assign_type", SERIES_GAUGE},
    {"netdev_group", "node_network_net_dev_group", SERIES_GAUGE},
    {"type", "node_network_protocol_type", SERIES_GAUGE},
    {"tx_queue_len", "node_network_transmit_queue_length", SERIES_GAUGE},
    {"statistics/rx_nohandler", "node_network_receive_nohandler_total", SERIES_COUNTER},
};
enum { N_NUMBERS = sizeof(NUMBERS) / sizeof(NUMBERS[0]), SPEED = N_NUMBERS };
_Static_assert(SPEED < HOST_ROW_IDS, "a row has room for all of them");
#define INTERFACES_MAX 1000

struct netclass {
    char dir[256];
    struct host_rows interfaces, infos, bonds;
};

static void netclass_close(struct sampler *s)
{
    struct netclass *n = s->state;
    if (!n)
        return;
    host_rows_done(&n->interfaces);
    host_rows_done(&n->infos);
    host_rows_done(&n->bonds);
    free(n);
    s->state = NULL;
}

static int netclass_open(struct sampler *s)
{
    struct netclass *n = s->state = calloc(1, sizeof(*n));
    if (!n)
        return host_unavailable(s, "class/net", -ENOMEM);
    snprintf(n->dir, sizeof(n->dir), "%.200s/class/net", s->env->sys);
    DIR *d = opendir(n->dir);
    if (!d)
        return host_unavailable(s, "/sys/class/net", -errno);
    closedir(d);
    return 0;
}

// The text of a file of the interface; "" when it has none.
static const char *text_of(
    const struct netclass *n, const char *device, const char *file, char *text, size_t size)
{
    char path[PATH_MAX];
    text[0] = 0;
    if (snprintf(path, sizeof(path), "%s/%s/%s", n->dir, device, file) < PATH_MAX &&
        host_read_text(AT_FDCWD, path, text, size) < 0)
        text[0] = 0;
    return text;
}

static bool number_of(
    const struct netclass *n, const char *device, const char *file, double *ret)
{
    char text[32], *end;
    text_of(n, device, file, text, sizeof(text));
    long long v = strtoll(text, &end, 0); // flags are in hex
    *ret = (double)v;
    return end != text;
}

// A change of these is another series, as it is for node_exporter.
static void info_tick(struct netclass *n, struct output *o, const char *device, bool ask_driver)
{
    static const char *const KEYS[] = {"address", "broadcast", "ifalias", "operstate"};
    char texts[4][128], duplex[32], key[800];
    bool is_new;
    for (int i = 0; i < 4; i++)
        if (!wire_text_ok(text_of(n, device, KEYS[i], texts[i], sizeof(texts[i])), 0, 128))
            texts[i][0] = 0;
    int len = snprintf(
        key, sizeof(key), "%s\n%s\n%s\n%s\n%s", device, texts[0], texts[1], texts[2], texts[3]);
    struct host_row *row = host_rows_find(&n->infos, key, (size_t)len, &is_new);
    if (row && (is_new || ask_driver)) {
        text_of(n, device, "duplex", duplex, sizeof(duplex));
        output_end(o, row->ids[0]);
        row->ids[0] = host_series(o, "node_network_info", SERIES_GAUGE, "1",
            (struct wire_label[]){{"address", texts[0]}, {"broadcast", texts[1]},
                {"device", device}, {"duplex", duplex}, {"ifalias", texts[2]},
                {"operstate", texts[3]}, {NULL, NULL}});
    }
    if (row)
        output_set(o, row->ids[0], 1);
}

static void interface_tick(struct netclass *n, struct output *o, const char *device)
{
    bool is_new, ask_driver = false;
    double v;
    struct host_row *row = host_rows_find(&n->interfaces, device, strlen(device), &is_new);
    if (!row)
        return;
    for (int k = 0; k < N_NUMBERS; k++) {
        if (!number_of(n, device, NUMBERS[k].file, &v)) {
            output_absent(o, row->ids[k]); // carrier of an interface that is down
            continue;
        }
        if (!row->ids[k])
            row->ids[k] = host_series(o, NUMBERS[k].name, NUMBERS[k].kind, "1",
                (struct wire_label[]){{"device", device}, {NULL, NULL}});
        output_set(o, row->ids[k], v);
        if (k == 0) {
            ask_driver = is_new || v != row->count;
            row->count = v;
        }
    }
    if (ask_driver) {
        bool known = number_of(n, device, "speed", &v) && v > 0;
        if (known && !row->ids[SPEED])
            row->ids[SPEED] = host_series(o, "node_network_speed_bytes", SERIES_GAUGE, "By",
                (struct wire_label[]){{"device", device}, {NULL, NULL}});
        row->value = known ? v * 1e6 / 8 : 0;
    }
    if (row->value > 0)
        output_set(o, row->ids[SPEED], row->value);
    else
        output_absent(o, row->ids[SPEED]);
    info_tick(n, o, device, ask_driver);
}

static void bond_tick(struct netclass *n, struct output *o, const char *master)
{
    static const char *const NAMES[] = {"node_bonding_slaves", "node_bonding_active"};
    char slaves[2048], state[16];
    double count[2] = {0};
    bool is_new;
    struct host_row *row = host_rows_find(&n->bonds, master, strlen(master), &is_new);
    if (!row)
        return;
    const char *p = text_of(n, master, "bonding/slaves", slaves, sizeof(slaves));
    for (;;) {
        size_t len;
        char path[NAME_MAX + 64];
        const char *slave = scan_word(&p, &len);
        if (!len)
            break;
        snprintf(path, sizeof(path), "lower_%.*s/bonding_slave/mii_status", (int)len, slave);
        count[0]++;
        count[1] += strcmp(text_of(n, master, path, state, sizeof(state)), "up") == 0;
    }
    for (int i = 0; i < 2; i++) {
        if (is_new)
            row->ids[i] = host_series(o, NAMES[i], SERIES_GAUGE, "1",
                (struct wire_label[]){{"master", master}, {NULL, NULL}});
        output_set(o, row->ids[i], count[i]);
    }
}

static void netclass_tick(struct sampler *s, const struct tick *t)
{
    struct netclass *n = s->state;
    char masters[2048];
    const struct dirent *e;
    int left = INTERFACES_MAX;
    DIR *d = opendir(n->dir);
    (void)t;

    if (!d)
        return; // the samples are missing; the series stay for when it comes back
    host_rows_begin(&n->interfaces);
    host_rows_begin(&n->infos);
    host_rows_begin(&n->bonds);
    while ((e = readdir(d)) && left-- > 0)
        // bonding_masters is a plain file there.
        if (e->d_name[0] != '.' && e->d_type != DT_REG && wire_text_ok(e->d_name, 1, NAME_MAX))
            interface_tick(n, s->env->out, e->d_name);
    closedir(d);
    const char *p = text_of(n, ".", "bonding_masters", masters, sizeof(masters));
    for (;;) {
        size_t len;
        char name[NAME_MAX + 1];
        const char *word = scan_word(&p, &len);
        if (!len || len > NAME_MAX)
            break;
        snprintf(name, sizeof(name), "%.*s", (int)len, word);
        bond_tick(n, s->env->out, name);
    }
    host_rows_sweep(&n->interfaces, s->env->out);
    host_rows_sweep(&n->infos, s->env->out);
    host_rows_sweep(&n->bonds, s->env->out);
}

const struct sampler_ops sampler_host_netclass = {.name = "host.netclass",
    .interval_ms = 15000,
    .open = netclass_open,
    .tick = netclass_tick,
    .close = netclass_close};

// SPDX-License-Identifier: Apache-2.0
#include "agent/cgroup_value.h"
#include "agent/identity.h"
#include "agent/procfile.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_MAX 16384 // memory.stat has 1.5 KiB today

static const char *const FILES[CGROUP_FILES] = {
    [CGROUP_CPU_STAT] = "cpu.stat",
    [CGROUP_MEMORY_CURRENT] = "memory.current",
    [CGROUP_MEMORY_MAX] = "memory.max",
    [CGROUP_MEMORY_SWAP] = "memory.swap.current",
    [CGROUP_MEMORY_EVENTS] = "memory.events",
    [CGROUP_MEMORY_STAT] = "memory.stat",
    [CGROUP_IO_STAT] = "io.stat",
    [CGROUP_PIDS] = "pids.current",
    [CGROUP_PIDS_MAX] = "pids.max",
    [CGROUP_PRESSURE_CPU] = "cpu.pressure",
    [CGROUP_PRESSURE_IO] = "io.pressure",
    [CGROUP_PRESSURE_MEMORY] = "memory.pressure",
};

// key NULL: the file is one number ("max" is 0, as cAdvisor has it for a limit that is none). In the order of the files, and within one in the
// kernel's order, so that one walk finds all.
static const struct value {
    enum cgroup_file file;
    const char *key, *name;
    enum series_kind kind;
    const char *unit;
    double factor;
    const char *label, *label_value;
} VALUES[] = {
    {CGROUP_CPU_STAT, "usage_usec", "container_cpu_usage_seconds_total", SERIES_COUNTER, "s",
        1e-6, "cpu", "total"},
    {CGROUP_CPU_STAT, "user_usec", "container_cpu_user_seconds_total", SERIES_COUNTER, "s",
        1e-6, NULL, NULL},
    {CGROUP_CPU_STAT, "system_usec", "container_cpu_system_seconds_total", SERIES_COUNTER, "s",
        1e-6, NULL, NULL},
    {CGROUP_CPU_STAT, "nr_periods", "container_cpu_cfs_periods_total", SERIES_COUNTER, "1", 1,
        NULL, NULL},
    {CGROUP_CPU_STAT, "nr_throttled", "container_cpu_cfs_throttled_periods_total",
        SERIES_COUNTER, "1", 1, NULL, NULL},
    {CGROUP_CPU_STAT, "throttled_usec", "container_cpu_cfs_throttled_seconds_total",
        SERIES_COUNTER, "s", 1e-6, NULL, NULL},
    {CGROUP_MEMORY_CURRENT, NULL, "container_memory_usage_bytes", SERIES_GAUGE, "By", 1, NULL,
        NULL},
    {CGROUP_MEMORY_MAX, NULL, "container_spec_memory_limit_bytes", SERIES_GAUGE, "By", 1, NULL,
        NULL},
    {CGROUP_MEMORY_SWAP, NULL, "container_memory_swap", SERIES_GAUGE, "By", 1, NULL, NULL},
    {CGROUP_MEMORY_EVENTS, "high", "tocsin_service_memory_events_total", SERIES_COUNTER, "1", 1,
        "event", "high"},
    {CGROUP_MEMORY_EVENTS, "max", "tocsin_service_memory_events_total", SERIES_COUNTER, "1", 1,
        "event", "max"},
    {CGROUP_MEMORY_EVENTS, "oom", "tocsin_service_memory_events_total", SERIES_COUNTER, "1", 1,
        "event", "oom"},
    {CGROUP_MEMORY_EVENTS, "oom_kill", "container_oom_events_total", SERIES_COUNTER, "1", 1,
        NULL, NULL},
    {CGROUP_MEMORY_STAT, "anon", "container_memory_rss", SERIES_GAUGE, "By", 1, NULL, NULL},
    {CGROUP_MEMORY_STAT, "file", "container_memory_cache", SERIES_GAUGE, "By", 1, NULL, NULL},
    {CGROUP_MEMORY_STAT, "file_mapped", "container_memory_mapped_file", SERIES_GAUGE, "By", 1,
        NULL, NULL},
    {CGROUP_MEMORY_STAT, "inactive_file", "container_memory_working_set_bytes", SERIES_GAUGE,
        "By", 1, NULL, NULL}, // what is left of the usage: value_of
    {CGROUP_MEMORY_STAT, "pgfault", "container_memory_failures_total", SERIES_COUNTER, "1", 1,
        "failure_type", "pgfault"},
    {CGROUP_MEMORY_STAT, "pgmajfault", "container_memory_failures_total", SERIES_COUNTER, "1",
        1, "failure_type", "pgmajfault"},
    {CGROUP_PIDS, NULL, "container_threads", SERIES_GAUGE, "1", 1, NULL, NULL},
    {CGROUP_PIDS_MAX, NULL, "container_threads_max", SERIES_GAUGE, "1", 1, NULL, NULL},
    {CGROUP_PRESSURE_CPU, "some", "container_pressure_cpu_waiting_seconds_total",
        SERIES_COUNTER, "s", 1e-6, NULL, NULL},
    {CGROUP_PRESSURE_CPU, "full", "container_pressure_cpu_stalled_seconds_total",
        SERIES_COUNTER, "s", 1e-6, NULL, NULL},
    {CGROUP_PRESSURE_IO, "some", "container_pressure_io_waiting_seconds_total", SERIES_COUNTER,
        "s", 1e-6, NULL, NULL},
    {CGROUP_PRESSURE_IO, "full", "container_pressure_io_stalled_seconds_total", SERIES_COUNTER,
        "s", 1e-6, NULL, NULL},
    {CGROUP_PRESSURE_MEMORY, "some", "container_pressure_memory_waiting_seconds_total",
        SERIES_COUNTER, "s", 1e-6, NULL, NULL},
    {CGROUP_PRESSURE_MEMORY, "full", "container_pressure_memory_stalled_seconds_total",
        SERIES_COUNTER, "s", 1e-6, NULL, NULL},
};
enum { N_VALUES = sizeof(VALUES) / sizeof(VALUES[0]) };
_Static_assert(N_VALUES <= CGROUP_VALUES, "a cgroup has room for all of them");

static const struct {
    const char *key, *name, *unit;
} IO[CGROUP_DEVICE_IDS] = {
    {"rbytes=", "container_fs_reads_bytes_total", "By"},
    {"wbytes=", "container_fs_writes_bytes_total", "By"},
    {"rios=", "container_fs_reads_total", "1"},
    {"wios=", "container_fs_writes_total", "1"},
};

void cgroup_init(struct cgroup *c, char *path, uint64_t inode)
{
    *c = (struct cgroup){.path = path, .inode = inode};
    for (int i = 0; i < CGROUP_FILES; i++)
        c->fds[i] = CGROUP_NOT_OPEN;
}

void cgroup_files_again(struct cgroup *c)
{
    for (int i = 0; i < CGROUP_FILES; i++)
        if (c->fds[i] == CGROUP_NOT_THERE)
            c->fds[i] = CGROUP_NOT_OPEN;
}

static void file_close(struct cgroup *c, int file, struct cgroup_source *from)
{
    if (c->fds[file] >= 0) {
        close(c->fds[file]);
        from->fds_left++;
    }
    c->fds[file] = CGROUP_NOT_OPEN;
}

void cgroup_files_close(struct cgroup *c, struct cgroup_source *from)
{
    for (int i = 0; i < CGROUP_FILES; i++)
        file_close(c, i, from);
}

void cgroup_end(struct cgroup *c, struct cgroup_source *from)
{
    cgroup_files_close(c, from);
    for (int i = 0; i < N_VALUES; i++)
        output_end(from->out, c->ids[i]);
    for (size_t i = 0; i < c->n_devices; i++)
        for (int k = 0; k < CGROUP_DEVICE_IDS; k++)
            output_end(from->out, c->devices[i].ids[k]);
    free(c->devices);
    c->devices = NULL;
    c->n_devices = 0;
}

// --- series --------------------------------------------------------------------------------------

static uint32_t series(const struct cgroup *c, struct output *o, const char *name,
    enum series_kind kind, const char *unit, const char *label, const char *label_value)
{
    char service[IDENTITY_NAME_MAX];
    struct wire_label l[5] = {{"job", "service"}, {"service", service}, {"id", c->path}};
    size_t n = 3;

    if (!identity_cgroup_name(c->path, service))
        return 0;
    if (c->container)
        l[n++] = (struct wire_label){"container", service};
    if (label)
        l[n++] = (struct wire_label){label, label_value};
    return output_series(o, name, l, n, kind, unit);
}

static void write_counter(
    const struct cgroup *c, struct output *o, uint32_t id, double v, double *last)
{
    if (c->anew || v < *last)
        output_reset(o, id, v);
    else
        output_set(o, id, v);
    *last = v;
}

static void write_value(struct cgroup *c, struct output *o, int i, double v)
{
    if (!c->ids[i])
        c->ids[i] = series(c, o, VALUES[i].name, VALUES[i].kind, VALUES[i].unit,
            VALUES[i].label, VALUES[i].label_value);
    if (VALUES[i].kind == SERIES_COUNTER)
        write_counter(c, o, c->ids[i], v, &c->last[i]);
    else
        output_set(o, c->ids[i], v);
    if (VALUES[i].file == CGROUP_MEMORY_CURRENT)
        c->last[i] = v; // for the working set
}

// --- disks ---------------------------------------------------------------------------------------

static void device_name(const char *sys, uint32_t number, char *to, size_t size)
{
    char path[PATH_MAX], target[PATH_MAX];

    snprintf(
        path, sizeof(path), "%.512s/dev/block/%u:%u", sys, number >> 20, number & 0xfffffu);
    ssize_t n = readlink(path, target, sizeof(target) - 1);
    target[n > 0 ? n : 0] = 0;
    const char *slash = strrchr(target, '/');
    if (slash)
        snprintf(to, size, "/dev/%.64s", slash + 1);
    else
        snprintf(to, size, "%u:%u", number >> 20, number & 0xfffffu);
}

// The device with its series; NULL: no memory, or a cgroup with too many disks.
static struct cgroup_device *device_at(
    struct cgroup *c, struct cgroup_source *from, uint32_t number)
{
    char name[80];

    for (size_t i = 0; i < c->n_devices; i++)
        if (c->devices[i].number == number)
            return &c->devices[i];
    if (c->n_devices == CGROUP_DEVICES)
        return NULL;
    if (!c->devices && !(c->devices = calloc(CGROUP_DEVICES, sizeof(*c->devices))))
        return NULL;
    struct cgroup_device *d = &c->devices[c->n_devices++];
    *d = (struct cgroup_device){.number = number};
    device_name(from->sys, number, name, sizeof(name));
    for (int k = 0; k < CGROUP_DEVICE_IDS; k++)
        d->ids[k] =
            series(c, from->out, IO[k].name, SERIES_COUNTER, IO[k].unit, "device", name);
    return d;
}

// "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0"
static void read_io(struct cgroup *c, struct cgroup_source *from, const char *text)
{
    for (const char *p = text; *p; p = scan_line(p)) {
        uint64_t major, minor;
        size_t len;
        p = scan_u64(p, &major);
        if (*p != ':')
            continue;
        p = scan_u64(p + 1, &minor);
        if (major > 0xfff || minor > 0xfffff)
            continue;
        struct cgroup_device *d = device_at(c, from, (uint32_t)(major << 20 | minor));
        for (const char *w = scan_word(&p, &len); d && len; w = scan_word(&p, &len))
            for (int k = 0; k < CGROUP_DEVICE_IDS; k++) {
                size_t n = strlen(IO[k].key);
                uint64_t v;
                if (len <= n || memcmp(w, IO[k].key, n) != 0)
                    continue;
                scan_u64(w + n, &v);
                write_counter(c, from->out, d->ids[k], (double)v, &d->last[k]);
            }
    }
}

// --- files ---------------------------------------------------------------------------------------

// Working set: what is used without the part of the page cache that is given back first.
static double value_of(const struct cgroup *c, int i, uint64_t v)
{
    if (VALUES[i].file != CGROUP_MEMORY_STAT || strcmp(VALUES[i].key, "inactive_file") != 0)
        return (double)v * VALUES[i].factor;
    int usage = i;
    while (usage > 0 && VALUES[usage].file != CGROUP_MEMORY_CURRENT)
        usage--;
    double left = c->last[usage] - (double)v; // read a moment apart
    return left > 0 ? left : 0;
}

// Values `first` up to `end` are those of this file.
static void read_keys(
    struct cgroup *c, struct cgroup_source *from, const char *text, int first, int end)
{
    int at = first;

    for (const char *p = text; *p && at < end; p = scan_line(p)) {
        size_t len;
        const char *word = scan_word(&p, &len);
        for (int i = at; i < end; i++) {
            if (strlen(VALUES[i].key) != len || memcmp(VALUES[i].key, word, len) != 0)
                continue;
            uint64_t v;
            const char *total = p;
            if (VALUES[i].file >= CGROUP_PRESSURE_CPU) {
                total = strstr(p, "total=");
                if (!total)
                    return;
                total += 6;
            }
            scan_u64(total, &v);
            write_value(c, from->out, i, value_of(c, i, v));
            at = i + 1;
            break;
        }
    }
}

// The length of the file's text; -ENOENT: the kernel has none here; -ENODEV: the folder died.
static int file_read(
    struct cgroup *c, int file, struct cgroup_source *from, char text[static TEXT_MAX])
{
    int fd = c->fds[file];

    if (fd == CGROUP_NOT_THERE)
        return -ENOENT;
    if (fd == CGROUP_NOT_OPEN) {
        char path[PATH_MAX];
        if (snprintf(path, sizeof(path), "%s%s/%s", from->root, c->path, FILES[file]) >=
            (int)sizeof(path))
            return -ENAMETOOLONG;
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd == -1) {
            int rc = -errno;
            if (rc == -ENOENT && file == CGROUP_CPU_STAT)
                return -ENODEV; // every cgroup has this one
            if (rc == -ENOENT)
                c->fds[file] = CGROUP_NOT_THERE;
            return rc;
        }
        c->fds[file] = fd;
        from->fds_left--;
    }
    ssize_t n;
    do
        n = pread(fd, text, TEXT_MAX - 1, 0);
    while (n == -1 && errno == EINTR);
    int rc = n == -1 ? -errno : (int)n;
    text[n > 0 ? n : 0] = 0;
    if (from->fds_left < 0 || rc < 0)
        file_close(c, file, from);
    return rc;
}

int cgroup_sample(struct cgroup *c, struct cgroup_source *from)
{
    char text[TEXT_MAX];
    int ret = 0;

    for (int first = 0, end, file = 0; file < CGROUP_FILES; file++, first = end) {
        for (end = first; end < N_VALUES && (int)VALUES[end].file == file;)
            end++;
        int rc = file_read(c, file, from, text);
        if (rc == -ENODEV)
            return rc;
        if (rc < 0) {
            for (int i = first; i < end; i++)
                output_absent(from->out, c->ids[i]);
            if (rc != -ENOENT && rc != -EOPNOTSUPP) // pressure that is turned off
                ret = rc;
            continue;
        }
        if (file == CGROUP_IO_STAT) {
            read_io(c, from, text);
        } else if (VALUES[first].key) {
            read_keys(c, from, text, first, end);
        } else {
            uint64_t v;
            scan_u64(text, &v);
            write_value(c, from->out, first, (double)v);
        }
    }
    c->anew = false;
    return ret;
}

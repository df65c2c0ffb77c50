// SPDX-License-Identifier: Apache-2.0
/*
 * Mounted file systems by statfs. A server that does not answer would hold the one thread of the
 * agent for minutes, so mounts over a network or through FUSE are not asked; the reason says so.
 */
#include "agent/host.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>

static const char *const VIRTUAL[] = {"autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2",
    "configfs", "debugfs", "devpts", "devtmpfs", "fusectl", "hugetlbfs", "iso9660", "mqueue",
    "nsfs", "overlay", "proc", "procfs", "pstore", "rpc_pipefs", "securityfs", "selinuxfs",
    "squashfs", "sysfs", "tracefs"};
static const char *const REMOTE[] = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph",
    "glusterfs", "lustre", "afs", "9p", "virtiofs", "ncpfs", "coda", "gfs2", "ocfs2", "davfs"};
// As the kernel lists mounts under them: these and what is below.
static const char *const SKIPPED[] = {"/dev", "/proc", "/sys"};
static const char *const SKIPPED_BELOW[] = {
    "/run/credentials/", "/var/lib/docker/", "/var/lib/containers/storage/"};

enum { SIZE, FREE, AVAIL, FILES, FILES_FREE, READONLY, DEVICE_ERROR, N_SERIES };
static const char *const NAMES[N_SERIES] = {"node_filesystem_size_bytes",
    "node_filesystem_free_bytes", "node_filesystem_avail_bytes", "node_filesystem_files",
    "node_filesystem_files_free", "node_filesystem_readonly", "node_filesystem_device_error"};

struct filesystem {
    struct procfile mounts;
    struct host_rows rows;
};

static void filesystem_close(struct sampler *s)
{
    struct filesystem *f = s->state;
    if (!f)
        return;
    procfile_done(&f->mounts);
    host_rows_done(&f->rows);
    free(f);
    s->state = NULL;
}

static int filesystem_open(struct sampler *s)
{
    struct filesystem *f = s->state = calloc(1, sizeof(*f));
    if (!f)
        return host_unavailable(s, "mounts", -ENOMEM);
    procfile_init(&f->mounts);
    // Those of process 1: ours may be private to the unit.
    int rc = procfile_open(&f->mounts, s->env->proc, "1/mounts");
    if (rc < 0)
        rc = procfile_open(&f->mounts, s->env->proc, "self/mounts");
    return rc < 0 ? host_unavailable(s, "/proc/self/mounts", rc) : 0;
}

static bool in_list(const char *const *list, size_t n, const char *word)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], word) == 0)
            return true;
    return false;
}
#define IN(list, word) in_list(list, sizeof(list) / sizeof((list)[0]), word)

static bool is_skipped_mount(const char *mount)
{
    for (size_t i = 0; i < sizeof(SKIPPED) / sizeof(SKIPPED[0]); i++) {
        size_t n = strlen(SKIPPED[i]);
        if (strncmp(mount, SKIPPED[i], n) == 0 && (mount[n] == 0 || mount[n] == '/'))
            return true;
    }
    for (size_t i = 0; i < sizeof(SKIPPED_BELOW) / sizeof(SKIPPED_BELOW[0]); i++)
        if (strncmp(mount, SKIPPED_BELOW[i], strlen(SKIPPED_BELOW[i])) == 0)
            return true;
    return false;
}

// A field of the mount table, with its octal escapes (\040 is a blank) undone. False: too long.
static bool read_field(const char **p, char *to, size_t size)
{
    size_t len, n = 0;
    const char *w = scan_word(p, &len);
    for (size_t i = 0; i < len; i++) {
        if (n + 1 >= size)
            return false;
        if (w[i] == '\\' && i + 3 < len && w[i + 1] >= '0' && w[i + 1] <= '3' &&
            w[i + 2] >= '0' && w[i + 2] <= '7' && w[i + 3] >= '0' && w[i + 3] <= '7') {
            to[n++] = (char)((w[i + 1] - '0') * 64 + (w[i + 2] - '0') * 8 + (w[i + 3] - '0'));
            i += 3;
        } else {
            to[n++] = w[i];
        }
    }
    to[n] = 0;
    return n > 0;
}

static void sample_mount(
    struct output *o, const struct host_row *row, const char *mount, bool readonly)
{
    struct statfs st;
    bool ok = statfs(mount, &st) == 0;
    output_set(o, row->ids[DEVICE_ERROR], !ok);
    output_set(o, row->ids[READONLY], readonly);
    if (!ok) {
        for (int k = SIZE; k <= FILES_FREE; k++)
            output_absent(o, row->ids[k]);
        return;
    }
    double block = (double)st.f_bsize;
    output_set(o, row->ids[SIZE], (double)st.f_blocks * block);
    output_set(o, row->ids[FREE], (double)st.f_bfree * block);
    output_set(o, row->ids[AVAIL], (double)st.f_bavail * block);
    output_set(o, row->ids[FILES], (double)st.f_files);
    output_set(o, row->ids[FILES_FREE], (double)st.f_ffree);
}

static void filesystem_tick(struct sampler *s, const struct tick *t)
{
    struct filesystem *f = s->state;
    struct output *o = s->env->out;
    size_t remote = 0;
    (void)t;

    if (procfile_read(&f->mounts) < 0)
        return;
    host_rows_begin(&f->rows);
    for (const char *p = f->mounts.text; *p; p = scan_line(p)) {
        char device[512], mount[1024], type[64], key[1664];
        if (!read_field(&p, device, sizeof(device)) || !read_field(&p, mount, sizeof(mount)) ||
            !read_field(&p, type, sizeof(type)))
            continue;
        if (IN(VIRTUAL, type) || is_skipped_mount(mount))
            continue;
        if (IN(REMOTE, type) || strncmp(type, "fuse", 4) == 0) {
            remote++;
            continue;
        }
        size_t len;
        const char *options = scan_word(&p, &len);
        bool readonly =
            len >= 2 && memcmp(options, "ro", 2) == 0 && (len == 2 || options[2] == ',');
        int n = snprintf(key, sizeof(key), "%s\n%s\n%s", device, mount, type);
        bool is_new;
        struct host_row *row = host_rows_find(&f->rows, key, (size_t)n, &is_new);
        if (!row)
            continue;
        if (is_new)
            for (int k = 0; k < N_SERIES; k++)
                row->ids[k] = host_series(o, NAMES[k], SERIES_GAUGE, k <= AVAIL ? "By" : "1",
                    (struct wire_label[]){{"device", device}, {"fstype", type},
                        {"mountpoint", mount}, {NULL, NULL}});
        sample_mount(o, row, mount, readonly);
    }
    host_rows_sweep(&f->rows, o);
    if (remote)
        snprintf(s->reason, sizeof(s->reason),
            "%zu network or FUSE mounts are not asked: they may block", remote);
    else
        s->reason[0] = 0;
}

const struct sampler_ops sampler_host_filesystem = {.name = "host.filesystem",
    .interval_ms = 5000,
    .open = filesystem_open,
    .tick = filesystem_tick,
    .close = filesystem_close};

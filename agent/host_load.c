// SPDX-License-Identifier: Apache-2.0
// Load averages, open files and entropy of the whole host, and what it runs.
#include "agent/host.h"
#include "wire/name.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

struct load {
    struct procfile loadavg, filenr;
    struct host_number entropy, pool;
    uint32_t load[3], allocated, maximum, uname, os, os_version;
    double version;
};

static void load_close(struct sampler *s)
{
    struct load *l = s->state;
    if (!l)
        return;
    procfile_done(&l->loadavg);
    procfile_done(&l->filenr);
    host_number_done(&l->entropy);
    host_number_done(&l->pool);
    free(l);
    s->state = NULL;
}

// The value of a line KEY=VALUE or KEY="VALUE" of os-release, copied; "" when there is none.
static const char *release_value(const char *text, const char *key, char *to, size_t size)
{
    size_t n = strlen(key), len = 0;

    for (; *text; text = scan_line(text)) {
        if (strncmp(text, key, n) != 0 || text[n] != '=')
            continue;
        const char *v = text + n + 1;
        char quote = *v == '"' || *v == '\'' ? *v++ : 0;
        for (; *v && *v != '\n' && *v != quote && len + 1 < size; v++) {
            if (quote && *v == '\\' && v[1] && v[1] != '\n')
                v++;
            to[len++] = *v;
        }
        break;
    }
    to[len] = 0;
    if (!wire_text_ok(to, len ? 1 : 0, size))
        to[0] = 0;
    return to;
}

static void release_open(struct load *l, struct output *o, const char *text)
{
    static const char *const KEYS[][2] = {{"build_id", "BUILD_ID"}, {"id", "ID"},
        {"id_like", "ID_LIKE"}, {"image_id", "IMAGE_ID"}, {"image_version", "IMAGE_VERSION"},
        {"name", "NAME"}, {"pretty_name", "PRETTY_NAME"}, {"variant", "VARIANT"},
        {"variant_id", "VARIANT_ID"}, {"version", "VERSION"},
        {"version_codename", "VERSION_CODENAME"}, {"version_id", "VERSION_ID"}};
    enum { N_KEYS = sizeof(KEYS) / sizeof(KEYS[0]), ID = 1, LIKE = 2, NAME = 5, VERSION = 11 };
    char values[N_KEYS][128];
    struct wire_label all[N_KEYS + 1] = {{NULL, NULL}};

    for (size_t i = 0; i < N_KEYS; i++)
        all[i] = (struct wire_label){
            KEYS[i][0], release_value(text, KEYS[i][1], values[i], sizeof(values[i]))};
    l->os = host_series(o, "node_os_info", SERIES_GAUGE, "1", all);
    // "22.04.1" is 22.04.
    char *dot = strchr(values[VERSION], '.'), *end;
    if (dot && (dot = strchr(dot + 1, '.')))
        *dot = 0;
    l->version = strtod(values[VERSION], &end);
    if (end != values[VERSION])
        l->os_version = host_series(o, "node_os_version", SERIES_GAUGE, "1",
            (struct wire_label[]){all[ID], all[LIKE], all[NAME], {NULL, NULL}});
}

static int load_open(struct sampler *s)
{
    static const char *const LOAD[] = {"node_load1", "node_load5", "node_load15"};
    struct output *o = s->env->out;
    struct utsname u;
    char release[4096];
    struct load *l = s->state = calloc(1, sizeof(*l));
    if (!l)
        return host_unavailable(s, "loadavg", -ENOMEM);
    procfile_init(&l->loadavg);
    procfile_init(&l->filenr);
    l->entropy.fd = l->pool.fd = -1;
    int rc = procfile_open(&l->loadavg, s->env->proc, "loadavg");
    if (rc < 0)
        return host_unavailable(s, "/proc/loadavg", rc);
    for (int i = 0; i < 3; i++)
        l->load[i] = host_series(o, LOAD[i], SERIES_GAUGE, "1", NULL);
    host_number_open(&l->entropy, s->env->proc, "sys/kernel/random/entropy_avail", o,
        "node_entropy_available_bits", SERIES_GAUGE);
    host_number_open(&l->pool, s->env->proc, "sys/kernel/random/poolsize", o,
        "node_entropy_pool_size_bits", SERIES_GAUGE);
    if (host_read_text(AT_FDCWD, "/etc/os-release", release, sizeof(release)) > 0 ||
        host_read_text(AT_FDCWD, "/usr/lib/os-release", release, sizeof(release)) > 0)
        release_open(l, o, release);
    if (uname(&u) == 0)
        l->uname = host_series(o, "node_uname_info", SERIES_GAUGE, "1",
            (struct wire_label[]){{"domainname", u.domainname}, {"machine", u.machine},
                {"nodename", u.nodename}, {"release", u.release}, {"sysname", u.sysname},
                {"version", u.version}, {NULL, NULL}});
    rc = procfile_open(&l->filenr, s->env->proc, "sys/fs/file-nr");
    if (rc < 0) {
        host_unavailable(s, "/proc/sys/fs/file-nr", rc);
        return 0;
    }
    l->allocated = host_series(o, "node_filefd_allocated", SERIES_GAUGE, "1", NULL);
    l->maximum = host_series(o, "node_filefd_maximum", SERIES_GAUGE, "1", NULL);
    return 0;
}

static void load_tick(struct sampler *s, const struct tick *t)
{
    struct load *l = s->state;
    struct output *o = s->env->out;

    (void)t;
    output_set(o, l->uname, 1);
    output_set(o, l->os, 1);
    output_set(o, l->os_version, l->version);
    host_number_tick(&l->entropy, o);
    host_number_tick(&l->pool, o);
    const char *p = procfile_read(&l->loadavg) == 0 ? l->loadavg.text : NULL;
    for (int i = 0; i < 3; i++) {
        uint64_t whole, hundredths = 0;
        if (!p) {
            output_absent(o, l->load[i]);
            continue;
        }
        p = scan_u64(p, &whole);
        if (*p == '.')
            p = scan_u64(p + 1, &hundredths);
        output_set(o, l->load[i], (double)(whole * 100 + hundredths) / 100);
    }
    if (l->filenr.fd == -1)
        return;
    if (procfile_read(&l->filenr) < 0) {
        output_absent(o, l->allocated);
        output_absent(o, l->maximum);
        return;
    }
    uint64_t v;
    p = scan_u64(l->filenr.text, &v);
    output_set(o, l->allocated, (double)v);
    p = scan_u64(p, &v);
    scan_u64(p, &v);
    output_set(o, l->maximum, (double)v);
}

const struct sampler_ops sampler_host_load = {.name = "host.load",
    .interval_ms = 1000,
    .open = load_open,
    .tick = load_tick,
    .close = load_close};

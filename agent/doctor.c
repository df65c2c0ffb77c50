// SPDX-License-Identifier: Apache-2.0
#include "agent/doctor.h"
#include "agent/icmp.h"
#include "agent/ladder.h"
#include "agent/netns_watch.h"
#include "agent/scrape_config.h"
#include "base/listener.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void print_file(struct buf *out, const char *what, const char *path)
{
    if (path)
        buf_addf(out, "  %-16s %-4s %s\n", what, access(path, R_OK) == 0 ? "ok" : "NO", path);
}

bool doctor_open_wire(const char *url)
{
    static const char *const HERE[] = {"http://127.", "http://localhost", "http://[::1]"};
    for (size_t i = 0; i < sizeof(HERE) / sizeof(HERE[0]); i++)
        if (strncmp(url, HERE[i], strlen(HERE[i])) == 0)
            return false;
    return strncmp(url, "http://", 7) == 0;
}

// Why it cannot be run. NULL: it can.
static const char *program_fault(const char *path, const struct child_user *user)
{
    if (access(path, X_OK) == -1)
        return strerror(errno);
    return user->name && geteuid() != 0 && user->uid != geteuid()
               ? "only root can be another user"
               : NULL;
}

static void print_scrapes(const struct agent_config *c, struct buf *out)
{
    if (c->n_scrapes)
        buf_adds(out, "scrape_configs\n");
    for (size_t i = 0; i < c->n_targets; i++) {
        const struct scrape_target *t = &c->targets[i];
        buf_addf(out, "  %-16s %-4s %" PRId64 " ms  %s%s\n", t->job->name, "", t->every_ms,
            t->url, t->job->tls.insecure ? "; its certificate is not looked at" : "");
    }
    for (size_t i = 0; i < c->n_scrapes; i++) {
        bool any = false;
        for (size_t k = 0; k < c->n_targets && !any; k++)
            any = c->targets[k].job == &c->scrapes[i];
        if (!any)
            buf_addf(out,
                "  %-16s %-4s no target is left\n                         fix: static_configs, relabel_configs\n",
                c->scrapes[i].name, "NO");
    }
}

static void print_exec(const struct agent_config *c, struct buf *out)
{
    buf_adds(out, "exec\n");
    for (size_t i = 0; i < c->n_plugins; i++) {
        const struct plugin_config *p = &c->plugins[i];
        const char *fault = program_fault(p->argv[0], &p->user);
        buf_addf(out, "  %-16s %-4s %" PRId64 " ms  %s %s%s%s%s%s\n", p->name,
            fault ? "NO" : "ok", p->every_ms, plugin_format_name(p->format), p->argv[0],
            p->user.name ? " as " : "", p->user.name ? p->user.name : "", fault ? ": " : "",
            fault ? fault : "");
    }
    if (!c->n_plugins)
        buf_adds(out, "  none\n");
}

// Whether it could be listened on. An agent that runs has it already.
static void print_port(
    struct buf *out, const char *what, const char *host, uint16_t port, int type)
{
    struct sockaddr_storage a;
    socklen_t len;
    char address[80];
    snprintf(address, sizeof(address), strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
    int one = 1, rc = address_parse(address, &a, &len, NULL);
    int fd = rc == 0 ? socket(a.ss_family, type | SOCK_CLOEXEC, 0) : -1;
    if (fd != -1 && type == SOCK_STREAM)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    bool ok = fd != -1 && bind(fd, (const struct sockaddr *)&a, len) == 0;
    const char *fault = ok                    ? ""
                        : errno == EADDRINUSE ? ": in use, by the agent if it runs"
                                              : strerror(errno);
    buf_addf(out, "  %-16s %-4s %s%s%s\n", what, ok ? "ok" : "NO", address,
        ok || fault[0] == ':' ? "" : ": ", fault);
    if (fd != -1)
        close(fd);
}

static void print_receivers(const struct agent_config *c, struct buf *out)
{
    const struct statsd_config *s = &c->statsd;
    if (s->wanted || c->otlp.wanted)
        buf_adds(out, "receivers\n");
    if (s->wanted && s->host)
        print_port(out, "statsd", s->host, s->port, SOCK_DGRAM);
    if (s->wanted && s->socket) {
        char folder[sizeof(((struct sockaddr_un *)0)->sun_path)];
        snprintf(folder, sizeof(folder), "%s", s->socket);
        *strrchr(folder, '/') = '\0';
        bool ok = access(folder[0] ? folder : "/", W_OK) == 0;
        buf_addf(out, "  %-16s %-4s %s%s%s\n", "statsd", ok ? "ok" : "NO", s->socket,
            ok ? "" : ": its folder: ", ok ? "" : strerror(errno));
    }
    if (c->otlp.wanted)
        print_port(out, "otlp", c->otlp.host, c->otlp.port, SOCK_STREAM);
}

void doctor_repairs(const struct agent_config *c, struct buf *out)
{
    if (c->n_repairs && doctor_open_wire(c->collector))
        buf_addf(
            out, "  over plain http whoever is on the way to the collector can ask for:\n");
    for (size_t i = 0; i < c->n_repairs; i++) {
        const struct repair_action *a = &c->repairs[i];
        const char *fault = program_fault(a->argv[0], &a->user);
        buf_addf(out, "  %-16s %-4s %u/hour, %" PRId64 " s  %s%s%s%s%s\n", a->name,
            fault ? "NO" : "ok", a->max_per_hour, (a->timeout_ms + 999) / 1000, a->argv[0],
            a->user.name ? " as " : "", a->user.name ? a->user.name : "", fault ? ": " : "",
            fault ? fault : "");
    }
}

static void print_probe(struct buf *out, const struct probe_config *p)
{
    int family = p->host && strchr(p->host, ':') ? AF_INET6 : AF_INET;
    bool bad = p->kind == PROBE_ICMP && !icmp_allowed(family);
    buf_addf(out, "  %-16s %-4s %" PRId64 " ms  %s", p->name, bad && !p->port ? "NO" : "",
        p->every_ms, p->target);
    if (bad)
        buf_addf(out, ": " ICMP_REASON);
    if (bad && p->port)
        buf_addf(out, "; it connects to port %u instead", p->port);
    buf_addf(out, "%s\n", bad ? "\n                         fix: " ICMP_FIX : "");
}

int doctor_print(const struct schedule *s, const struct agent_config *c,
    const struct agentid *id, const char *id_error, struct buf *out)
{
    struct ladder_who who;
    char exe[512];
    buf_addf(out, "configuration\n  %-16s %-4s %s\n", "file", "ok",
        c->path ? c->path : "none: defaults");
    buf_addf(out, "  %-16s %-4s %s\n", "collector", "", c->collector);
    buf_addf(out, "  %-16s %-4s %s\n", "host", "", c->host);
    print_file(out, "token_file", c->token_file);
    print_file(out, "ca_file", c->ca_file);
    bool usable = access(c->state_dir, W_OK) == 0 || errno == ENOENT; // made at the first start
    buf_addf(out, "  %-16s %-4s %s%s%s\n", "state_dir", usable ? "ok" : "NO", c->state_dir,
        usable ? "" : ": ", usable ? "" : strerror(errno));
    if (id)
        buf_addf(out, "  %-16s %-4s %02x%02x%02x%02x..., last session %" PRIu64 "\n",
            "identity", "ok", id->id[0], id->id[1], id->id[2], id->id[3], id->epoch);
    else
        buf_addf(out, "  %-16s %-4s %s\n", "identity", "", id_error);
    buf_adds(out, "samplers\n");
    ladder_self(&who, exe);
    int missing = ladder_print(s, &who, out);
    buf_adds(out, "network namespaces\n");
    netns_watch_doctor(schedule_at(s, 0)->env->netns_door, c, out);
    buf_addf(out, "probes\n");
    for (size_t i = 0; i < c->n_probes; i++)
        print_probe(out, &c->probes[i]);
    if (!c->n_probes)
        buf_adds(out, "  none\n");
    print_scrapes(c, out);
    print_receivers(c, out);
    print_exec(c, out);
    buf_adds(out, "repairs\n");
    doctor_repairs(c, out);
    if (!c->n_repairs)
        buf_adds(out, "  none: no alert can have anything run here\n");
    return missing;
}

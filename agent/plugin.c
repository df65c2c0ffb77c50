// SPDX-License-Identifier: Apache-2.0
#include "agent/plugin.h"
#include "agent/parts.h"
#include "agent/plugin_output.h"
#include "base/log.h"
#include "wire/tocsin.pb-c.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_START_NS  (20 * NS_PER_MS)
#define SPREAD_NS       (5 * NS_PER_S)
#define PLUGIN_ENV_ROOM (PLUGIN_ENV_MAX * (WIRE_NAME_MAX + WIRE_VALUE_MAX + 2))
#define PATH_OF_PLUGINS                                                                        \
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/nagios/plugins"
// Numbers are read with a point, whatever the host speaks.
#define LOCALE_OF_PLUGINS "LC_ALL=C"
#define NOT_RUN           -1 // status before the first end

struct plugin {
    struct plugins *set;
    const struct plugin_config *config;
    struct child *child;
    struct loop_timer *timer;
    struct intake *intake;
    char name[PLUGIN_NAME_MAX + 1], source[PLUGIN_NAME_MAX + 8];
    struct wire_label labels[2];
    int64_t due_ns; // of the next turn
    int status;
    uint64_t skipped, timeouts, failures, unreadable;
    bool kept;           // during apply
    bool leaving;        // not in the configuration any more, but its process still ends
    struct plugin *next; // of those leaving
};

struct plugins {
    struct env *env;
    struct plugin **all;
    size_t n, running;
    struct plugin *leaving;
};

const char *plugin_format_name(enum plugin_format f)
{
    switch (f) {
    case PLUGIN_NAGIOS: return "nagios";
    case PLUGIN_JSON: return "json";
    case PLUGIN_LINES: return "lines";
    }
    return "";
}

// --- the end of one run --------------------------------------------------------------------------

static void tell(struct plugin *p, int status, const char *text)
{
    struct env *env = p->set->env;
    char detail[WIRE_DETAIL_MAX + 1];
    snprintf(detail, sizeof(detail), "%s%s%s", nagios_status_name((enum nagios_status)status),
        text[0] ? ": " : "", text);
    output_event(env->out, TOCSIN__V1__EVENT_KIND__EVENT_PROBE_CHANGED,
        clock_wall_ms(&env->clock) * 1000, p->config->name, detail);
    env->flush(env->core);
}

// The first line it printed to its standard error.
static const char *errors_of(
    const struct child_end *end, char text[static CHILD_ERRORS_MAX + 1])
{
    size_t n = 0;
    while (n < end->n_errors && end->errors[n] != '\n')
        n++;
    memcpy(text, end->errors, n);
    text[n] = '\0';
    return text;
}

static void conclude(struct plugin *p, const struct child_end *end)
{
    struct env *env = p->set->env;
    struct plugin_reading r;
    struct intake_round round;
    char errors[CHILD_ERRORS_MAX + 1];
    intake_begin(p->intake, clock_wall_ms(&env->clock));
    bool whole = plugin_judge(p->intake, p->config, end, &r);
    p->timeouts += end->how == CHILD_TIMED_OUT;
    p->failures += !whole && end->how != CHILD_TIMED_OUT;
    p->unreadable += r.unreadable;
    intake_own(p->intake, "tocsin_plugin_status", SERIES_STATE, "1", r.status);
    intake_own(p->intake, "tocsin_plugin_duration_seconds", SERIES_GAUGE, "s",
        (double)end->duration_ns / 1e9);
    intake_own(
        p->intake, "tocsin_plugin_skipped_total", SERIES_COUNTER, "1", (double)p->skipped);
    intake_own(
        p->intake, "tocsin_plugin_timeouts_total", SERIES_COUNTER, "1", (double)p->timeouts);
    intake_own(
        p->intake, "tocsin_plugin_failures_total", SERIES_COUNTER, "1", (double)p->failures);
    intake_own(p->intake, "tocsin_plugin_unreadable_total", SERIES_COUNTER, "1",
        (double)p->unreadable);
    intake_end(p->intake, whole, &round);
    bool changed = r.status != p->status && (p->status != NOT_RUN || r.status != NAGIOS_OK);
    p->status = r.status;
    if (!whole && changed)
        log_warn("plugin_failed", "plugin=%s error=%s output=%s", log_q(p->config->name),
            log_q(r.text), log_q(errors_of(end, errors)));
    if (changed)
        tell(p, r.status, r.text);
}

static void plugin_free(struct plugin *p, int64_t wall_ms)
{
    if (!p)
        return;
    child_free(p->child);
    loop_timer_free(p->timer);
    intake_free(p->intake, wall_ms);
    free(p);
}

static void on_end(void *ctx, const struct child_end *end)
{
    struct plugin *p = ctx;
    struct plugins *set = p->set;
    set->running--;
    if (!p->leaving) {
        conclude(p, end);
        child_free(p->child);
        p->child = NULL;
        return;
    }
    struct plugin **at = &set->leaving;
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    plugin_free(p, 0);
}

// --- turns ---------------------------------------------------------------------------------------

static bool launch(struct plugin *p, struct err *err)
{
    const struct plugin_config *c = p->config;
    static char path[] = PATH_OF_PLUGINS, locale[] = LOCALE_OF_PLUGINS;
    char own[PLUGIN_NAME_MAX + 32], *argv[PLUGIN_ARGS_MAX + 1], *env[PLUGIN_ENV_MAX + 4];
    char room[PLUGIN_ENV_ROOM];
    size_t n = 0, used = 0;
    for (size_t i = 0; i <= c->n_argv; i++) // NULL at its end
        argv[i] = (char *)(uintptr_t)c->argv[i];
    snprintf(own, sizeof(own), "TOCSIN_PLUGIN=%s", c->name);
    env[n++] = path;
    env[n++] = locale;
    env[n++] = own;
    // getenv takes the first: those of the user replace ours.
    for (size_t i = 0; i < c->n_env; i++) {
        char *one = room + used;
        used += (size_t)snprintf(
                    one, sizeof(room) - used, "%s=%s", c->env[i].name, c->env[i].value) +
                1;
        if (strncmp(one, "PATH=", 5) == 0)
            env[0] = one;
        else if (strncmp(one, "LC_ALL=", 7) == 0)
            env[1] = one;
        else
            env[n++] = one;
    }
    env[n] = NULL;
    struct child_options o = {.argv = argv,
        .env = env,
        .user = c->user,
        .timeout_ms = c->timeout_ms,
        .output_max = PLUGIN_OUTPUT_MAX,
        .errors_apart = true,
        .alone = true};
    p->child = child_start(p->set->env->loop, &o, on_end, p, err);
    return p->child != NULL;
}

static void on_turn(void *ctx, int64_t due_ns, int64_t at_ns)
{
    struct plugin *p = ctx;
    int64_t step = p->config->every_ms * NS_PER_MS;
    struct err err;
    (void)due_ns;
    // What was missed by whole intervals (the host stalled) is skipped, not made up for in a bunch.
    int64_t behind = (at_ns - p->due_ns) / step;
    p->skipped += (uint64_t)behind;
    p->due_ns += (behind + 1) * step;
    loop_timer_set(p->timer, p->due_ns);
    if (p->child || p->set->running == PLUGINS_RUNNING_MAX) {
        p->skipped++;
        return;
    }
    if (launch(p, &err)) {
        p->set->running++;
        return;
    }
    // Out of processes or descriptors: told as a run that failed at once.
    struct child_end end = {.how = CHILD_EXITED,
        .code = 127,
        .output = "",
        .errors = err.msg,
        .n_errors = strlen(err.msg)};
    conclude(p, &end);
}

// --- the set -------------------------------------------------------------------------------------

static struct plugin *plugin_new(struct plugins *set, const struct plugin_config *c)
{
    struct plugin *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->set = set;
    p->config = c;
    p->status = NOT_RUN;
    p->timer = loop_timer_new(set->env->loop, on_turn, p);
    // What is borrowed by the intake must outlive the configuration.
    snprintf(p->name, sizeof(p->name), "%s", c->name);
    snprintf(p->source, sizeof(p->source), "exec:%s", c->name);
    p->labels[0] = (struct wire_label){"job", "plugin"};
    p->labels[1] = (struct wire_label){"plugin", p->name};
    p->intake = intake_new(set->env->out, &(struct intake_options){.source = p->source,
                                              .labels = p->labels,
                                              .n_labels = 2,
                                              .series_limit = c->series_limit});
    if (p->timer && p->intake)
        return p;
    plugin_free(p, 0);
    return NULL;
}

static bool same_config(const struct plugin_config *a, const struct plugin_config *b)
{
    bool same = config_same_text(a->name, b->name) && a->every_ms == b->every_ms &&
                a->timeout_ms == b->timeout_ms && a->format == b->format &&
                a->series_limit == b->series_limit &&
                config_same_text(a->user.name, b->user.name) && a->user.uid == b->user.uid &&
                a->user.gid == b->user.gid && a->n_argv == b->n_argv && a->n_env == b->n_env;
    for (size_t i = 0; same && i < a->n_argv; i++)
        same = config_same_text(a->argv[i], b->argv[i]);
    for (size_t i = 0; same && i < a->n_env; i++)
        same = config_same_text(a->env[i].name, b->env[i].name) &&
               config_same_text(a->env[i].value, b->env[i].value);
    return same;
}

static struct plugin *kept(const struct plugins *set, const struct plugin_config *c)
{
    for (size_t i = 0; i < set->n; i++)
        if (same_config(set->all[i]->config, c))
            return set->all[i];
    return NULL;
}

// Its series end now, itself when its process has.
static void plugin_leave(struct plugin *p)
{
    struct plugins *set = p->set;
    int64_t wall_ms = clock_wall_ms(&set->env->clock);
    if (!p->child) {
        plugin_free(p, wall_ms);
        return;
    }
    loop_timer_stop(p->timer);
    intake_free(p->intake, wall_ms);
    p->intake = NULL;
    p->leaving = true;
    p->next = set->leaving;
    set->leaving = p;
    child_kill(p->child);
}

// Starts are spread, so that many plugins do not run in one instant.
static void start_new(struct plugins *set)
{
    int64_t now = clock_mono_ns(&set->env->clock);
    size_t n = 0, nth = 0;
    for (size_t i = 0; i < set->n; i++)
        n += !set->all[i]->kept;
    for (size_t i = 0; i < set->n; i++) {
        struct plugin *p = set->all[i];
        int64_t every_ns = p->config->every_ms * NS_PER_MS;
        if (p->kept)
            continue;
        // Of long intervals only the first seconds: nobody waits minutes for a first value.
        int64_t spread_ns = every_ns < SPREAD_NS ? every_ns : SPREAD_NS;
        p->due_ns = now + FIRST_START_NS + spread_ns * (int64_t)nth++ / (int64_t)n;
        loop_timer_set(p->timer, p->due_ns);
    }
}

static int plugins_apply(void *state, const struct agent_config *c)
{
    struct plugins *set = state;
    struct plugin **next = calloc(c->n_plugins + 1, sizeof(struct plugin *));
    int rc = next ? 0 : -ENOMEM;
    for (size_t i = 0; i < set->n; i++)
        set->all[i]->kept = false;
    for (size_t i = 0; rc == 0 && i < c->n_plugins; i++) {
        next[i] = kept(set, &c->plugins[i]);
        if (next[i])
            next[i]->kept = true;
        else if (!(next[i] = plugin_new(set, &c->plugins[i])))
            rc = -ENOMEM;
    }
    if (rc < 0) {
        for (size_t i = 0; next && i < c->n_plugins; i++)
            if (next[i] && !next[i]->kept)
                plugin_free(next[i], 0);
        free(next);
        return rc;
    }
    // From here on nothing fails.
    for (size_t i = 0; i < set->n; i++)
        if (!set->all[i]->kept)
            plugin_leave(set->all[i]);
    free(set->all);
    set->all = next;
    set->n = c->n_plugins;
    for (size_t i = 0; i < set->n; i++)
        set->all[i]->config = &c->plugins[i];
    start_new(set);
    return 0;
}

static bool plugins_wanted(const struct agent_config *c)
{
    return c->n_plugins > 0;
}

static void *plugins_open(struct env *env, struct schedule *s, struct transfers *m)
{
    struct plugins *set = calloc(1, sizeof(*set));
    (void)s;
    (void)m;
    // An agent that replaced itself was left with it ignored, and would never hear how one ended.
    signal(SIGCHLD, SIG_DFL);
    if (set)
        set->env = env;
    return set;
}

static void plugins_free(void *state)
{
    struct plugins *set = state;
    for (size_t i = 0; i < set->n; i++)
        plugin_free(set->all[i], 0);
    while (set->leaving) {
        struct plugin *p = set->leaving;
        set->leaving = p->next;
        plugin_free(p, 0);
    }
    free(set->all);
    free(set);
}

const struct part_ops plugins_part = {.name = "exec",
    .wanted = plugins_wanted,
    .open = plugins_open,
    .apply = plugins_apply,
    .free = plugins_free};

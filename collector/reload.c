// SPDX-License-Identifier: Apache-2.0
#include "collector/reload.h"
#include "base/log.h"
#include "base/secret.h"
#include "collector/receiver_wire.h"
#include "collector/rulefiles.h"
#include <errno.h>
#include <string.h>

#define REPORT_MAX (4u << 20)

static int check_receivers(const struct config *c, struct buf *report)
{
    int rc = 0;
    for (size_t i = 0; i < c->n_receivers; i++)
        for (size_t k = 0; k < c->receivers[i].n; k++) {
            struct receiver_wire *wire = NULL;
            struct err err = {0};
            const struct integration *one = &c->receivers[i].integrations[k];
            if (!one->kind->repair && receiver_wire_open(one, &wire, &err) < 0) {
                buf_addf(
                    report, "error[C006]: receiver %s: %s\n", c->receivers[i].name, err.msg);
                rc = -EINVAL;
            }
            receiver_wire_close(wire);
        }
    for (size_t i = 0; i < c->n_heartbeats; i++) {
        struct receiver_wire *wire = NULL;
        struct err err = {0};
        if (receiver_wire_open(&c->heartbeats[i].to, &wire, &err) < 0) {
            buf_addf(report, "error[C006]: heartbeat %s: %s\n", c->heartbeats[i].name, err.msg);
            rc = -EINVAL;
        }
        receiver_wire_close(wire);
    }
    return rc;
}

int reload_read(const struct reload_source *s, struct config *ret, struct buf *report)
{
    struct buf text;
    buf_init(&text, 2 * CONFIG_FILE_MAX);
    int rc = config_load(s->file, ret, &text, report);
    buf_done(&text);
    if (rc < 0)
        return rc;
    if (s->state_dir)
        ret->state_dir = s->state_dir;
    if (s->log_level)
        ret->log_level = s->log_level;
    return check_receivers(ret, report);
}

static void log_lines(struct buf *report)
{
    for (char *save = NULL, *line = strtok_r((char *)(uintptr_t)buf_cstr(report), "\n", &save);
         line; line = strtok_r(NULL, "\n", &save))
        log_error("config_error", "line=%s", log_q(line));
}

static void rejected(struct reload *r, struct buf *report, const char *what, struct buf *answer)
{
    char banner[BOARD_TEXT_MAX];
    const char *text = buf_cstr(report);
    int first = (int)strcspn(text, "\n");
    snprintf(banner, sizeof(banner),
        "reload rejected, what was read before it is in force: %.*s", first, text);
    board_banner(r->board, banner);
    atomic_store(&r->self->reload_ok, false);
    log_error("reload_rejected", "reason=%s first=%s", what, log_q(banner));
    buf_addf(answer, "reload rejected, what was read before it is in force:\n%s", text);
    log_lines(report);
}

static bool token_changed(const struct reload *r, const struct config *c)
{
    char *token = NULL;
    struct err err = {0};
    if (!c->token_file || !r->token || secret_read(c->token_file, &token, &err) < 0)
        return false; // that there is one now, or none, is told by the key itself
    bool changed = strcmp(token, r->token) != 0;
    secret_free(token);
    return changed;
}

static void accepted(struct reload *r, size_t rules, struct buf *answer)
{
    struct buf restart;
    buf_init(&restart, 4096);
    config_restart_keys(r->started, r->current, &restart);
    if (token_changed(r, r->current))
        buf_addf(
            &restart, "%sthe token in %s", restart.len ? ", " : "", r->current->token_file);
    board_banner(r->board, NULL);
    atomic_store(&r->self->reload_ok, true);
    atomic_store(&r->self->reloaded_ms, clock_wall_ms(&r->clock));
    log_info("reloaded", "rules=%zu receivers=%zu", rules, r->current->n_receivers);
    buf_addf(answer, "reloaded: %zu rules, %zu receivers\n", rules, r->current->n_receivers);
    if (restart.len) {
        log_warn("restart_needed", "settings=%s hint=%s", log_q(buf_cstr(&restart)),
            log_q("they were changed, and take effect at the next start"));
        buf_addf(
            answer, "changed, and in force only after a restart: %s\n", buf_cstr(&restart));
    }
    buf_done(&restart);
}

static size_t count_rules(const struct ruleset *set)
{
    size_t rules = 0;
    for (size_t i = 0; i < set->n_groups; i++)
        rules += set->groups[i].n_rules;
    return rules;
}

// The notifier first: see policies.h. Owns the set.
static int take_rules(struct reload *r, struct ruleset *set)
{
    struct policies *fresh = policies_new(set);
    struct demands *demands = demands_of(set);
    int rc = !fresh || !demands ? -ENOMEM : notify_policies(r->notify, fresh) ? 0 : -EBUSY;
    if (rc < 0) {
        policies_free(fresh);
        demands_free(demands);
        ruleset_free(set);
        return rc;
    }
    rc = shard_load(r->shard, set);
    if (rc < 0 && !notify_policies(r->notify, r->policies))
        log_error("policies_not_undone", "hint=%s",
            log_q("depends_on and flap are those of the rejected rules: reload again"));
    policies_free(rc < 0 ? fresh : r->policies);
    if (rc < 0) {
        demands_free(demands);
        return rc;
    }
    r->policies = fresh;
    ingest_demand(r->ingest, demands);
    return 0;
}

// Both have read them without a mistake. The receivers first: they can be given back.
static int hand_over(
    struct reload *r, struct config *next, struct ruleset *set, struct buf *report)
{
    struct err err = {0};
    int rc = notify_reload(r->notify, next, &err);
    if (rc < 0) {
        buf_addf(report, "error[C006]: receivers: %s\n", err.msg);
        ruleset_free(set);
        return rc;
    }
    rc = take_rules(r, set);
    if (rc == 0)
        return 0;
    buf_addf(report, "the rules were not taken: %s\n", strerror(-rc));
    if (notify_reload(r->notify, r->current, &err) < 0)
        log_error("reload_half", "error=%s hint=%s", log_q(err.msg),
            log_q("receivers are the new ones, rules the old ones; reload again"));
    return rc;
}

int reload_now(struct reload *r, struct buf *answer)
{
    struct config c;
    struct config *next = NULL;
    struct buf report;
    struct ruleset *set = NULL;
    const char *what = "config";
    buf_init(&report, REPORT_MAX);
    int rc = reload_read(&r->source, &c, &report);
    if (rc == 0) {
        what = "rules";
        rc = rulefiles_read(c.rules, c.n_rules, &set, &report);
    }
    if (rc == 0 && !(next = config_share(&c))) {
        ruleset_free(set);
        rc = -ENOMEM;
    }
    if (rc < 0) {
        if (!report.len)
            buf_addf(&report, "%s\n", strerror(-rc));
        rejected(r, &report, what, answer);
        goto out;
    }
    size_t rules = count_rules(set);
    rc = hand_over(r, next, set, &report);
    if (rc < 0) {
        rejected(r, &report, "hand-over", answer);
        goto out;
    }
    config_unref(r->current);
    r->current = config_ref(next);
    log_level_set((enum log_level)log_level_parse(next->log_level));
    accepted(r, rules, answer);
out:
    config_unref(next);
    config_done(&c);
    buf_done(&report);
    return rc;
}

void reload_done(struct reload *r)
{
    config_unref(r->current);
    config_unref(r->started);
    policies_free(r->policies);
    *r = (struct reload){0};
}

// SPDX-License-Identifier: Apache-2.0
#include "agent/reload.h"
#include "base/log.h"
#include <string.h>

#define TEXT_MAX (1u << 20)

static bool repairs_differ(const struct agent_config *a, const struct agent_config *b)
{
    struct buf one, two;
    buf_init(&one, TEXT_MAX);
    buf_init(&two, TEXT_MAX);
    config_print_repairs(a, &one);
    config_print_repairs(b, &two);
    bool differ = strcmp(buf_cstr(&one), buf_cstr(&two)) != 0;
    buf_done(&one);
    buf_done(&two);
    return differ;
}

// What the running process has taken from its first configuration for good.
static void warn_of_restart(const struct agent_config *old, const struct agent_config *next)
{
    if (repairs_differ(old, next))
        log_warn("config_needs_restart", "detail=%s",
            log_q("repairs are as they were at the start: the executor has no ear for more"));
    bool labels = next->n_labels != old->n_labels;
    for (size_t i = 0; i < next->n_labels && !labels; i++)
        labels = !config_same_text(next->labels[i].name, old->labels[i].name) ||
                 !config_same_text(next->labels[i].value, old->labels[i].value);
    if (labels || !config_same_text(next->collector, old->collector) ||
        !config_same_text(next->token_file, old->token_file) ||
        !config_same_text(next->ca_file, old->ca_file) ||
        !config_same_text(next->state_dir, old->state_dir) ||
        !config_same_text(next->host, old->host) || next->dependencies != old->dependencies)
        log_warn("config_needs_restart", "detail=%s",
            log_q("only probes, scrapes, plugins, statsd and otlp are taken over by a reload"));
}

struct agent_config *reload(const char *path, const struct config_override *over,
    const struct agent_config *old, struct parts *parts)
{
    struct buf problems;
    struct agent_config *next = NULL;
    struct err err = {0};
    buf_init(&problems, TEXT_MAX);
    int rc = config_load(path, over, &next, &problems);
    if (rc < 0) {
        log_error("config_rejected", "error=%s",
            log_q(problems.len ? buf_cstr(&problems) : strerror(-rc)));
        goto out;
    }
    warn_of_restart(old, next);
    rc = parts_apply(parts, old, next, &err);
    if (rc < 0) {
        log_error("config_rejected", "error=%s", log_q(err.msg));
        config_free(next);
        next = NULL;
        goto out;
    }
    log_info("config_reloaded", "probes=%zu", next->n_probes);
out:
    buf_done(&problems);
    return next;
}

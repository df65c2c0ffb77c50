// SPDX-License-Identifier: Apache-2.0
/*
 * The actions this agent may run when the collector asks: the `repairs` of agent.yaml, and what of a
 * request fits them. Nothing else is ever run, and there is no shell on the way.
 *
 *     - name: restart-web
 *       command: [/usr/bin/systemctl, restart, "{service}.service"]
 *       parameters: {service: "[a-z0-9-]+"}
 *
 * A parameter is a label's value, told by the collector. It has to match the whole of its pattern (a
 * POSIX extended regular expression), and never begins with "-" or holds a control character, so
 * that it cannot become an option. It stands in the arguments where {name} does, and in the
 * environment as TOCSIN_PARAMETER_name.
 *
 * Pure. Text is borrowed from the configuration.
 */
#pragma once
#include "agent/child.h"
#include "base/arena.h"
#include "wire/batch.h"

#define REPAIR_ACTIONS_MAX    32
#define REPAIR_ARGS_MAX       32
#define REPAIR_ENV_MAX        16
#define REPAIR_PATTERN_MAX    256
#define REPAIR_TIMEOUT_MS     30000
#define REPAIR_TIMEOUT_MS_MAX 600000
#define REPAIR_PER_HOUR       6
#define REPAIR_PER_HOUR_MAX   60
#define REPAIR_REASON_MAX     160

struct repair_parameter {
    const char *name, *pattern;
};
struct repair_action {
    const char *name;
    const char *argv[REPAIR_ARGS_MAX]; // argv[0] is an absolute path
    size_t n_argv;
    int64_t timeout_ms;
    unsigned max_per_hour;
    struct child_user user;
    struct wire_label env[REPAIR_ENV_MAX];
    size_t n_env;
    struct repair_parameter parameters[WIRE_REPAIR_PARAMETERS_MAX];
    size_t n_parameters;
};

// Whether it is a pattern at all.
bool repair_pattern_ok(const char *pattern);
bool repair_value_ok(const char *pattern, const char *value);
// Length of the name in "{name}..." at s, 0 when none stands there.
size_t repair_placeholder(const char *s);
// The action asked for, with parameters as it wants them. NULL: ret_outcome is REPAIR_NOT_LISTED or
// REPAIR_BAD_PARAMETER, and reason says which.
const struct repair_action *repair_find(const struct repair_action *list, size_t n,
    const struct wire_repair *r, enum repair_outcome *ret_outcome,
    char reason[static REPAIR_REASON_MAX]);
// What execve takes, NULL at their ends, in the arena. r has been found to fit a. 0, -ENOMEM.
int repair_arguments(const struct repair_action *a, const struct wire_repair *r,
    struct arena *arena, char ***ret);
int repair_environment(const struct repair_action *a, const struct wire_repair *r,
    struct arena *arena, char ***ret);

// SPDX-License-Identifier: Apache-2.0
#include "agent/repair_list.h"
#include <errno.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>

#define PATH_OF_ACTIONS "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// The whole of a value has to match.
static bool compile(const char *pattern, regex_t *ret)
{
    char whole[REPAIR_PATTERN_MAX + 8];
    int n = snprintf(whole, sizeof(whole), "^(%s)$", pattern);
    return n > 0 && (size_t)n < sizeof(whole) &&
           regcomp(ret, whole, REG_EXTENDED | REG_NOSUB) == 0;
}

bool repair_pattern_ok(const char *pattern)
{
    regex_t re;
    // By itself too: "a)(b" is a pattern only between our own parentheses.
    if (strlen(pattern) > REPAIR_PATTERN_MAX ||
        regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB) != 0)
        return false;
    regfree(&re);
    if (!compile(pattern, &re))
        return false;
    regfree(&re);
    return true;
}

bool repair_value_ok(const char *pattern, const char *value)
{
    regex_t re;
    if (value[0] == '-' || !value[0])
        return false;
    for (const char *c = value; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return false;
    if (!compile(pattern, &re))
        return false;
    bool match = regexec(&re, value, 0, NULL, 0) == 0;
    regfree(&re);
    return match;
}

size_t repair_placeholder(const char *s)
{
    if (*s != '{')
        return 0;
    size_t n = strspn(s + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
    return s[1 + n] == '}' ? n : 0;
}

static const char *value_of(const struct wire_repair *r, const char *name, size_t len)
{
    for (size_t i = 0; i < r->n_parameters; i++)
        if (strlen(r->parameters[i].name) == len &&
            memcmp(r->parameters[i].name, name, len) == 0)
            return r->parameters[i].value;
    return NULL;
}

static bool parameters_ok(const struct repair_action *a, const struct wire_repair *r,
    char reason[static REPAIR_REASON_MAX])
{
    for (size_t i = 0; i < a->n_parameters; i++) {
        const char *name = a->parameters[i].name, *value = value_of(r, name, strlen(name));
        if (!value) {
            snprintf(reason, REPAIR_REASON_MAX, "parameter %s is missing", name);
            return false;
        }
        if (!repair_value_ok(a->parameters[i].pattern, value)) {
            snprintf(
                reason, REPAIR_REASON_MAX, "the value of parameter %s is not allowed", name);
            return false;
        }
    }
    if (r->n_parameters == a->n_parameters)
        return true;
    for (size_t i = 0; i < r->n_parameters; i++) {
        size_t k = 0;
        while (k < a->n_parameters && strcmp(a->parameters[k].name, r->parameters[i].name) != 0)
            k++;
        if (k == a->n_parameters)
            snprintf(reason, REPAIR_REASON_MAX, "the action has no parameter %.100s",
                r->parameters[i].name);
    }
    return false;
}

const struct repair_action *repair_find(const struct repair_action *list, size_t n,
    const struct wire_repair *r, enum repair_outcome *ret_outcome,
    char reason[static REPAIR_REASON_MAX])
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(list[i].name, r->action) != 0)
            continue;
        if (parameters_ok(&list[i], r, reason))
            return &list[i];
        *ret_outcome = REPAIR_BAD_PARAMETER;
        return NULL;
    }
    *ret_outcome = REPAIR_NOT_LISTED;
    snprintf(reason, REPAIR_REASON_MAX, "no action %s in this agent's `repairs`", r->action);
    return NULL;
}

// The argument with values for its placeholders.
static char *filled(const char *arg, const struct wire_repair *r, struct arena *arena)
{
    size_t size = 1;
    char *out = NULL, *to = NULL;
    for (int pass = 0; pass < 2; pass++) { // counts, then writes
        for (const char *at = arg; *at;) {
            size_t n = repair_placeholder(at);
            const char *piece = n ? value_of(r, at + 1, n) : NULL;
            size_t len = piece ? strlen(piece) : 1;
            if (out)
                to = mempcpy(to, piece ? piece : at, len);
            else
                size += len;
            at += piece ? n + 2 : 1;
        }
        if (out)
            *to = '\0';
        else
            out = to = arena_alloc(arena, size);
        if (!out)
            return NULL;
    }
    return out;
}

int repair_arguments(const struct repair_action *a, const struct wire_repair *r,
    struct arena *arena, char ***ret)
{
    char **argv = arena_alloc(arena, (a->n_argv + 1) * sizeof(*argv));
    if (!argv)
        return -ENOMEM;
    for (size_t i = 0; i < a->n_argv; i++) {
        // What is run never depends on the request.
        argv[i] = i ? filled(a->argv[i], r, arena)
                    : arena_strndup(arena, a->argv[0], strlen(a->argv[0]));
        if (!argv[i])
            return -ENOMEM;
    }
    argv[a->n_argv] = NULL;
    *ret = argv;
    return 0;
}

static char *pair(struct arena *arena, const char *prefix, const char *name, const char *value)
{
    size_t size = strlen(prefix) + strlen(name) + strlen(value) + 2;
    char *s = arena_alloc(arena, size);
    if (s)
        snprintf(s, size, "%s%s=%s", prefix, name, value);
    return s;
}

int repair_environment(const struct repair_action *a, const struct wire_repair *r,
    struct arena *arena, char ***ret)
{
    size_t n = 0;
    char **env = arena_alloc(arena, (a->n_env + r->n_parameters + 3) * sizeof(*env));
    if (!env)
        return -ENOMEM;
    env[n++] = arena_strndup(arena, PATH_OF_ACTIONS, sizeof(PATH_OF_ACTIONS) - 1);
    env[n++] = pair(arena, "TOCSIN_", "ACTION", a->name);
    for (size_t i = 0; i < r->n_parameters; i++)
        env[n++] =
            pair(arena, "TOCSIN_PARAMETER_", r->parameters[i].name, r->parameters[i].value);
    for (size_t i = 0; i < a->n_env; i++)
        env[n++] = pair(arena, "", a->env[i].name, a->env[i].value);
    env[n] = NULL;
    for (size_t i = 0; i < n; i++)
        if (!env[i])
            return -ENOMEM;
    *ret = env;
    return 0;
}

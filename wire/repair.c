// SPDX-License-Identifier: Apache-2.0
#include "wire/repair.h"
#include "wire/name.h"
#include <string.h>

static bool of_these(const char *s, size_t max, const char *more)
{
    static const char ALLOWED[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    size_t n = 0;

    if (!s)
        return false;
    for (; s[n]; n++)
        if (n == max || (!strchr(ALLOWED, s[n]) && !strchr(more, s[n])))
            return false;
    return n > 0;
}

bool wire_repair_action_ok(const char *name)
{
    return of_these(name, WIRE_REPAIR_ACTION_MAX, "");
}

bool wire_repair_parameter_ok(const char *name)
{
    return name && !strchr(name, ':') && wire_metric_ok(name);
}

const char *wire_repair_fault(const struct wire_repair *r)
{
    if (!of_these(r->id, WIRE_REPAIR_ID_MAX, "/"))
        return "a repair's id is none";
    if (!wire_repair_action_ok(r->action))
        return "a repair's action is none";
    if (!wire_text_ok(r->alert, 0, WIRE_VALUE_MAX))
        return "a repair's alert is too long or not UTF-8";
    if (r->n_parameters > WIRE_REPAIR_PARAMETERS_MAX)
        return "a repair has too many parameters";
    if (r->valid_ms > WIRE_REPAIR_VALID_MS_MAX)
        return "a repair is valid for too long";
    for (size_t i = 0; i < r->n_parameters; i++) {
        const struct wire_label *p = &r->parameters[i];
        if (!wire_repair_parameter_ok(p->name) ||
            !wire_text_ok(p->value, 1, WIRE_REPAIR_VALUE_MAX))
            return "a repair's parameter is out of range";
        if (i > 0 && strcmp(r->parameters[i - 1].name, p->name) >= 0)
            return "a repair's parameters are not sorted";
    }
    return NULL;
}

const char *wire_repair_result_fault(const struct wire_repair_result *r)
{
    if (!of_these(r->id, WIRE_REPAIR_ID_MAX, "/"))
        return "a repair result's id is none";
    // A receiver passes over outcomes it does not know, so only "none" is a mistake.
    if ((int)r->outcome <= 0)
        return "a repair result without an outcome";
    if (r->n_output > WIRE_REPAIR_OUTPUT_MAX)
        return "a repair result's output is too long";
    if (!wire_text_ok(r->reason, 0, WIRE_DETAIL_MAX))
        return "a repair result's reason is too long or not UTF-8";
    return NULL;
}

const char *repair_outcome_name(enum repair_outcome o)
{
    static const char *const NAMES[REPAIR_OUTCOMES] = {NULL, "started", "exited", "killed",
        "timed out", "not listed", "bad parameter", "over budget", "expired", "busy",
        "not started", "lost"};
    return (int)o > 0 && (size_t)o < REPAIR_OUTCOMES ? NAMES[o] : "unknown";
}

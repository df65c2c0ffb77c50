// SPDX-License-Identifier: Apache-2.0
#include "collector/command.h"
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

// A whole number within 0..max; absent is the default.
static int number(
    const cJSON *o, const char *key, int64_t absent, int64_t max, int64_t *ret, struct err *err)
{
    const cJSON *n = cJSON_GetObjectItemCaseSensitive(o, key);
    *ret = absent;
    if (!n)
        return 0;
    double v = n->valuedouble;
    // Written so that NaN is refused too.
    if (!cJSON_IsNumber(n) || !(v >= 0 && v <= (double)max)) {
        err_set(err, "`%s` must be a number from 0 to %lld", key, (long long)max);
        return -EINVAL;
    }
    *ret = (int64_t)v;
    return 0;
}

static int read_subscribe(const cJSON *o, struct command *ret, struct err *err)
{
    const cJSON *expr = cJSON_GetObjectItemCaseSensitive(o, "expr");
    if (!cJSON_IsString(expr) || expr->valuestring[0] == '\0') {
        err_set(err, "`expr` is missing");
        return -EINVAL;
    }
    if (number(o, "window_ms", COMMAND_WINDOW_MS, COMMAND_WINDOW_MAX_MS, &ret->window_ms, err) <
            0 ||
        number(o, "step_ms", 1000, COMMAND_STEP_MAX_MS, &ret->step_ms, err) < 0 ||
        number(o, "since_ms", 0, COMMAND_TIME_MAX_MS, &ret->since_ms, err) < 0)
        return -EINVAL;
    ret->expr = strdup(expr->valuestring);
    return ret->expr ? 0 : -ENOMEM;
}

int command_parse(const char *text, size_t len, struct command *ret, struct err *err)
{
    int rc = -EINVAL;
    const char *end = NULL;
    *ret = (struct command){0};
    cJSON *o = cJSON_ParseWithLengthOpts(text, len, &end, 0);
    while (end && end < text + len && strchr(" \t\r\n", *end) && *end)
        end++;
    if (!cJSON_IsObject(o) || end != text + len) {
        err_set(err, "a command is one JSON object");
        cJSON_Delete(o);
        return -EBADMSG;
    }
    const cJSON *op = cJSON_GetObjectItemCaseSensitive(o, "op");
    const cJSON *id = cJSON_GetObjectItemCaseSensitive(o, "id");
    if (!cJSON_IsNumber(id) || !(id->valuedouble >= 1 && id->valuedouble <= UINT16_MAX) ||
        (double)(uint16_t)id->valuedouble != id->valuedouble) {
        err_set(err, "`id` must be a whole number from 1 to 65535");
        goto out;
    }
    ret->id = (uint16_t)id->valuedouble;
    if (cJSON_IsString(op) && strcmp(op->valuestring, "subscribe") == 0) {
        ret->subscribe = true;
        rc = read_subscribe(o, ret, err);
    } else if (cJSON_IsString(op) && strcmp(op->valuestring, "unsubscribe") == 0) {
        rc = 0;
    } else {
        err_set(err, "`op` must be subscribe or unsubscribe");
    }
out:
    cJSON_Delete(o);
    return rc;
}

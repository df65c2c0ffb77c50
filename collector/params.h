// SPDX-License-Identifier: Apache-2.0
/*
 * Parameters of an API request, from the query string or a form body, checked and put into a
 * struct request. Pure: text in, request out.
 */
#pragma once
#include "base/err.h"
#include "collector/request.h"

// Takes one decoded parameter. Unknown names are ignored, as Prometheus does. 0; -EINVAL with err (a
// value that is not a time, a step ...); -E2BIG (too long), -ENOMEM.
int params_add(struct request *r, const char *name, const char *value, struct err *err);
// All of an application/x-www-form-urlencoded text.
int params_form(struct request *r, const char *text, size_t len, struct err *err);
// Is what this kind of request needs there? 0 or -EINVAL.
int params_check(const struct request *r, struct err *err);
// "1690000000.5" or RFC 3339 "2026-11-25T04:19:31.5Z" (or +01:00), to ms since 1970.
int params_time(const char *text, int64_t *ret_ms);
// Decodes %XX and + in place; the new length, or -EINVAL.
int params_decode(char *text);

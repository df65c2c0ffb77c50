// SPDX-License-Identifier: Apache-2.0
/*
 * Label matchers as Alertmanager writes them in routes, inhibitions and silences:
 *
 *     severity=~"page|critical"      team = web      {a="b", c!~"d.*"}      "utf 8"="x"
 *
 * A value needs no quotes while it holds none of {}!=~," and no space. Regexes are anchored.
 */
#pragma once
#include "base/arena.h"
#include "rules/matcher.h"

#define MATCHERS_MAX 64

struct matcher_list { // caller-owned; text in an arena, regexes freed by matcher_list_done
    struct matcher *m;
    size_t n, cap;
};
// Appends what the text holds. 0; -EINVAL with err (col = byte of the text, 1-based); -ENOMEM.
int matchers_parse(
    const char *text, size_t len, struct arena *a, struct matcher_list *ret, struct err *err);
// One matcher from its parts; is_regex as in Alertmanager's API and `match_re`.
int matchers_add(const char *name, const char *value, bool equal, bool is_regex,
    struct arena *a, struct matcher_list *ret, struct err *err);
// Frees the regexes; the array is the arena's.
void matcher_list_done(struct matcher_list *l);
// Appends {a="b",c=~"d"}, sorted as given: the form of Alertmanager's keys.
void matchers_print(const struct matcher *m, size_t n, struct buf *out);

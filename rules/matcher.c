// SPDX-License-Identifier: Apache-2.0
#include "rules/matcher.h"
#include <string.h>

bool matcher_value(const struct matcher *m, const char *value)
{
    switch (m->op) {
    case MATCH_EQ: return !strcmp(m->value, value);
    case MATCH_NE: return strcmp(m->value, value) != 0;
    case MATCH_RE: return regex_full_match(m->re, value, strlen(value));
    case MATCH_NRE: return !regex_full_match(m->re, value, strlen(value));
    }
    return false;
}

bool matchers_labels(const struct matcher *m, size_t n, const struct labels *s)
{
    for (size_t i = 0; i < n; i++)
        if (!matcher_value(&m[i], labels_get(s, m[i].name)))
            return false;
    return true;
}

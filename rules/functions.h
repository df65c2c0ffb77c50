// SPDX-License-Identifier: Apache-2.0
/* Every function of Prometheus 3.x: name and signature; which of them the evaluator has. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#define FUNCTION_ARGS_MAX 8
struct function {
    const char *name;
    int id;                          // enum function_id
    unsigned char args[FUNCTION_ARGS_MAX];   // enum value_type of each
    unsigned char n_args;
    signed char variadic;            // 0 = exactly n_args; k > 0 = up to k of the last are optional; -1 = any number more
    unsigned char result;            // enum value_type
    bool experimental;
};
const struct function *function_find(const char *name, size_t len);   // NULL
const char *const *function_names(size_t *ret_n);                      // sorted
bool function_supported(const struct function *f);                     // the evaluator implements it

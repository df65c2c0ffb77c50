// SPDX-License-Identifier: Apache-2.0
#include "rules/functions.h"
#include "rules/ast.h"
#include <string.h>

#define TYPE_OF(c)                                                                             \
    ((c) == 's'      ? TYPE_SCALAR                                                             \
        : (c) == 't' ? TYPE_STRING                                                             \
        : (c) == 'm' ? TYPE_MATRIX                                                             \
                     : TYPE_VECTOR)
// Past the end of the type string the entry is never read; TYPE_OF of NUL keeps it a constant.
#define ARG(text, i) TYPE_OF(sizeof(text) > (i) ? (text)[(i) * (sizeof(text) > (i))] : 0)
#define FUNCTION_ROW(id_, name_, result_, args_, variadic_, experimental_)                     \
    {.name = name_,                                                                            \
        .id = FN_##id_,                                                                        \
        .args = {ARG(args_, 0), ARG(args_, 1), ARG(args_, 2), ARG(args_, 3), ARG(args_, 4)},   \
        .n_args = sizeof(args_) - 1,                                                           \
        .variadic = variadic_,                                                                 \
        .result = TYPE_OF(result_),                                                            \
        .experimental = experimental_},
#define FUNCTION_NAME(id_, name_, result_, args_, variadic_, experimental_) name_,

static const struct function table[FN_N] = {FUNCTION_TABLE(FUNCTION_ROW)};
static const char *const names[FN_N] = {FUNCTION_TABLE(FUNCTION_NAME)};

#undef FUNCTION_NAME
#undef FUNCTION_ROW
#undef ARG
#undef TYPE_OF

const struct function *function_find(const char *name, size_t len)
{
    for (size_t i = 0; i < FN_N; i++)
        if (!strncmp(names[i], name, len) && !names[i][len])
            return &table[i];
    return NULL;
}

const char *const *function_names(size_t *ret_n)
{
    *ret_n = FN_N;
    return names;
}

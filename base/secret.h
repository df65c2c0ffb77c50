// SPDX-License-Identifier: Apache-2.0
/* Tokens read from files and compared in constant time. */
#pragma once
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>

#define SECRET_MAX 4096
// Reads a secret file, trims one trailing newline. Refuses (-EPERM) a file others may read,
// an empty one (-EINVAL), one over SECRET_MAX (-EMSGSIZE). The result is malloc'ed; secret_free wipes it.
int secret_read(const char *path, char **ret, struct err *err);
void secret_free(char *secret);
bool secret_equal(
    const char *a, size_t a_len, const char *b, size_t b_len); // time depends on lengths only
int random_bytes(void *out, size_t len);                       // 0 or -errno

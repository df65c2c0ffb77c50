// SPDX-License-Identifier: Apache-2.0
/*
 * Starting a thread as every thread here is started: named, and with all signals blocked, because
 * signals are the main thread's.
 */
#pragma once
#include "base/err.h"
#include <pthread.h>

// name: at most 15 characters, shown by top and gdb. 0, or -errno with err.
int thread_start(
    pthread_t *ret, const char *name, void *(*fn)(void *ctx), void *ctx, struct err *err);

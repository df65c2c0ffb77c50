// SPDX-License-Identifier: Apache-2.0
#include "base/thread.h"
#include <signal.h>
#include <string.h>

int thread_start(
    pthread_t *ret, const char *name, void *(*fn)(void *ctx), void *ctx, struct err *err)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(ret, NULL, fn, ctx);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0) {
        err_set(err, "cannot start the %s thread: %s", name, strerror(rc));
        return -rc;
    }
    pthread_setname_np(*ret, name);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
/*
 * One running program of somebody else's: an action of a repair, a plugin. A process in a group of its
 * own, with its output on a pipe and a time by which it has to be done. Of the output the first bytes
 * are kept, the rest is read and dropped, so that no program waits for a reader. At its timeout the
 * group gets SIGTERM, and SIGKILL CHILD_KILL_MS later; nothing but that group is ever signalled.
 *
 *     fork -> group, user, capabilities off, descriptors off, exec      no shell, no PATH
 *        pipes -> read as they fill          pidfd -> ended: waited for, told, once
 *
 * A program may leave a service behind that holds on to the pipe. For a repair that is its purpose: it
 * is drained on until that ends too, because a pipe without a reader would kill the service at its next
 * line. Where `alone` is set nothing is left: what is still in the group is killed when the program ends.
 *
 * Between fork and exec only calls are made that are safe beside other threads (libcurl's resolver has
 * some): groups are looked up when the configuration is read. SIGCHLD must not be ignored. Belongs to
 * the loop's thread.
 */
#pragma once
#include "base/err.h"
#include "base/loop.h"
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define CHILD_KILL_MS    2000
#define CHILD_ERRORS_MAX 512
#define CHILD_GROUPS_MAX 64

// Who a program runs as. name NULL: as the agent itself.
struct child_user {
    const char *name;
    uid_t uid;
    gid_t gid;
    const gid_t *groups;
    size_t n_groups;
};
struct child_options {
    char *const *argv, *const *env; // read before child_start returns
    struct child_user user;         // likewise
    int64_t timeout_ms;
    size_t output_max; // bytes kept
    bool errors_apart; // standard error is kept beside the output, else it is part of it
    bool alone;        // see above
};
enum child_how { CHILD_EXITED, CHILD_KILLED, CHILD_TIMED_OUT };
struct child_end {
    enum child_how how;
    int code; // exit status, or the signal
    int64_t duration_ns;
    const char *output, *errors; // not terminated
    size_t n_output, n_errors;
    bool cut; // there was more output
};

struct child;
// The process has ended. Pointers live until it returns, or until it frees the child, which it may.
typedef void child_fn(void *ctx, const struct child_end *end);
// NULL with err.
struct child *child_start(struct loop *loop, const struct child_options *o, child_fn *done,
    void *ctx, struct err *err);
// False: nobody holds its output any more, and it may be freed.
bool child_open(const struct child *c);
bool child_running(const struct child *c);
// SIGKILL to its group; its end is told as ever.
void child_kill(struct child *c);
// NULL allowed. A process that still runs is left, or, with `alone`, killed and waited for, 0.2 s at
// most.
void child_free(struct child *c);

// SPDX-License-Identifier: Apache-2.0
/*
 * What is a service, and is it up, restarting, stopped or crashed? Pure: listeners, deaths and the
 * time come in as arguments, changes go out through one callback. No system call.
 *
 * A service is a (name, port), or (name, path) of UNIX sockets. All sockets of that pair are one service, which is down only when
 * the last of them is gone.
 *
 *                  last listener gone                 no evidence after the grace
 *        up  ------------------------------> starting ----------------------------> stopped
 *         ^                                   |   |                                    |
 *         |        listens again in grace     |   | evidence                           |
 *         |<----------------------------------+   v                                    |
 *         |<-------------------------------------- crashed                             |
 *         |          listens again at any later time                                   |
 *         +<---------------------------------------------------------------------------+
 *
 * Evidence is the death of a process that held the listener, by a signal nobody uses to stop a
 * service, or an OOM kill. It may come before or after the listener goes: the two are put together
 * within SERVICE_GRACE_NS; the first of several is told. A `docker stop` that its container ignores
 * ends in SIGKILL ten seconds later and counts as a crash: the service did not stop as asked.
 * A worker's death is evidence only when it was the last holder; that of a
 * process no other holder started (nginx's master) always is, but only once the listener is gone.
 *
 * Listeners that come and go are not services yet: one that has not listened for SERVICE_SETTLE_NS,
 * or that listens on a port of the ephemeral range on loopback only, ends without a word when it
 * goes without evidence; the second kind is not even announced before SERVICE_ANNOUNCE_NS, so that
 * test suites do not use up series.
 *
 * One owner, one thread. Everything is bounded: SERVICES_MAX, SERVICE_OWNERS per service.
 */
#pragma once
#include "base/map.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SERVICES_MAX        1000
#define SERVICE_SOCKETS_MAX 8192
#define SERVICE_OWNERS      32
#define SERVICE_NAME_MAX    128
#define SERVICE_PATH_MAX    112
#define SERVICE_GRACE_NS    2000000000LL
#define SERVICE_SETTLE_NS   10000000000LL
#define SERVICE_ANNOUNCE_NS 1000000000LL
#define SERVICE_KEEP_NS     86400000000000LL

enum service_state { SERVICE_UP, SERVICE_STARTING, SERVICE_STOPPED, SERVICE_CRASHED };
#define SERVICE_STATES 4
const char *service_state_name(enum service_state s);

struct service_owner {
    int32_t pid, parent;
    bool dead;
};

struct service {
    char name[SERVICE_NAME_MAX];
    const char *netns;           // as services.netns
    char path[SERVICE_PATH_MAX]; // of a UNIX socket, port is 0 then; "" = TCP
    uint16_t port;
    enum service_state state;
    bool announced; // SERVICE_APPEARED was given
    bool settled;
    bool ephemeral; // every socket of it so far: ephemeral port, loopback only
    bool present;   // was there when the agent started
    uint32_t sockets;
    int64_t born_ns, up_ns, down_ns;
    struct service_owner owners[SERVICE_OWNERS];
    size_t n_owners;
    int64_t evidence_ns; // 0 = none
    char evidence[64];   // "killed by signal 9"
    int64_t code_ns;     // an exit with an error code; 0 = none
    int code;
    void *data[2]; // for whoever shows it; [0] listeners, [1] traffic
    struct service *next;
};

struct service_socket {
    struct service *service;
    uint64_t cookie;
    bool seen;
    uint32_t drops; // the kernel's count at the last view
};

enum service_change { SERVICE_APPEARED, SERVICE_TURNED, SERVICE_ENDED };
// detail is "" or says why, for a person. After SERVICE_ENDED the service is freed.
typedef void service_change_fn(void *ctx, struct service *s, enum service_change change,
    enum service_state from, const char *detail);

struct services {
    struct map sockets; // cookie -> struct service_socket
    struct service *list;
    const char
        *netns; // label of the network namespace they are in; NULL or "" = the agent's own
    size_t n, refused; // refused: beyond SERVICES_MAX or out of memory
    // As of the last services_advance: when the last went that is still down, 0 = all are up; and from
    // when on there is something to do, if no view comes before.
    int64_t went_ns, due_ns;
    service_change_fn *fn;
    void *ctx;
};

void services_init(struct services *m, service_change_fn *fn, void *ctx);
void services_done(struct services *m); // without callbacks

// One whole view of the LISTEN table: begin, then seen or up for each socket, then end. A socket not
// named between begin and end is gone. A view that failed half way is simply not ended.
void services_begin(struct services *m);
struct service_socket *services_seen(struct services *m, uint64_t cookie); // NULL = new: _up
struct service_listener {
    uint64_t cookie;
    const char *name;
    const char *path; // NULL: TCP
    uint16_t port;
    bool loopback, ephemeral_port; // both: comes and goes without a word
    bool present;                  // found by the first view after the agent's start
};
// NULL when refused.
struct service_socket *services_up(
    struct services *m, const struct service_listener *l, int64_t now_ns);
void services_end(struct services *m, int64_t now_ns);

// A process that holds a listener of s. parent 0 = not known. Known ones are updated.
void service_owner(struct service *s, int32_t pid, int32_t parent);
bool service_owned_by(const struct service *s, int32_t pid);
void service_owners_clear(struct service *s);
// Listening, and all who are known to have held it are dead: look again.
bool service_owners_unknown(const struct service *s);

struct service_exit {
    int32_t pid, parent;
    int signal; // 0 = it returned `code`
    bool core;
    int code;
};
// True when this may have taken a listener away: look at the table now.
bool services_exit(struct services *m, const struct service_exit *e, int64_t now_ns);
// The kernel killed something in the service's cgroup for want of memory.
void services_oom(struct services *m, struct service *s, int64_t now_ns);
// Grace, settling, announcing, forgetting. After each view, and when it is due.
void services_advance(struct services *m, int64_t now_ns);
// The first service listening on the port; NULL = no listener there.
struct service *services_port(const struct services *m, uint16_t port);

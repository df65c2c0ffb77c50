// SPDX-License-Identifier: Apache-2.0
/*
 * One port: accepts connections, keeps peers within limits and deadlines, and hands the sockets
 * to a libmicrohttpd daemon that has no listening socket of its own and runs inside our loop.
 *
 *     accept -> caps (total, per address) -> MHD_add_connection -> handler
 *                                    reaper: one look a second, shutdown() of what is overdue
 *
 * Why our own accept path: MHD's timeout is inactivity only, so one header byte a second holds a
 * connection for ever; at its connection limit it leaves peers hanging without an answer; and
 * with its own thread it can be made to stop when connections are queued past the limit. Here a
 * request has a deadline from its first byte, and at the limit the oldest connection that never
 * finished a request makes room, so that silent connections cannot keep a real peer out.
 *
 * A connection's life:   FRESH -> BODY -> REPLY -> IDLE -> BODY ...      or UPGRADED
 *     FRESH, and IDLE once a byte of the next request has come:  request_ms to the whole request
 *     REPLY: reply_ms until the answer is written                 IDLE: idle_ms to the next request
 *
 * Everything belongs to the loop's thread. Reply in a call of the handler after its first one
 * (return MHD_YES there), or the connection is closed by MHD after the answer.
 */
#pragma once
#include "base/err.h"
#include "base/loop.h"
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct listener;

// One connection, made by the listener. `user` is the handler's own, for as long as it lives.
struct listener_conn {
    void *user;
    int fd;
    struct sockaddr_storage peer;
};

struct listener_handler {
    void *ctx;
    // As MHD_AccessHandlerCallback. *req is NULL in the first call of a request, and the first
    // call always comes before the body.
    enum MHD_Result (*request)(void *ctx, struct listener_conn *conn, struct MHD_Connection *c,
        const char *url, const char *method, const char *upload, size_t *upload_len,
        void **req);
    // The request is over, answered or broken off: free what *req holds (it may be NULL).
    void (*completed)(
        void *ctx, struct listener_conn *conn, void **req, enum MHD_RequestTerminationCode why);
    void (*closed)(void *ctx, struct listener_conn *conn); // may be NULL; conn dies after it
};

struct listener_options {
    const char *address;          // "127.0.0.1:7312", "[::1]:0"; port 0 = any
    size_t connections_max;       // 0 = 8192
    size_t per_ip_max;            // 0 = 512
    int64_t request_ms;           // 0 = 9,000: within 10 s with the reaper's step
    int64_t reply_ms;             // 0 = 30,000
    int64_t idle_ms;              // 0 = 65,000
    size_t memory_per_connection; // 0 = 8 KiB, MHD's pool: header sizes, and cost per request
    bool upgrade, suspend;        // MHD_ALLOW_UPGRADE, MHD_ALLOW_SUSPEND_RESUME
};

struct listener_stats {
    size_t connections, peers;
    uint64_t accepted, refused_ip, evicted, overdue, accept_paused;
};

// Binds, listens and starts the daemon. 0 or -errno with err.
int listener_open(struct loop *l, const struct listener_options *o,
    const struct listener_handler *h, struct listener **ret, struct err *err);
void listener_free(struct listener *l); // closes everything; NULL allowed
// The address really bound, "127.0.0.1:45123".
const char *listener_address(const struct listener *l);
bool listener_loopback(const struct listener *l);
void listener_stop_accepting(struct listener *l); // an orderly end begins
// After MHD_resume_connection: have MHD look at its connections in this turn of the loop.
void listener_kick(struct listener *l);
// The listener of a connection, for whoever is handed only that.
struct listener *listener_of(const struct listener_conn *conn);
// The connection now belongs to an upgraded protocol: no deadline of ours any more. After
// MHD_upgrade_action it takes a listener_kick for MHD to close it.
void listener_upgraded(struct listener_conn *conn);
void listener_stats(const struct listener *l, struct listener_stats *ret);

// "host:port" or "[v6]:port", literal addresses only. 0 or -EINVAL with err.
int address_parse(
    const char *text, struct sockaddr_storage *ret, socklen_t *ret_len, struct err *err);
bool address_loopback(const struct sockaddr_storage *a);

// SPDX-License-Identifier: Apache-2.0
/*
 * A request of libcurl as probes make it: on a connection of its own, since a kept one would not notice
 * that nobody listens any more; certificates are verified, redirects not followed, libcurl is told the
 * address so that its resolver is never asked. The handle is kept from round to round and set up once.
 * A service of this host is connected by us (dial.h), and the request said in the same turn of the loop, or
 * when the connection is there: libcurl has no way to be given one that still waits.
 *
 * Loop thread. Whoever keeps it sets the time limit and stops it; all zero is none yet.
 */
#pragma once
#include "agent/config.h"
#include "agent/probe_class.h"
#include "agent/resolve.h"
#include "agent/sampler.h"
#include "base/transfer.h"

struct request {
    struct transfer transfer;
    CURL *easy;                 // NULL: not set up
    struct curl_slist *address; // where curl finds the name's
    struct env *env;
    struct transfers *transfers;
    struct loop_io *io; // our connection still waits
    int fd;             // of it, until libcurl has it
    bool dialed;        // there is that
    int refused;        // errno of our own connecting
    int64_t begun_ns;   // of that
    double connect_s;   // what it took, which is in none of libcurl's times
    char error[CURL_ERROR_SIZE];
};

// Sets up what all have in common; the URL is the caller's. body is CURLOPT_WRITEFUNCTION, with ctx.
// False: memory.
bool request_setup(struct request *r, const struct probe_config *c, struct env *env,
    void (*done)(struct transfer *t, CURLcode result),
    size_t (*body)(char *data, size_t size, size_t n, void *ctx), void *ctx);
// False: memory.
bool request_start(struct request *r, struct transfers *m, const struct probe_config *c,
    const struct endpoint *to);
void request_stop(struct request *r, struct transfers *m);
void request_free(struct request *r); // stopped before
// Why it failed.
enum probe_class request_failed(
    const struct request *r, CURLcode result, char *detail, size_t size);
// The earliest end of a certificate of the chain, unix time; 0: there is none.
double request_cert_expiry(const struct request *r);

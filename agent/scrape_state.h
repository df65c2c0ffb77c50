// SPDX-License-Identifier: Apache-2.0
/* The insides of scrapes: scrape.c has the turns and the set of targets, scrape_fetch.c one page. */
#pragma once
#include "agent/exposition.h"
#include "agent/intake.h"
#include "agent/resolve.h"
#include "agent/scrape.h"
#include "agent/scrape_config.h"

enum verdict { VERDICT_NONE, VERDICT_UP, VERDICT_DOWN };

struct scrape {
    struct scrapes *engine;
    const struct scrape_target *target;
    char *source; // "JOB INSTANCE", for the self-metrics
    struct intake *in;
    struct loop_timer *timer; // the turn
    struct endpoint endpoint;
    int64_t due_ns, begun_ns, wall_ms;
    uint64_t skipped;
    enum verdict verdict;
    bool active, looking_up;
    bool kept; // by scrapes_apply

    // Of the page at hand:
    struct transfer transfer;
    CURL *easy;
    struct curl_slist *headers, *address;
    struct loop_timer *resume; // libcurl waits for the next round
    struct exposition *page;
    uint64_t body;
    bool begun;     // the first byte of a good answer was there
    struct err err; // why it failed
    char error[CURL_ERROR_SIZE];
};

struct scrapes {
    struct env *env;
    struct schedule *schedule;
    struct transfers *transfers;
    struct resolver *resolver; // made for the first name
    struct sampler *cost;
    struct scrape **all;
    size_t n;
    int64_t slice_round_ns, slice_ns; // of the loop; spent in it
};

// Starts the page. 0, or -ENOMEM with s->err. Then scrape_done comes, never from within.
int scrape_fetch(struct scrape *s);
void scrape_fetch_stop(struct scrape *s);
void scrape_fetch_free(struct scrape *s);
// The page is over: good, or s->err says why not.
void scrape_done(struct scrape *s, bool good);

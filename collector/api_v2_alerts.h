// SPDX-License-Identifier: Apache-2.0
/*
 * What the api_v2*.c share: the filter of a request, one alert as Alertmanager writes it, and pieces of
 * JSON. Notify thread.
 *
 *     api_v2.c         silences, receivers, status; which endpoint it is
 *     api_v2_alerts.c  alerts         api_v2_groups.c  alerts/groups
 *     api_acks.c       acknowledgements
 */
#pragma once
#include "base/arena.h"
#include "collector/api_v2.h"

#define SILENCED_BY     16 // ids shown of one alert
#define RECEIVERS_SHOWN 16

// The parameters of a request.
struct api_filter {
    struct arena arena;
    struct matcher_list matchers;
    bool active, silenced, inhibited;
    const char *receiver; // a regex over the whole name; NULL = any
    struct regex *receiver_re;
};
// False: answered already. Otherwise api_filter_done has to be called.
bool api_filter_read(struct request *r, struct api_filter *f);
void api_filter_done(struct api_filter *f);
bool api_filter_receiver(const struct api_filter *f, const char *name);

// An answer that is made while something is walked.
struct api_listing {
    const struct api_v2 *a;
    struct api_filter *f;
    struct buf *b;
    int64_t now_ms;
    size_t n;
};

// An alert that fires and what is held against it.
struct api_v2_alert {
    const struct notice *notice;
    unsigned muted; // by enum mute, on any lane
    const char *silences[SILENCED_BY];
    size_t silenced; // by how many
};
struct api_v2_alert api_v2_alert_of(const struct api_listing *l, const struct ledger_entry *e);
// By all that the filter says but for the receiver.
bool api_v2_alert_wanted(const struct api_listing *l, const struct api_v2_alert *a);
// receivers: names, sorted as they shall stand.
void api_v2_alert_json(const struct api_listing *l, const struct api_v2_alert *a,
    const char *const *receivers, size_t n);

void api_v2_alerts(const struct api_v2 *a, struct request *r, int64_t now_ms);
void api_v2_groups(const struct api_v2 *a, struct request *r, int64_t now_ms);

// The error is a JSON string, as Alertmanager's is.
void api_v2_refuse(struct request *r, int status, const char *why);

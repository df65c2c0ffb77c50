// SPDX-License-Identifier: Apache-2.0
/*
 * The collector's configuration: one YAML file, one table of keys (config.c) from which parsing,
 * checking, defaults and `--print-config` come. `route` and `receivers` are Alertmanager's own
 * dialect, a subset of it; a key of Alertmanager's that we do not do yet is an error that says so,
 * never ignored: a page that silently goes elsewhere is worse than a start that fails.
 *
 * Alertmanager's part may stand in a file of its own, one of Alertmanager's unchanged
 * (`alertmanager_file`); then none of it stands here.
 *
 * Every mistake of a file is collected in diags (codes C0xx). All text lives in the arena.
 * Relative paths are relative to the working directory; those of an alertmanager_file to its folder.
 */
#pragma once
#include "base/arena.h"
#include "base/diag.h"
#include "base/err.h"
#include "collector/inhibit.h"
#include "collector/receiver.h"
#include "collector/route.h"
#include "collector/time_interval.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_FILE_MAX (1u << 20)

struct template_set;
struct config_receiver {
    const char *name;
    struct integration *integrations;
    size_t n;
};
// A place in our own file, for what is known only when an alertmanager_file is read too.
struct config_place {
    int line, col, len;
};
struct config_fallback {
    const char *receiver, *to;
    int64_t after_ms;
    struct config_place receiver_at, to_at;
};
#define HEARTBEATS_MAX 16
struct config_heartbeat {
    const char *name;
    int64_t every_ms;
    struct integration to;
};
struct config {
    struct arena arena;
    const char *listen_http, *listen_agents;
    const char *state_dir;
    const char *token_file; // NULL = none
    bool insecure_plaintext;
    const char *external_url; // "" = http://<listen.http>
    const char *log_level;
    const char **rules; // files, folders, globs are not done
    size_t n_rules;
    int64_t interval_ms, grace_ms; // evaluation
    int64_t retention_ms;          // in memory
    uint64_t series_per_agent, series_max, connections_max, connections_per_ip;
    const char *alertmanager_file; // NULL = none
    struct route *route;           // NULL: alerts are shown but sent nowhere
    struct inhibit_rule *inhibit;
    size_t n_inhibit;
    struct time_interval *intervals;
    size_t n_intervals;
    struct config_receiver *receivers;
    size_t n_receivers;
    struct config_fallback *fallbacks;
    size_t n_fallbacks;
    struct config_heartbeat *heartbeats; // for those who watch us
    size_t n_heartbeats;
    struct template_set *templates; // of messages; NULL: none has one
    atomic_uint refs;               // 0: not shared, somebody owns it
};

// Fills ret with the defaults, then with the text. Always leaves ret ready for config_done.
// 0; -EINVAL: diags has the mistakes; -ENOMEM.
int config_parse(const char *text, size_t len, struct config *ret, struct diags *d);
int config_defaults(struct config *ret); // 0, -ENOMEM
// Alertmanager's part from c->alertmanager_file's text, after config_parse. Returns as it does.
int config_alertmanager(struct config *c, const char *text, size_t len, struct diags *d);
// That fallbacks name what is there, when all receivers are known. Adds to d; false: there are mistakes.
bool config_fallbacks_check(const struct config *c, struct diags *d);
// Who is told when that receiver is not reached; NULL: nobody.
const struct config_fallback *config_fallback(const struct config *c, const char *receiver);
// The file at path (NULL: the defaults) and an alertmanager_file it names. Both are added to text,
// what is wrong with them to report, as people read it. 0 or -errno; ret is ready for config_done.
int config_load(const char *path, struct config *ret, struct buf *text, struct buf *report);
void config_done(struct config *c);
// A loaded configuration is shared by reference, because a message in flight needs the one it was sent
// by after the next is in force: main holds the one in force, each lane those it was opened with.
// config_share moves c to the heap with one reference; NULL: no memory, c is as it was. ref and unref of
// one that is not shared do nothing. Any thread.
struct config *config_share(struct config *c);
struct config *config_ref(struct config *c);
void config_unref(struct config *c); // NULL allowed
// The keys in which the two differ and that a reload does not bring into force: "listen.http, retention".
int config_restart_keys(
    const struct config *running, const struct config *next, struct buf *out);
const struct config_receiver *config_receiver(const struct config *c, const char *name); // NULL
const struct time_interval *config_interval(const struct config *c, const char *name);   // NULL
// Every key with its default and what it is for, as a YAML file that parses to the defaults.
int config_print(struct buf *out);

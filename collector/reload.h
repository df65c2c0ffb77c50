// SPDX-License-Identifier: Apache-2.0
/*
 * Reading everything anew while we run (SIGHUP, POST /-/reload): configuration, rules, receivers,
 * routes, inhibition, times, and the secrets in files. All or nothing:
 *
 *     files --read, checked whole--> config, rules --notify takes the config--> shard takes the rules
 *              |                                        |                          |
 *              mistake: nothing changed                 no: nothing changed        no: notify gets the old
 *                                                                                  config back
 *
 * A mistake is a banner on the page, the series tocsin_config_reload_ok (built-in alert ConfigRejected),
 * log lines, and the answer. What cannot be changed while we run (ports, state_dir ...) is named.
 *
 * Main thread. Borrows all it points to but `started` and `current`, of which it holds a reference.
 */
#pragma once
#include "collector/ingest.h"
#include "collector/notify.h"
#include "collector/policies.h"
#include "collector/self.h"
#include "collector/shard.h"

struct reload_source {                 // of the command line
    const char *file;                  // NULL = the defaults
    const char *state_dir, *log_level; // instead of the file's; NULL = as it says
};
struct reload {
    struct reload_source source;
    struct config *started; // that what needs a restart is compared with
    struct config *current;
    struct policies *policies; // of the rules in force; a reference
    const char *token;         // in force; NULL = none
    struct shard *shard;
    struct notify *notify;
    struct ingest *ingest;
    struct board *board;
    struct self *self;
    struct clock clock;
};
// The configuration, and whether what receivers need besides it is there and may be read. 0 or -errno;
// ret is ready for config_done, what is wrong is in report as people read it.
int reload_read(const struct reload_source *s, struct config *ret, struct buf *report);
// 0, or -errno and nothing has changed. What came of it is said in answer, for a person.
int reload_now(struct reload *r, struct buf *answer);
void reload_done(struct reload *r); // gives the references back

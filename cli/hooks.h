// SPDX-License-Identifier: Apache-2.0
/*
 * `tocsin hooks`: what receivers were sent, over /api/v1/hooks of the collector. One file per concern:
 * hooks_ls.c (how receivers and dead letters stand), hooks_log.c (what was sent), hooks_send.c (test,
 * replay, dismiss), hooks_listen.c (a receiver of one's own).
 */
#pragma once
#include "cli/text.h"
#include "cli/verb.h"
#include <cjson/cJSON.h>

#define HOOKS_TEXT_MAX 64

int hooks_listen_main(const struct cli *c, const struct verb_args *a, struct err *err);
int hooks_ls_main(const struct cli *c, const struct verb_args *a, struct err *err);
int hooks_letters_main(const struct cli *c, const struct verb_args *a, struct err *err);
int hooks_log_main(const struct cli *c, const struct verb_args *a, struct err *err);
int hooks_show_main(const struct cli *c, const struct verb_args *a, struct err *err);
int hooks_test_main(const struct cli *c, const struct verb_args *a, struct err *err);
int hooks_replay_main(const struct cli *c, const struct verb_args *a, struct err *err);
int hooks_dismiss_main(const struct cli *c, const struct verb_args *a, struct err *err);

extern const struct verb_option HOOKS_LISTEN_OPTIONS[], HOOKS_LETTERS_OPTIONS[],
    HOOKS_LOG_OPTIONS[], HOOKS_REPLAY_OPTIONS[], HOOKS_DISMISS_OPTIONS[];

// --- pieces ---
int hooks_print_json(const struct cli *c, const cJSON *data);
int hooks_print_table(const struct cli *c, struct table *t, struct err *err); // and table_done
// Adds since=TIME for a duration before now. CLI_YES or CLI_USAGE.
int hooks_since_param(struct buf *path, const char *since, struct err *err);
// "3 min ago", "" for never.
const char *hooks_ago(const cJSON *o, const char *name, char ret[static HOOKS_TEXT_MAX]);

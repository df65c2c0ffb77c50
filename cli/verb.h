// SPDX-License-Identifier: Apache-2.0
/*
 * The verbs of `tocsin`, in one table: it parses the arguments, prints the help and writes the
 * shell completions, so that the three cannot disagree.
 *
 * A verb writes to cli->out and returns its exit code; what went wrong is left in err and main
 * prints it once. Options may stand anywhere after `tocsin`, as `--name value` or `--name=value`.
 */
#pragma once
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#ifndef TOCSIN_VERSION
#define TOCSIN_VERSION "0.1.0"
#endif

// The same for all verbs.
enum cli_exit { CLI_YES = 0, CLI_NO = 1, CLI_USAGE = 2, CLI_UNREACHABLE = 3, CLI_DENIED = 4 };

#define VERB_OPTIONS_MAX 6

struct verb_option {
    const char *name;  // without dashes; NULL ends a list
    const char *value; // what it is called in the help; NULL = a switch
    const char *help;
    const char *words; // the values there are, for completion, split by blanks; NULL = any
};

struct cli {
    const char *url; // without a trailing slash
    const char *token_file;
    bool json, color;
    FILE *out;
};

struct verb_args {
    const char
        *option[VERB_OPTIONS_MAX]; // as in the verb's list; "" for a switch, NULL = absent
    char **words;                  // what is not an option
    int n_words;
};

struct verb {
    const char *name, *sub;   // "hooks", "listen"; sub may be NULL
    const char *operands;     // as shown in the usage, "" = none
    int words_min, words_max; // words_max -1 = any
    const char *summary, *more;
    const struct verb_option *options; // NULL = none
    int (*run)(const struct cli *c, const struct verb_args *a, struct err *err);
};

extern const struct verb VERBS[]; // ended by a NULL name
extern const struct verb_option GLOBAL_OPTIONS[];

// The whole program but for the environment. argv[0] is skipped. Help and version go to c->out.
int verb_main(struct cli *c, int argc, char **argv, struct err *err);
void verb_help(const struct verb *v, FILE *out); // NULL = of the program

int status_main(const struct cli *c, const struct verb_args *a, struct err *err);
int alerts_main(const struct cli *c, const struct verb_args *a, struct err *err);
int alerts_explain_main(const struct cli *c, const struct verb_args *a, struct err *err);
int alerts_log_main(const struct cli *c, const struct verb_args *a, struct err *err);
int alerts_ack_main(const struct cli *c, const struct verb_args *a, struct err *err);
int alerts_unack_main(const struct cli *c, const struct verb_args *a, struct err *err);
int query_main(const struct cli *c, const struct verb_args *a, struct err *err);
int top_main(const struct cli *c, const struct verb_args *a, struct err *err);
int silence_add_main(const struct cli *c, const struct verb_args *a, struct err *err);
int silence_list_main(const struct cli *c, const struct verb_args *a, struct err *err);
int silence_expire_main(const struct cli *c, const struct verb_args *a, struct err *err);
int silence_preview_main(const struct cli *c, const struct verb_args *a, struct err *err);
int completion_main(const struct cli *c, const struct verb_args *a, struct err *err);

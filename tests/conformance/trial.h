// SPDX-License-Identifier: Apache-2.0
/*
 * One history, some expressions and some rising times, given to every evaluator:
 *
 *     promtool  ==  batch told all at once  ==  batch told as samples come in  ==  incremental
 *              (1)                         (2)                                (3)
 *
 * (1) at the times marked `oracle`; (2) when no sample up to that time is still to come and the
 * expression does not look ahead; (3) always, late samples and looking ahead included. An
 * evaluator is one entry of EVALUATORS.
 */
#pragma once
#include "tests/conformance/history.h"
#include "tests/conformance/result.h"

struct moment {
    int64_t t_ms;
    bool oracle;
};
struct question { // an expression, parsed once for all evaluators
    const char *text;
    struct expr_root x;
    enum accuracy accuracy;
    bool foresees;
};
struct trial {
    const struct history *h;
    struct question *q;
    size_t n_q;
    struct moment *t; // rising
    size_t n_t;
    bool compat_2_42;
    bool silences;         // sources fall silent, and NO_DATA counts
    int64_t step_ms;       // subqueries without a step, and promtool's ticks; 0 = 1 s
    const char *rule_file; // for promtool; NULL = none
    struct arena arena;
};

struct evaluator {
    const char *name;
    // NULL when it cannot be had here.
    void *(*open)(const struct trial *t);
    // A sample comes in; NULL: told everything by open.
    void (*feed)(void *self, size_t series, const struct sample *s);
    // Its source falls silent, or speaks again; NULL where there is no such thing.
    void (*silence)(void *self, size_t series, bool silent);
    // Times never fall from one call to the next.
    void (*read)(void *self, size_t q, size_t moment, struct arena *a, struct result *ret);
    void (*close)(void *self);
};
enum { BY_PROMTOOL, BY_BATCH, BY_LIVE_BATCH, BY_INCREMENTAL, N_EVALUATORS };
extern const struct evaluator *const EVALUATORS[N_EVALUATORS];
extern const struct evaluator promtool_evaluator, batch_evaluator, live_batch_evaluator,
    incremental_evaluator;

enum pair { PAIR_PROMTOOL, PAIR_LIVE, PAIR_INCREMENTAL, N_PAIRS };
extern const int PAIR_SIDES[N_PAIRS][2];

struct tally {
    size_t evaluations[N_PAIRS][ACCURACY_UNSTABLE + 1];
    size_t rows[N_PAIRS], errors[N_PAIRS], empty[N_PAIRS];
    size_t cancelled; // equal only beside the size of what cancelled out in the expression
    size_t known;     // a difference between 2.42 and 3.x, one of the list in judge.c
    size_t ties;      // a hand-written comparison of sides equal but for rounding
    size_t fell;      // promtool itself failed, or a limit of ours was reached
    size_t wrong;
};
struct mismatch {
    enum pair pair;
    size_t q, moment;
    enum verdict verdict;
    struct result side[2]; // in the trial's arena
};

// Takes over copies of the texts. An expression that does not parse is left out: false.
void trial_init(struct trial *t, const struct history *h);
bool trial_ask(struct trial *t, const char *text);
void trial_at(struct trial *t, const struct moment *m, size_t n); // sorted here
void trial_done(struct trial *t);
// Compares the pairs of the mask (1 << enum pair). Returns how many questions differ, the first
// of each in ret (room for n_q, or NULL).
size_t trial_run(struct trial *t, unsigned pairs, struct tally *tally, struct mismatch *ret);
struct eval_options trial_options(const struct trial *t);
// The trial as a promtool test file; the part of it that is its series.
void trial_write(const struct trial *t, struct buf *out);
void trial_write_series(const struct trial *t, struct buf *out);
bool promtool_here(void); // 2.42
// Whether all tests of the file pass; what promtool says is printed when not.
bool promtool_passes(const struct buf *text);

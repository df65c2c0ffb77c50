// SPDX-License-Identifier: Apache-2.0
/*
 * One `eval` of a script against the batch evaluator. An instant is also taken as the middle of a
 * range of three steps, and both again at other times with every selector pinned by @: the result
 * must stay what it is.
 */
#pragma once
#include "rules/memory_source.h"
#include "tests/promqltest/scope.h"

enum verdict { VERDICT_PASSED, VERDICT_OUT, VERDICT_FAILED };
struct check {
    enum verdict verdict;
    size_t feature; // of OUT: scope.h
    bool wording;   // an error was expected and came, but in other words
    unsigned evaluations;
};
// why: of FAILED.
struct check check_eval(const struct command *c, const struct source *src,
    const struct data_facts *data, struct buf *why);

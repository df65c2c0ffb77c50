// SPDX-License-Identifier: Apache-2.0
/*
 * Random PromQL over the families of history.h. What is made is of one of three shapes, so that
 * most operators find partners:
 *
 *     EACH    one element per i and k        c, g, d, up and what keeps their labels
 *     GROUPS  one element per k              aggregates by (k), info
 *     ONE     one element without labels     aggregates of all, vector(), absent()
 *
 * Now and then a piece of another shape is put in on purpose; both evaluators then have to fail,
 * or to return nothing, together.
 */
#pragma once
#include "base/buf.h"
#include "tests/conformance/random.h"

// Replaces out's content by an expression no evaluator can be unsure of (see accuracy.h).
void expression_make(struct random *r, int depth, struct buf *out);

// SPDX-License-Identifier: Apache-2.0
/* How the labels of a series from outside come about: intake.h says the rules. Pure. */
#pragma once
#include "agent/intake.h"

enum intake_verdict { INTAKE_GOES, INTAKE_DROPS, INTAKE_FAULTY, INTAKE_TOO_LARGE };
// The labels of a series, with its name as __name__, in ret. FAULTY: err says why Prometheus would
// refuse the whole page; TOO_LARGE: only the wire cannot carry it. instance: of the source.
enum intake_verdict intake_labels(const struct intake_options *o, const char *name,
    const struct wire_label *labels, size_t n, struct relabel_set *ret, struct err *err);
// Those of a series that the source has of its own, or of one that stands for others.
void intake_own_labels(const struct intake_options *o, struct relabel_set *ret);

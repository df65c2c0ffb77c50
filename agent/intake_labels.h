// SPDX-License-Identifier: Apache-2.0
/* How the labels of a series from outside come about: intake.h says the rules. Pure, but for intake_declare. */
#pragma once
#include "agent/intake.h"

enum intake_verdict { INTAKE_GOES, INTAKE_DROPS, INTAKE_FAULTY, INTAKE_TOO_LARGE };
// The labels of a series, with its name as __name__, in ret. FAULTY: err says why Prometheus would
// refuse the whole page; TOO_LARGE: only the wire cannot carry it. instance: of the source.
enum intake_verdict intake_labels(const struct intake_options *o, const char *name,
    const struct wire_label *labels, size_t n, struct relabel_set *ret, struct err *err);
// Those of a series that the source has of its own, or of one that stands for others.
void intake_own_labels(const struct intake_options *o, struct relabel_set *ret);
// The series of these labels; __name__ among them is passed over. 0: as output_series.
uint32_t intake_declare(struct output *out, const char *name, const struct relabel_set *s,
    enum series_kind kind, const char *unit);

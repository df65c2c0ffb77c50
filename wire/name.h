// SPDX-License-Identifier: Apache-2.0
/*
 * What may be called a metric, a label, a label's value: Prometheus's rules. The encoder asks
 * before it sends and the decoder before it believes, so both refuse the same things.
 */
#pragma once
#include "wire/batch.h"
#include <stdbool.h>
#include <stddef.h>

bool wire_metric_ok(const char *name); // [a-zA-Z_:][a-zA-Z0-9_:]*, <= WIRE_NAME_MAX
// Valid UTF-8 without overlong forms or surrogates, min to max bytes. NULL is "".
bool wire_text_ok(const char *text, size_t min, size_t max);
// NULL when n labels are sorted, each once, named [a-zA-Z_][a-zA-Z0-9_]* but not __name__ or
// instance, with values of 1 to WIRE_VALUE_MAX bytes; else what is wrong.
const char *wire_labels_fault(const struct wire_label *labels, size_t n);
// NULL when a histogram is within all limits of batch.h and its counts add up within int64.
const char *wire_histogram_fault(const struct wire_histogram *h);

// SPDX-License-Identifier: Apache-2.0
/*
 * What PostgreSQL tells of itself: one question, and its rows as series with postgres_exporter's names. The
 * question is the same for versions 10 to 17 and for standbys; what a role without pg_monitor may not see
 * is missing from the rows, not an error. Pure. A row is (which, label, label, value) as text; what `which`
 * means is ours to say, so a server cannot name series.
 */
#pragma once
#include "agent/page.h"

extern const char POSTGRES_QUESTION[];
// The body of a DataRow; what is none of ours, or broken, is passed over.
void postgres_row(const struct page_sink *sink, const uint8_t *body, size_t len);

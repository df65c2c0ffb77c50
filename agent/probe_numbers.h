// SPDX-License-Identifier: Apache-2.0
/*
 * What a service tells of itself, page by page, as series of its probe: bounded, and over when the service
 * no longer tells them. One attempt at a time asks for them.
 *
 *     numbers_begin --> sink, page by page --> numbers_end: all of them go out, or end
 *
 * Loop thread; owned by the probe.
 */
#pragma once
#include "agent/output.h"
#include "agent/page.h"

struct numbers;
// Labels are copied; source names them in the agent's own metrics. NULL: memory.
struct numbers *numbers_new(
    struct output *out, const char *source, const struct wire_label *labels, size_t n);
// The series end; wall_ms 0: the agent ends and tells so itself. NULL allowed.
void numbers_free(struct numbers *n, int64_t wall_ms);
// A round begins, if every_ms have passed since the last one began and nobody else is at it.
bool numbers_begin(
    struct numbers *n, const void *who, int64_t now_ns, int64_t wall_ms, uint32_t every_ms);
struct page_sink numbers_sink(struct numbers *n);
// whole: everything was told. False: the series end. Not who began: nothing happens.
void numbers_end(struct numbers *n, const void *who, bool whole);

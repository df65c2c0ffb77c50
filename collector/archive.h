// SPDX-License-Identifier: Apache-2.0
/*
 * Answers what is asked about the delivery log and the log of alerting, in a thread of its own that
 * only reads: neither a page nor a commit waits for somebody who looks at a week of messages, and a
 * disk that hangs takes nobody else with it.
 *
 *     GET /api/v1/hooks/log?receiver=&failed=&since=&before=&limit=   newest first
 *     GET /api/v1/hooks/log?id=                                       one, with its body
 *     GET /api/v1/alerts/log                                          see event_query.h
 *
 *     ui --request--> ring --> archive thread --SQLite, read-only--> ring --> ui
 *
 * The file is opened for each request, so that one that was moved aside or begun anew is no matter.
 */
#pragma once
#include "base/err.h"
#include "base/ring.h"
#include <stdint.h>

struct archive;
struct request;
// run_id: the newest message of earlier runs. path is copied. NULL with err.
struct archive *archive_start(const char *path, uint64_t run_id, struct err *err);
void archive_stop(struct archive *a); // NULL allowed
// --- ui thread ---
bool archive_ask(struct archive *a, struct request *r); // false = full: 503
struct ring *archive_answers(struct archive *a);        // of struct request *, answered

// SPDX-License-Identifier: Apache-2.0
/*
 * A question to the log of alerting and its answer, newest first.
 *
 *     GET /api/v1/alerts/log?filter=zone="eu"&kind=firing&since=...&until=...&limit=100&before=ID
 *
 *     since, until  seconds since 1970 or RFC 3339: since <= time < until
 *     filter        a matcher over the labels of an alert, any number of them; silences have none and
 *                   are left out as soon as one is given
 *     kind          as in event.h, any number of them
 *     limit, before EVENT_QUERY_LIMIT events at most; "next" of the answer is `before` of the next
 *                   page, null on the last one
 *     count=true    how many there are, instead of them
 *
 * Ids rise and nothing is put in between, so pages neither overlap nor leave anything out, however
 * much is written meanwhile. A damaged row is left out and counted. Opens the file for reading only
 * and closes it again: SQLite's writer is never kept waiting (WAL).
 */
#pragma once
#include "collector/event_rows.h"
#include "collector/matcher_text.h"
#include "collector/request.h"

#define EVENT_QUERY_LIMIT 1000
#define EVENT_QUERY_BYTES (8u << 20) // of a page

void event_query_answer(const char *path, struct request *r);

// SPDX-License-Identifier: Apache-2.0
/*
 * Acknowledgements over HTTP. Alertmanager has none, so they stand beside its API, in a corner it does
 * not use; its own answers do not show them.
 *
 *     GET    /api/v2/tocsin/acks?filter=MATCHER...          those that are active
 *     POST   /api/v2/tocsin/acks  {"fingerprint": "16 hex digits", or "filter": ["MATCHER", ...],
 *                                  "owner": "", "note": "", "for": "2h", or "endsAt": RFC 3339}
 *     DELETE /api/v2/tocsin/acks?fingerprint=...  or ?filter=MATCHER...
 *
 * Each answers with a list of {fingerprint, labels, owner, note, startsAt, endsAt}: those that are, were
 * set or were taken back. 404: no alert that fires is meant. Notify thread.
 */
#pragma once
#include "collector/api_v2.h"

void api_acks(const struct api_v2 *a, struct request *r, int64_t now_ms);

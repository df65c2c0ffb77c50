// SPDX-License-Identifier: Apache-2.0
/*
 * The numbers of a service that takes a login for them, beside its probe: one connection that is kept, asked
 * once a second. The probe itself goes on asking without a login, on connections of its own: a kept one
 * would not notice that nobody is let in any more, and a login each time would be dear for both.
 *
 *     [away] -> connecting, login -> asking -> [rests] -> asking -> ...
 *        ^------ after a while, doubled up to SESSION_AWAY_MAX_NS -----/ closed, refused, no answer
 *
 * Rows become the probe's numbers (probe_numbers.h), a whole round at once; they end with the session. A refused
 * login is no business of the numbers alone: it is the probe's verdict.
 *
 * Loop thread; borrows the probe. It costs nothing where no login is configured.
 */
#pragma once
#include "agent/probe_class.h"

struct probe;
struct probe_session;
struct probe_session *probe_session_new(struct probe *p); // NULL: memory
void probe_session_free(
    struct probe_session *s); // NULL allowed; the numbers are freed after it
void probe_session_renew(
    struct probe_session *s); // the probe's configuration is another, of the same words
// Why it was not let in: the text, and the class; NULL: it is, or there is another trouble.
const char *probe_session_refused(const struct probe_session *s, enum probe_class *ret);

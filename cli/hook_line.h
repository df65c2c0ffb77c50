// SPDX-License-Identifier: Apache-2.0
/*
 * What `tocsin hooks listen` prints for one webhook: a line per alert. Pure.
 *
 *     04:20:01.166 firing   ServiceCrashed {instance="web-1", service="nginx"} nginx crashed  +43 ms
 *
 * The delay is from startsAt (endsAt of a resolved one) to arrival, and from the cause when the
 * sender tells it: `causeAt` of an alert (Tocsin's own format), or the header Tocsin-Cause-Ms for
 * the alerts of the message that changed.
 */
#pragma once
#include "base/buf.h"
#include <stdbool.h>
#include <stdint.h>

struct hook_line_options {
    bool json, color;
};
// 0, -ENOMEM, -EMSGSIZE. A body that is no alert webhook is shown as such, cut to some bytes.
// message_cause_ms: of the header, 0 = none.
int hook_line(const char *body, size_t len, int64_t received_ms, int64_t message_cause_ms,
    const struct hook_line_options *o, struct buf *out);

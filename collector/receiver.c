// SPDX-License-Identifier: Apache-2.0
#include "collector/receiver.h"

const struct receiver_kind *const RECEIVERS[RECEIVER_KINDS] = {
    &RECEIVER_WEBHOOK,
    &RECEIVER_SLACK,
    &RECEIVER_DISCORD,
    &RECEIVER_TEAMS,
    &RECEIVER_TEAMS_CARD,
    &RECEIVER_PAGERDUTY,
    &RECEIVER_OPSGENIE,
    &RECEIVER_TELEGRAM,
    &RECEIVER_NTFY,
    &RECEIVER_EMAIL,
    &RECEIVER_REPAIRS,
};

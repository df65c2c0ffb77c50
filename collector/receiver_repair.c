// SPDX-License-Identifier: Apache-2.0
// repair_configs: no message at all. The alert asks the agent of its host for an action (repair_desk.h).
#include "collector/receiver.h"

static const struct receiver_field FIELDS[] = {
    {"action", NULL, RECEIVER_REPAIR, 0, true},
    {"instance_label", NULL, RECEIVER_REPAIR, 0, false},
    {"parameters", NULL, RECEIVER_REPAIR, 0, false},
    {"max_per_hour", NULL, RECEIVER_REPAIR, 0, false},
    {"retry", NULL, RECEIVER_REPAIR, 0, false},
    {"give_up_after", NULL, RECEIVER_REPAIR, 0, false},
    {"expires", NULL, RECEIVER_REPAIR, 0, false},
    {0},
};
static const char *const NOT_YET[] = {NULL};

const struct receiver_kind RECEIVER_REPAIRS = {.name = "repair",
    .key = "repair_configs",
    .one_alert = true,
    .repair = true,
    .fields = FIELDS,
    .not_yet = NOT_YET};

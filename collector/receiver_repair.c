// SPDX-License-Identifier: Apache-2.0
// repair_configs: no message at all. The alert asks the agent of its host for an action (repair_desk.h).
#include "collector/receiver.h"

static const struct receiver_field FIELDS[] = {
    {"action", NULL, RECEIVER_REPAIR, 0, true, NULL, NULL},
    {"instance_label", NULL, RECEIVER_REPAIR, 0, false, NULL, NULL},
    {"parameters", NULL, RECEIVER_REPAIR, 0, false, NULL, NULL},
    {"max_per_hour", NULL, RECEIVER_REPAIR, 0, false, NULL, NULL},
    {"retry", NULL, RECEIVER_REPAIR, 0, false, NULL, NULL},
    {"give_up_after", NULL, RECEIVER_REPAIR, 0, false, NULL, NULL},
    {"expires", NULL, RECEIVER_REPAIR, 0, false, NULL, NULL},
    {0},
};
static const char *const NOT_YET[] = {NULL};

const struct receiver_kind RECEIVER_REPAIRS = {.name = "repair",
    .key = "repair_configs",
    .one_alert = true,
    .repair = true,
    .fields = FIELDS,
    .not_yet = NOT_YET};

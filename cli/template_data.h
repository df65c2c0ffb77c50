// SPDX-License-Identifier: Apache-2.0
/*
 * A message for templates from JSON: what Alertmanager's webhooks carry and `amtool template render`
 * takes as data.
 *
 *     {"receiver":"r","status":"firing","alerts":[{"status","labels","annotations","startsAt",
 *      "endsAt","generatorURL","fingerprint"}],"groupLabels","commonLabels","commonAnnotations",
 *      "externalURL"}
 */
#pragma once
#include "base/err.h"
#include "rules/template.h"

#define TEMPLATE_DATA_MAX (16u << 20)

// Everything lives in the arena. 0; -EINVAL or -ENOMEM with err.
int template_data_parse(const char *text, size_t len, struct arena *a,
    struct template_message *ret, struct err *err);
// Shown when no data are given: two alerts, one of them resolved.
extern const char TEMPLATE_DATA_SAMPLE[];

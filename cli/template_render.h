// SPDX-License-Identifier: Apache-2.0
/* `tocsin template render`: what a template of a message makes of alerts, without a collector. */
#pragma once
#include "cli/verb.h"

int template_render_main(const struct cli *c, const struct verb_args *a, struct err *err);

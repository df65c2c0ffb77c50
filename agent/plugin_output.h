// SPDX-License-Identifier: Apache-2.0
/*
 * From what a plugin printed, and how it ended, to its verdict and series of its intake. The round is open; it
 * is the caller's to end.
 */
#pragma once
#include "agent/intake.h"
#include "agent/nagios.h"
#include "agent/plugin.h"

struct plugin_reading {
    int status; // what the output says itself; -1: nothing, the exit status counts
    char text[NAGIOS_TEXT_MAX + 1]; // printable
    size_t unreadable;
};
void plugin_read_nagios(
    struct intake *in, const char *output, size_t len, struct plugin_reading *ret);
/*
 *     {"status": "warning", "text": "queue grows",
 *      "metrics": [{"name": "mail_queue", "value": 31, "labels": {"queue": "out"}},
 *                  {"name": "mail_sent_total", "value": 80121, "type": "counter", "unit": "1"}]}
 *
 * All keys but name and value are optional. False: it is not such an object; nothing was staged.
 */
bool plugin_read_json(
    struct intake *in, const char *output, size_t len, struct plugin_reading *ret);
// Prometheus's text format, as a page of metrics has it. False: it is no such text; text says where.
bool plugin_read_lines(
    struct intake *in, const char *output, size_t len, struct plugin_reading *ret);
// Of a run that is over. False: no verdict, the status is NAGIOS_UNKNOWN and text says why.
bool plugin_judge(struct intake *in, const struct plugin_config *c, const struct child_end *end,
    struct plugin_reading *ret);

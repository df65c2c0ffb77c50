// SPDX-License-Identifier: Apache-2.0
/*
 * Programs of the user's that measure something: `exec` of agent.yaml. Each runs at a fixed rate, one at
 * a time, without a shell, in a process group that is killed at its timeout (child.h).
 *
 *     timer --> fork, exec ... pipes ... ended --> format: nagios | json | lines --> intake --> output
 *       \-> still running: skipped, counted          status changed: an event, at once
 *
 * All have an exit status as Nagios has it: 0 ok, 1 warning, 2 critical, 3 and anything else unknown.
 * Series, all with job="plugin" and plugin="NAME":
 *
 *     tocsin_plugin_status              0 to 3; tocsin_plugin_duration_seconds
 *     tocsin_plugin_skipped_total       turns that were not run because the last one still was
 *     tocsin_plugin_timeouts_total      killed at the timeout
 *     tocsin_plugin_failures_total      no verdict for another reason: could not be run, killed, too much output
 *     tocsin_plugin_unreadable_total    pieces of output that could not be read
 *
 * and of performance data (nagios.h) one for each label, under the name of its base unit, as Prometheus
 * would have it, so that a sum over plugins never adds seconds to bytes:
 *
 *     tocsin_plugin_perfdata_seconds{label="time"}, _bytes, _ratio, _total (a counter), or no suffix;
 *     a unit of its own is a label: tocsin_plugin_perfdata{label="power",unit="W"}
 *     tocsin_plugin_perfdata_limit{label="time",limit="warning_high"}; warning|critical_low|high, with
 *     _inside_ where being inside is what is wrong, min, max; in the unit of the value
 *
 * A value that is not printed any more, or not because the plugin had no verdict, ends (stale).
 *
 * Loop thread. Nothing of it exists without `exec`.
 */
#pragma once
#include "agent/child.h"
#include "wire/batch.h"

#define PLUGINS_MAX           256
#define PLUGINS_RUNNING_MAX   16 // at once; the turn of one more is skipped
#define PLUGIN_NAME_MAX       64
#define PLUGIN_ARGS_MAX       64
#define PLUGIN_ENV_MAX        16
#define PLUGIN_OUTPUT_MAX     (256u << 10)
#define PLUGIN_EVERY_MS       30000
#define PLUGIN_TIMEOUT_MS     10000
#define PLUGIN_TIMEOUT_MS_MAX 600000

enum plugin_format { PLUGIN_NAGIOS, PLUGIN_JSON, PLUGIN_LINES };
const char *plugin_format_name(enum plugin_format f);

struct plugin_config {
    const char *name;
    const char *argv[PLUGIN_ARGS_MAX + 1]; // argv[0] is an absolute path
    size_t n_argv;
    int64_t every_ms, timeout_ms;
    enum plugin_format format;
    size_t series_limit; // 0: the intake's
    struct child_user user;
    struct wire_label env[PLUGIN_ENV_MAX];
    size_t n_env;
};

struct part_ops;
extern const struct part_ops plugins_part;

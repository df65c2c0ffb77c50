// SPDX-License-Identifier: Apache-2.0
/*
 * What a monitoring plugin prints, as the Monitoring Plugins Development Guidelines have it: one line for
 * people, then `|` and performance data; more lines of text, and after a `|` in those more data.
 *
 *     DISK OK - free space: / 3326 MiB|/=2643MiB;5948;5958;0;5968
 *                                     'label'=value[unit];warning;critical;min;max
 *
 * Values are scaled to base units, as Prometheus names them: ms and us to seconds, kB, MiB ... to bytes
 * (by 1024 either way: plugins write MB for 1048576), % to a ratio. `c` is a counter. Any other unit stays.
 *
 * Pure. What cannot be read is left out and counted; nothing here allocates.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#define NAGIOS_LABEL_MAX 128
#define NAGIOS_UNIT_MAX  16
#define NAGIOS_TEXT_MAX  160

enum nagios_status { NAGIOS_OK, NAGIOS_WARNING, NAGIOS_CRITICAL, NAGIOS_UNKNOWN };
const char *nagios_status_name(enum nagios_status s); // "OK" ...

enum nagios_kind {
    NAGIOS_PLAIN, // a number, or one with a unit of its own
    NAGIOS_SECONDS,
    NAGIOS_BYTES,
    NAGIOS_RATIO,
    NAGIOS_COUNTER
};
// Well is low to high, or with `inside` what is not. Open ends are infinite.
struct nagios_range {
    bool given, inside;
    double low, high;
};
struct nagios_value {
    char label[NAGIOS_LABEL_MAX + 1]; // UTF-8
    char unit[NAGIOS_UNIT_MAX + 1];   // of NAGIOS_PLAIN; "" = none
    enum nagios_kind kind;
    double value; // NaN: the plugin could not find it out ("U")
    struct nagios_range warning, critical;
    double min, max; // NaN: not given
};

// v lives until fn returns.
typedef void nagios_fn(void *ctx, const struct nagios_value *v);
// Calls fn for each value, and puts the beginning of the first line, made printable, into text. Returns the number of pieces of
// performance data that could not be read.
size_t nagios_read(const char *output, size_t len, char text[static NAGIOS_TEXT_MAX + 1],
    nagios_fn *fn, void *ctx);

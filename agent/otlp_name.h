// SPDX-License-Identifier: Apache-2.0
/*
 * What OpenTelemetry's names are called in Prometheus, by the rules Prometheus's own OTLP receiver
 * follows (translation strategy UnderscoreEscapingWithSuffixes):
 *
 *     http.server.duration   ms        histogram   http_server_duration_milliseconds
 *     http.requests          {req}     counter     http_requests_total
 *     system.cpu.usage       1         gauge       system_cpu_usage_ratio
 *     disk.io                By/s      gauge       disk_io_bytes_per_second
 *
 * Runs of what may not be in a name are one `_`; a unit already in the name is not said again. Pure.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum otlp_kind { OTLP_GAUGE, OTLP_COUNTER, OTLP_OTHER }; // OTHER: neither _ratio nor _total

// NUL-terminated into to. False: nothing is left of the name, or it is longer than size.
bool otlp_metric_name(
    const char *name, const char *unit, enum otlp_kind kind, char *to, size_t size);
// An attribute's. False likewise.
bool otlp_label_name(const char *name, char *to, size_t size);

// SPDX-License-Identifier: Apache-2.0
/*
 * Numbers to text and back, without locale. Formatting follows Go's strconv, because that is
 * what users of Prometheus see: shortest digits that read back as the same double.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NUM_TEXT_MAX 32

// Go's FormatFloat(v, 'f', -1, 64) as the query API prints samples: "0.1", "1e+21" never, "NaN", "+Inf".
// buf has NUM_TEXT_MAX * 12 bytes for the largest exponents. Returns the length.
#define NUM_FIXED_MAX 352
size_t num_fixed(double v, char buf[static NUM_FIXED_MAX]);
// Go's %v: 1000000 -> "1e+06", 100000.5 -> "100000.5", 0.00001 -> "1e-05", "NaN", "+Inf".
size_t num_short(double v, char buf[static NUM_TEXT_MAX]);
// Whole text must be a number: decimal, 0x hex, exponents, Inf, NaN, 1_000. False otherwise.
bool num_parse(const char *s, size_t len, double *ret);
bool num_parse_u64(const char *s, size_t len, uint64_t *ret);
// Prometheus durations "1h30m", "250ms", "0"; units y w d h m s ms, each once, falling order.
bool duration_parse(const char *s, size_t len, int64_t *ret_ms);
// "1h30m", "250ms", "0s".
size_t duration_print(int64_t ms, char buf[static NUM_TEXT_MAX]);
// "64KiB", "20MiB", "512" bytes.
bool size_parse(const char *s, size_t len, uint64_t *ret_bytes);

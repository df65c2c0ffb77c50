// SPDX-License-Identifier: Apache-2.0
/*
 * OpenTelemetry's metrics as JSON, what SDKs for browsers and Node send unless told otherwise: read into the
 * message that protobuf would have become (otlp.proto), and the answers.
 *
 *     text --> counted: values, depth --> cJSON --> by the descriptors of otlp.proto --> message of the arena
 *
 * The protobuf JSON mapping: lowerCamelCase names, 64-bit numbers as text or as numbers, enums as numbers or
 * names, "NaN" and "Infinity" as text, null as if it was not there. What otlp.proto does not know is
 * passed over, ids of traces among it. Values of 64 bits that come as JSON numbers are exact to 2^53.
 *
 * A tree of cJSON takes 150 bytes for a value that may have been two in the body, so values are counted
 * before one is built. The tree is gone when a reader returns. Pure.
 */
#pragma once
#include "agent/otlp.pb-c.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#define OTLP_JSON_VALUES_MAX 100000 // 15 MB of tree; some 6,000 points of three attributes
#define OTLP_JSON_DEPTH_MAX  64

struct otlp_answer;

// 0; -EBADMSG, -EMSGSIZE (too many values), -ENOMEM with err.
int otlp_json_read(const char *text, size_t len, struct arena *a,
    const Tocsin__Otlp__ExportRequest **ret, struct err *err);
int otlp_json_answer(const struct otlp_answer *a, struct buf *out); // 0, -ENOMEM
// A google.rpc.Status for an answer of that HTTP status.
int otlp_json_status(int http, const char *why, struct buf *out);

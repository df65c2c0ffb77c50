// SPDX-License-Identifier: Apache-2.0
/*
 * `otlp` of agent.yaml: POST /v1/metrics, OpenTelemetry over HTTP with protobuf or JSON, gzip or plain.
 *
 *     base/listener.h: caps, deadlines --> head judged --> body, bounded --> otlp.h --> answer
 *
 * On loopback without a secret, with Host and Origin checked (base/auth.h: a page in a browser can
 * reach loopback too); elsewhere a bearer token is demanded, and insecure_plaintext: true.
 *
 * One body may be OTLP_BODY_MAX, before and after gzip; all that are on their way OTLP_HELD_MAX, beyond
 * that a sender is told to come again (503). A port that is taken is tried again every 5 s. Nothing
 * of it exists without `otlp`. Loop thread.
 *
 *     tocsin_agent_otlp_listening, _requests_total{code}, _points_total, _rejected_points_total
 */
#pragma once
#include "wire/batch.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OTLP_PORT           4318
#define OTLP_BODY_MAX       (4u << 20)
#define OTLP_HELD_MAX       (8u << 20)
#define OTLP_CONNECTIONS    64
#define OTLP_AGE_MS         300000
#define OTLP_ATTRIBUTES_MAX 16

struct otlp_config {
    bool wanted;
    const char *host; // address to listen on, brackets off
    uint16_t port;
    const char *token_file, *token; // NULL: none
    bool insecure_plaintext;
    const char *attributes[OTLP_ATTRIBUTES_MAX];
    size_t n_attributes;
    int64_t age_ms;
    size_t series_limit;
};

struct part_ops;
extern const struct part_ops otlp_part;

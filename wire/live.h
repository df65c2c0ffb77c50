// SPDX-License-Identifier: Apache-2.0
/*
 * The live page's protocol, one WebSocket (/v1/live on the UI port), shared by the page and by
 * `tocsin top`. Commands go up as JSON text:
 *
 *     {"op":"subscribe","id":7,"expr":"sum by (service) (tocsin_service_connections)",
 *      "window_ms":300000,"step_ms":1000,"since_ms":0}
 *     {"op":"unsubscribe","id":7}
 *
 * Down come binary messages, little-endian, header then payload:
 *
 *     0  u8  type        1  u8  flags        2  u16 subscription id
 *     4  u32 sequence    8  f64 collector wall clock, ms since 1970
 *
 *     LIVE_HELLO   payload JSON {"version","instance","server_ms","interval_ms"}
 *     LIVE_SERIES  payload JSON [{"id":3,"labels":{...}}, ...]   the subscription's whole table
 *     LIVE_POINTS  u32 rows, u32 columns, f64 t_ms[rows], u32 id[columns], f64 v[columns][rows]
 *                  NaN is a gap. Flag LIVE_FLAG_SNAPSHOT: replaces what the client holds.
 *     LIVE_STATE   payload JSON: alerts, agents, rule health, config banner (see api.h); whole, on
 *                  change, at most 4 Hz
 *     LIVE_BEAT    no payload; every second
 *     LIVE_ERROR   payload JSON {"error","line","col"} for the subscription id
 *
 * After a reconnect the client subscribes again with since_ms = its newest point and the gap is
 * filled from the windows. A slow client is sent merged, newest state only, never a growing queue.
 */
#pragma once
#include "base/buf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum live_type { LIVE_HELLO = 1, LIVE_SERIES, LIVE_POINTS, LIVE_STATE, LIVE_BEAT, LIVE_ERROR };
#define LIVE_FLAG_SNAPSHOT 1
#define LIVE_HEADER        16
#define LIVE_PAYLOAD_MAX   (16u << 20)

struct live_head {
    enum live_type type;
    uint8_t flags;
    uint16_t sub;
    uint32_t seq;
    double server_ms;
};
// v is column-major: v[c * rows + r].
struct live_points {
    uint32_t rows, columns;
    const double *t_ms;
    const uint32_t *ids;
    const double *v;
};

// Append one message to out. 0, -ENOMEM, -EMSGSIZE (over LIVE_PAYLOAD_MAX or out's ceiling: nothing added).
int live_encode_json(const struct live_head *h, const char *json, size_t len, struct buf *out);
int live_encode_points(const struct live_head *h, const struct live_points *p, struct buf *out);
// 0 or -EBADMSG. The payload points into msg.
int live_decode_head(const uint8_t *msg, size_t len, struct live_head *ret,
    const uint8_t **ret_payload, size_t *ret_len);
// Copies into arrays inside `store` (reset first), which must live as long as *ret is used.
// 0, -EBADMSG, -ENOMEM or -EMSGSIZE (store's ceiling).
int live_decode_points(
    const uint8_t *payload, size_t len, struct buf *store, struct live_points *ret);

// SPDX-License-Identifier: Apache-2.0
/*
 * A repair that the collector asks an agent for, and what became of it. The meaning of each field:
 * Repair and RepairResult in tocsin.proto. Here are the plain structs, and every limit on them, which
 * both sides check: the sender before it sends, the receiver before it believes.
 *
 *     reply --> struct wire_repair      name of an action, parameters, how long it is valid
 *     frame <-- struct wire_repair_result
 *
 * Everything pointed to is borrowed, as in batch.h.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_REPAIRS_MAX           16 // of one reply, of one frame
#define WIRE_REPAIR_ID_MAX         64
#define WIRE_REPAIR_ACTION_MAX     64
#define WIRE_REPAIR_PARAMETERS_MAX 8
#define WIRE_REPAIR_VALUE_MAX      256
#define WIRE_REPAIR_OUTPUT_MAX     2048
#define WIRE_REPAIR_VALID_MS_MAX   (3600 * 1000u)
#define WIRE_CAPABILITY_REPAIRS    "repairs" // of the session: this agent has a list of actions

struct wire_label;
struct wire_repair {
    const char *id, *action;
    const char *alert; // NULL = none
    const struct wire_label *parameters;
    size_t n_parameters;
    uint32_t valid_ms;
};

enum repair_outcome { // the numbers are those of the wire
    REPAIR_STARTED = 1,
    REPAIR_EXITED,
    REPAIR_KILLED,
    REPAIR_TIMED_OUT,
    REPAIR_NOT_LISTED,
    REPAIR_BAD_PARAMETER,
    REPAIR_OVER_BUDGET,
    REPAIR_EXPIRED,
    REPAIR_BUSY,
    REPAIR_FAILED,
    REPAIR_LOST,
};
#define REPAIR_OUTCOMES 12
struct wire_repair_result {
    const char *id;
    enum repair_outcome outcome;
    int32_t code;
    uint32_t duration_ms;
    bool again;
    const uint8_t *output;
    size_t n_output;
    const char *reason; // NULL = none
};

// [a-zA-Z0-9_.-], 1 to max bytes; an id may also have "/".
bool wire_repair_action_ok(const char *name);
// A parameter's name: [a-zA-Z_][a-zA-Z0-9_]*.
bool wire_repair_parameter_ok(const char *name);
// NULL, or what is wrong.
const char *wire_repair_fault(const struct wire_repair *r);
const char *wire_repair_result_fault(const struct wire_repair_result *r);
// "exited", "timed out" ...; "unknown" for what is none.
const char *repair_outcome_name(enum repair_outcome o);

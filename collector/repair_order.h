// SPDX-License-Identifier: Apache-2.0
/*
 * What the notify thread and the ingest thread tell each other about repairs: an order to ask an agent
 * for an action, or to stop asking, and what was answered. Each is one heap block that crosses a ring;
 * whoever pops it frees it with free().
 *
 *     repair_desk.h  --orders-->   repair_mail.h  --reply-->  agent
 *     (notify)       <--answers--  (ingest)       <--frame--
 */
#pragma once
#include "base/ring.h"
#include "rules/labels.h"
#include "wire/batch.h"

#define REPAIR_LINK_MAX 1024 // in each direction

struct repair_order {
    bool cancel; // the order with this id is not wanted any more; nothing else is set
    char id[WIRE_REPAIR_ID_MAX + 1];
    const char *instance;       // host name of the agent
    struct wire_repair request; // its text is in this block
    int64_t valid_ms;           // from when it is taken
};

// Outcomes that no agent tells, beside enum repair_outcome.
enum {
    ORDER_NO_EXECUTOR = 100, // the agent has no `repairs`
    ORDER_NOT_TAKEN,         // the agent was not heard in time
    ORDER_NO_ANSWER,         // it was asked, and did not say how it ended
    ORDER_REFUSED,           // never asked for: over our own budget, or the alert lacks a label
};
struct repair_answer {
    char id[WIRE_REPAIR_ID_MAX + 1];
    int outcome;
    int32_t code;
    uint32_t duration_ms;
    bool again;
    char reason[WIRE_DETAIL_MAX + 1];
    size_t n_output;
    uint8_t output[]; // with a NUL behind it
};

struct repair_link {
    struct ring *orders, *answers;
};
int repair_link_open(struct repair_link *l);   // 0, -ENOMEM
void repair_link_close(struct repair_link *l); // frees what is inside; both threads have ended

// What of an alert is asked for: parameters are names of labels. NULL with why: a label is missing, too
// long, or memory is out.
struct repair_order *repair_order_new(const char *action, const char *instance_label,
    const char *const *parameters, size_t n, const struct labels *labels, const char **ret_why);
struct repair_order *repair_order_copy(const struct repair_order *o);        // NULL: no memory
struct repair_order *repair_order_cancel(const char *id);                    // NULL: no memory
struct repair_answer *repair_answer_new(const struct wire_repair_result *r); // NULL: no memory
const char *repair_answer_name(int outcome); // "exited", "no executor" ...

// SPDX-License-Identifier: Apache-2.0
/*
 * Repairs and their results between plain C and protobuf's structs; only the encoders and decoders of
 * this folder include it.
 */
#pragma once
#include "wire/batch.h"
#include "wire/tocsin.pb-c.h"
#include "wire/unpack.h"

// Protobuf's side of one repair, with room for its parameters. It borrows all text.
struct repair_packed {
    Tocsin__V1__Repair m;
    Tocsin__V1__Label labels[WIRE_REPAIR_PARAMETERS_MAX], *label_at[WIRE_REPAIR_PARAMETERS_MAX];
};
// r is without fault.
void repair_pack(const struct wire_repair *r, struct repair_packed *ret);
void repair_result_pack(const struct wire_repair_result *r, Tocsin__V1__RepairResult *ret);
// 0, -EBADMSG, -ENOMEM.
int repairs_unpack(
    struct unpack *u, const Tocsin__V1__PushReply *m, struct wire_reply *ret, struct err *err);
int repair_results_unpack(
    struct arena *a, const Tocsin__V1__Frame *m, struct batch *ret, struct err *err);

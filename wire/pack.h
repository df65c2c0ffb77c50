// SPDX-License-Identifier: Apache-2.0
/*
 * From plain C into protobuf-c's structs, which have no const though packing writes through none of them;
 * the way back is unpack.h.
 */
#pragma once
#include "base/buf.h"
#include <protobuf-c/protobuf-c.h>

char *pack_borrow(const char *text); // NULL: ""
ProtobufCBinaryData pack_borrow_bytes(const uint8_t *data, size_t len);
// Appends it to out. 0, -ENOMEM, -EMSGSIZE: over max, or out is full.
int pack_message(const ProtobufCMessage *m, size_t max, struct buf *out);

// SPDX-License-Identifier: Apache-2.0
/*
 * protobuf-c on an arena: every message of one body is carved from it, so a body can cost what
 * the arena's ceiling allows and nothing has to be freed message by message.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

struct unpack {
    ProtobufCAllocator allocator;
    struct arena *arena;
    bool failed; // the arena said no: it is -ENOMEM, not a bad message
};

// The struct must not move while in use.
void unpack_init(struct unpack *u, struct arena *a);
// 0 and a message of the arena, -EBADMSG, -ENOMEM.
int unpack_message(struct unpack *u, const ProtobufCMessageDescriptor *type, const void *data,
    size_t len, const void **ret, struct err *err);
// Says why in err and returns -EBADMSG.
int unpack_refuse(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int unpack_no_memory(struct err *err); // -ENOMEM

// SPDX-License-Identifier: Apache-2.0
#include "wire/unpack.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static void *unpack_alloc(void *ctx, size_t size)
{
    struct unpack *u = ctx;
    void *p = arena_alloc(u->arena, size ? size : 1);

    if (!p)
        u->failed = true;
    return p;
}

static void unpack_free(void *ctx, void *p)
{
    (void)ctx;
    (void)p;
}

void unpack_init(struct unpack *u, struct arena *a)
{
    *u = (struct unpack){.allocator = {unpack_alloc, unpack_free, u}, .arena = a};
}

int unpack_message(struct unpack *u, const ProtobufCMessageDescriptor *type, const void *data,
    size_t len, const void **ret, struct err *err)
{
    u->failed = false;
    const void *m = protobuf_c_message_unpack(type, &u->allocator, len, data);
    if (!m && u->failed)
        return unpack_no_memory(err);
    if (!m)
        return unpack_refuse(err, "not a %s message", type->short_name);
    *ret = m;
    return 0;
}

int unpack_refuse(struct err *err, const char *fmt, ...)
{
    char msg[256];
    va_list args;

    va_start(args, fmt);
    vsnprintf(msg, sizeof(msg), fmt, args);
    va_end(args);
    err_set(err, "%s", msg);
    return -EBADMSG;
}

int unpack_no_memory(struct err *err)
{
    err_set(err, "the body needs more memory than one body may");
    return -ENOMEM;
}

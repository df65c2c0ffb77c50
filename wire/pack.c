// SPDX-License-Identifier: Apache-2.0
#include "wire/pack.h"
#include <errno.h>

char *pack_borrow(const char *text)
{
    return text ? (char *)(uintptr_t)text : (char *)(uintptr_t) "";
}

ProtobufCBinaryData pack_borrow_bytes(const uint8_t *data, size_t len)
{
    return (ProtobufCBinaryData){len, (uint8_t *)(uintptr_t)data};
}

int pack_message(const ProtobufCMessage *m, size_t max, struct buf *out)
{
    size_t size = protobuf_c_message_get_packed_size(m);

    if (size > max)
        return -EMSGSIZE;
    int rc = buf_reserve(out, size);
    if (rc == 0 && size > 0)
        out->len += protobuf_c_message_pack(m, out->data + out->len);
    return rc;
}

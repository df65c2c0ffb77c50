// SPDX-License-Identifier: Apache-2.0
#include "wire/field.h"
#include <errno.h>
#include <string.h>

struct fields fields_of(const void *data, size_t len)
{
    const uint8_t *at = data;
    return (struct fields){at, len ? at + len : at};
}

size_t fields_left(const struct fields *m)
{
    return (size_t)(m->end - m->at);
}

int fields_varint(struct fields *m, uint64_t *ret)
{
    uint64_t v = 0;
    const uint8_t *s = m->at;
    for (int shift = 0; shift < 70; shift += 7) {
        if (s == m->end)
            return 0;
        v |= (uint64_t)(*s & 0x7f) << (shift < 64 ? shift : 63);
        if (!(*s++ & 0x80)) {
            m->at = s;
            *ret = v;
            return 1;
        }
    }
    return -EBADMSG;
}

static int take_fixed(struct fields *m, size_t size, uint64_t *ret)
{
    if (fields_left(m) < size)
        return 0;
    *ret = 0;
    memcpy(ret, m->at, size); // little-endian, as all hosts we build for
    m->at += size;
    return 1;
}

static int take_bytes(struct fields *m, struct fields *ret, uint64_t *ret_wanted)
{
    uint64_t len;
    int rc = fields_varint(m, &len);
    if (rc != 1)
        return rc;
    if (len > fields_left(m)) {
        *ret_wanted = len;
        return 0;
    }
    *ret = fields_of(m->at, (size_t)len);
    m->at += len;
    return 1;
}

int fields_take(struct fields *m, struct field *ret, uint64_t *ret_wanted)
{
    struct fields begun = *m;
    uint64_t tag;
    int rc = fields_varint(m, &tag);
    if (rc != 1)
        return rc;
    if (tag >> 3 == 0 || tag >> 3 > UINT32_MAX)
        return -EBADMSG;
    *ret = (struct field){.number = (uint32_t)(tag >> 3), .type = (enum field_type)(tag & 7)};
    if (ret->type == FIELD_VARINT)
        rc = fields_varint(m, &ret->value);
    else if (ret->type == FIELD_FIXED64)
        rc = take_fixed(m, 8, &ret->value);
    else if (ret->type == FIELD_FIXED32)
        rc = take_fixed(m, 4, &ret->value);
    else if (ret->type == FIELD_BYTES)
        rc = take_bytes(m, &ret->body, ret_wanted);
    else
        rc = -EBADMSG;
    if (rc != 1)
        *m = begun;
    return rc;
}

int fields_next(struct fields *m, struct field *ret)
{
    uint64_t wanted;
    if (m->at == m->end)
        return 0;
    int rc = fields_take(m, ret, &wanted);
    return rc == 0 ? -EBADMSG : rc;
}

double field_double(const struct field *f)
{
    double v;
    memcpy(&v, &f->value, sizeof(v));
    return v;
}

int64_t field_zigzag(uint64_t v)
{
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

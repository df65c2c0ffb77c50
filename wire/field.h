// SPDX-License-Identifier: Apache-2.0
/*
 * The fields of a protobuf message, one by one, without a generated reader: for messages of which little
 * is wanted (push_peek), or too large to be unpacked whole (pages of metrics).
 *
 *     tag | value | tag | length | .... a message inside .... | tag | value |
 *     fields.at ^                                                    end ^
 *
 * A message inside a field is itself fields, so one is read as the other. Groups are refused: no peer of
 * ours writes them.
 *
 * Pure; everything points into the bytes given. Errors: -EBADMSG.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct fields {
    const uint8_t *at, *end;
};

enum field_type { FIELD_VARINT = 0, FIELD_FIXED64 = 1, FIELD_BYTES = 2, FIELD_FIXED32 = 5 };

struct field {
    uint32_t number; // from 1
    enum field_type type;
    uint64_t value;     // FIELD_VARINT, and the bits of FIXED
    struct fields body; // FIELD_BYTES
};

struct fields fields_of(const void *data, size_t len);
size_t fields_left(const struct fields *m);

// The next field of a message that is all there. 1; 0 at its end; -EBADMSG.
int fields_next(struct fields *m, struct field *ret);
// Of one that is still arriving: 0 when the field is not whole yet, and m stays. Of FIELD_BYTES not all
// there *ret_wanted is how many there will be; else it is left alone.
int fields_take(struct fields *m, struct field *ret, uint64_t *ret_wanted);
// A number without a tag: a length before a message, or one of several packed into a field. As
// fields_take.
int fields_varint(struct fields *m, uint64_t *ret);

double field_double(const struct field *f); // of FIELD_FIXED64
int64_t field_zigzag(uint64_t v);           // a varint of type sint32 or sint64

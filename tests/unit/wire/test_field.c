// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/run.h"
#include "wire/field.h"
#include <errno.h>
#include <string.h>

// As protoc --encode prints them: 1: 300, 2: 0.5 (double), 3: "abc", 4: 0x01020304 (fixed32), 5: -2 (sint64).
static const uint8_t MESSAGE[] = {0x08, 0xac, 0x02, 0x11, 0, 0, 0, 0, 0, 0, 0xe0, 0x3f, 0x1a, 3,
    'a', 'b', 'c', 0x25, 4, 3, 2, 1, 0x28, 3};
static const size_t STARTS[] = {0, 3, 12, 17, 22, sizeof(MESSAGE)};

static void reads_every_type(void)
{
    struct fields m = fields_of(MESSAGE, sizeof(MESSAGE));
    struct field f;
    CU_ASSERT_EQUAL(fields_next(&m, &f), 1);
    CU_ASSERT_TRUE(f.number == 1 && f.type == FIELD_VARINT && f.value == 300);
    CU_ASSERT_EQUAL(fields_next(&m, &f), 1);
    CU_ASSERT_TRUE(f.number == 2 && f.type == FIELD_FIXED64 && field_double(&f) == 0.5);
    CU_ASSERT_EQUAL(fields_next(&m, &f), 1);
    CU_ASSERT_TRUE(f.number == 3 && f.type == FIELD_BYTES && fields_left(&f.body) == 3);
    CU_ASSERT_EQUAL(memcmp(f.body.at, "abc", 3), 0);
    CU_ASSERT_EQUAL(fields_next(&m, &f), 1);
    CU_ASSERT_TRUE(f.number == 4 && f.type == FIELD_FIXED32 && f.value == 0x01020304);
    CU_ASSERT_EQUAL(fields_next(&m, &f), 1);
    CU_ASSERT_TRUE(f.number == 5 && field_zigzag(f.value) == -2);
    CU_ASSERT_EQUAL(fields_next(&m, &f), 0);
}

static void a_field_that_is_cut_is_waited_for(void)
{
    for (size_t len = 0; len < sizeof(MESSAGE); len++) {
        struct fields m = fields_of(MESSAGE, len);
        struct field f;
        uint64_t wanted = 0;
        size_t n = 0;
        while (fields_take(&m, &f, &wanted) == 1)
            n++;
        CU_ASSERT_EQUAL(m.at, MESSAGE + STARTS[n]);
        CU_ASSERT_TRUE(STARTS[n] <= len && len < STARTS[n + 1]);
        CU_ASSERT_EQUAL(wanted, len >= 14 && len < 17 ? 3 : 0);
        // Of a message that is all there it is a mistake.
        m = fields_of(MESSAGE + STARTS[n], len - STARTS[n]);
        CU_ASSERT_EQUAL(fields_next(&m, &f), len == STARTS[n] ? 0 : -EBADMSG);
    }
}

static void refuses_what_is_no_field(void)
{
    static const uint8_t WRONG[][12] = {{0x00, 1}, {0x0b}, {0x0c}, {0x0e}, {0x0f},
        {0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01},
        {0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 1}};
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++) {
        struct fields m = fields_of(WRONG[i], sizeof(WRONG[i]));
        struct field f;
        CU_ASSERT_EQUAL(fields_next(&m, &f), -EBADMSG);
    }
}

static void a_varint_has_ten_bytes_at_most(void)
{
    static const uint8_t MOST[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01};
    struct fields m = fields_of(MOST, sizeof(MOST));
    uint64_t v = 0;
    CU_ASSERT_EQUAL(fields_varint(&m, &v), 1);
    CU_ASSERT_EQUAL(v, UINT64_MAX);
    CU_ASSERT_EQUAL(field_zigzag(v), INT64_MIN);
    CU_ASSERT_EQUAL(fields_varint(&m, &v), 0);
    m = fields_of(NULL, 0);
    CU_ASSERT_EQUAL(fields_varint(&m, &v), 0);
}

static const struct test TESTS[] = {
    {"reads every type", reads_every_type},
    {"a field that is cut is waited for", a_field_that_is_cut_is_waited_for},
    {"refuses what is no field", refuses_what_is_no_field},
    {"a varint has ten bytes at most", a_varint_has_ten_bytes_at_most},
};
int main(void)
{
    return test_main("field", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}

// SPDX-License-Identifier: Apache-2.0
// Our reader of zone files beside the C library's: same files, other code.
#include "base/buf.h"
#include "base/zone.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// Zones with something special: half hours, DST the wrong way round or in the southern half, a
// government that changed its mind, times before zero o'clock, no DST, no rule but a list.
static const char *const ZONES[] = {"UTC", "Europe/Berlin", "Europe/Dublin", "America/New_York",
    "America/St_Johns", "America/Sao_Paulo", "America/Nuuk", "Asia/Kolkata", "Asia/Kathmandu",
    "Asia/Tehran", "Asia/Gaza", "Asia/Tokyo", "Africa/Casablanca", "Africa/Cairo",
    "Australia/Sydney", "Australia/Lord_Howe", "Pacific/Apia", "Pacific/Chatham",
    "Pacific/Kiritimati", "Antarctica/Troll", "Europe/Moscow", "Asia/Pyongyang"};

static void tells_the_same_local_time_as_the_c_library(void)
{
    for (size_t i = 0; i < sizeof(ZONES) / sizeof(ZONES[0]); i++) {
        struct arena a;
        struct zone z;
        struct err err = {0};
        arena_init(&a, 0);
        CU_ASSERT_EQUAL_FATAL(zone_read(ZONES[i], &a, &z, &err), 0);
        setenv("TZ", ZONES[i], 1);
        tzset();
        int wrong = 0;
        // 1971 to 2090: two days of every week, at a time of day that moves.
        for (int64_t t = 31536000; t < 3786912000; t += 302411) {
            time_t at = (time_t)t;
            struct tm tm;
            localtime_r(&at, &tm);
            if (zone_offset(&z, t) != tm.tm_gmtoff && !wrong++)
                printf("  %s at %lld: %d, not %ld\n", ZONES[i], (long long)t,
                    zone_offset(&z, t), tm.tm_gmtoff);
        }
        // And each second around the changes of two far years, where only the rule is left.
        for (int64_t t = 3124224000; t < 3124224000 + 2 * 366 * 86400LL; t += 900) {
            time_t at = (time_t)t, before = (time_t)(t - 1);
            struct tm tm, tm2;
            localtime_r(&at, &tm);
            localtime_r(&before, &tm2);
            wrong += zone_offset(&z, t) != tm.tm_gmtoff;
            wrong += zone_offset(&z, t - 1) != tm2.tm_gmtoff;
        }
        CU_ASSERT_EQUAL(wrong, 0);
        arena_done(&a);
    }
    unsetenv("TZ");
    tzset();
}

static void names_what_is_no_zone(void)
{
    static const struct {
        const char *name, *want;
    } CASES[] = {{"Europe/Atlantis", "there is no time zone"},
        {"../../etc/passwd", "is no time"}, {"/etc/passwd", "is no time"},
        {"Europe", "there is no time zone"}, {"tzdata.zi x", "is no time"}};
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct arena a;
        struct zone z;
        struct err err = {0};
        arena_init(&a, 0);
        CU_ASSERT_TRUE(zone_read(CASES[i].name, &a, &z, &err) < 0);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.msg, CASES[i].want));
        arena_done(&a);
    }
}

// Every prefix, and every byte turned over, is refused or gives a zone that answers.
static void broken_files_are_refused_or_harmless(void)
{
    struct buf b;
    buf_init(&b, ZONE_FILE_MAX);
    CU_ASSERT_EQUAL_FATAL(buf_add_path(&b, "/usr/share/zoneinfo/Europe/Berlin"), 0);
    size_t taken = 0;
    for (size_t i = 0; i < b.len; i++) {
        struct arena a;
        struct zone z;
        struct err err;
        arena_init(&a, 0);
        uint8_t *copy =
            malloc(b.len); // of the very size, so that a sanitizer sees a read beyond
        uint8_t *cut = malloc(i + 1);
        CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
        CU_ASSERT_PTR_NOT_NULL_FATAL(cut);
        memcpy(cut, b.data, i);
        CU_ASSERT_EQUAL(zone_parse(cut, i, &a, &z, &err), -EINVAL);
        memcpy(copy, b.data, b.len);
        copy[i] ^= 0x81;
        if (zone_parse(copy, b.len, &a, &z, &err) == 0) {
            taken++;
            CU_ASSERT_TRUE(zone_offset(&z, 1795000000) == zone_offset(&z, 1795000000));
        }
        free(copy);
        free(cut);
        arena_done(&a);
    }
    CU_ASSERT_TRUE(taken < b.len);
    buf_done(&b);
}

static const struct test TESTS[] = {
    {"tells the same local time as the C library", tells_the_same_local_time_as_the_c_library},
    {"names what is no zone", names_what_is_no_zone},
    {"broken files are refused or harmless", broken_files_are_refused_or_harmless},
};

int main(void)
{
    return test_main("zone", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}

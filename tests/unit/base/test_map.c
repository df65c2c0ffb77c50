// SPDX-License-Identifier: Apache-2.0
#include "base/map.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static void sets_gets_deletes(void)
{
    struct map m;
    int one = 1, two = 2;
    map_init(&m);
    CU_ASSERT_PTR_NULL(map_get(&m, "a", 1));
    CU_ASSERT_EQUAL(map_set(&m, "a", 1, &one), 0);
    CU_ASSERT_EQUAL(map_set(&m, "a\0b", 3, &two), 0);
    CU_ASSERT_EQUAL(map_set(&m, NULL, 0, &two), 0);
    CU_ASSERT_PTR_EQUAL(map_get(&m, "a", 1), &one);
    CU_ASSERT_PTR_EQUAL(map_get(&m, "a\0b", 3), &two);
    CU_ASSERT_PTR_EQUAL(map_get(&m, "", 0), &two);
    CU_ASSERT_EQUAL(map_set(&m, "a", 1, &two), 0);
    CU_ASSERT_EQUAL(m.n, 3);
    CU_ASSERT_PTR_EQUAL(map_del(&m, "a", 1), &two);
    CU_ASSERT_PTR_NULL(map_del(&m, "a", 1));
    CU_ASSERT_EQUAL(m.n, 2);
    map_done(&m);
    map_done(&m);
}

#define KEYS 300
// The obvious map: an array by key number.
static void agrees_with_an_array(void)
{
    static int cells[KEYS];
    void *want[KEYS] = {0};
    struct map m;
    uint64_t state = 3;
    size_t n = 0;
    map_init(&m);
    for (int i = 0; i < 50000; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        unsigned k = (unsigned)(state >> 33) % KEYS, op = (unsigned)(state >> 50) % 3;
        char key[16];
        size_t len = (size_t)snprintf(key, sizeof(key), "key-%u", k);
        if (op == 0) {
            n += !want[k];
            want[k] = &cells[(state >> 20) % KEYS];
            CU_ASSERT_EQUAL(map_set(&m, key, len, want[k]), 0);
        } else if (op == 1) {
            n -= want[k] != NULL;
            CU_ASSERT_PTR_EQUAL(map_del(&m, key, len), want[k]);
            want[k] = NULL;
        } else {
            CU_ASSERT_PTR_EQUAL(map_get(&m, key, len), want[k]);
        }
    }
    CU_ASSERT_EQUAL(m.n, n);
    CU_ASSERT_TRUE(m.cap <= 2048); // deleting and adding for ever does not grow it
    size_t it = 0, walked = 0, len;
    const void *key;
    void *value;
    while (map_next(&m, &it, &key, &len, &value)) {
        CU_ASSERT_PTR_EQUAL(map_get(&m, key, len), value);
        walked++;
    }
    CU_ASSERT_EQUAL(walked, n);
    map_done(&m);
}

static void hash_depends_on_the_seed(void)
{
    CU_ASSERT_EQUAL(hash_bytes("abc", 3, 1), hash_bytes("abc", 3, 1));
    CU_ASSERT_NOT_EQUAL(hash_bytes("abc", 3, 1), hash_bytes("abc", 3, 2));
    CU_ASSERT_NOT_EQUAL(hash_bytes("abc", 3, 1), hash_bytes("abd", 3, 1));
    CU_ASSERT_NOT_EQUAL(hash_bytes("\0", 1, 1), hash_bytes("\0\0", 2, 1));
    struct map a, b;
    map_init(&a);
    map_init(&b);
    CU_ASSERT_NOT_EQUAL(a.seed, b.seed);
}

static void failed_allocations(void)
{
    for (int nth = 1;; nth++) {
        struct map m;
        int failures = 0, value = 0;
        map_init(&m);
        oom_fail_at(nth);
        for (int i = 0; i < 40; i++) {
            int rc = map_set(&m, &i, sizeof(i), &value);
            CU_ASSERT_TRUE(rc == 0 || rc == -ENOMEM);
            CU_ASSERT_EQUAL(map_get(&m, &i, sizeof(i)) != NULL, rc == 0);
            failures += rc != 0;
        }
        bool hit = oom_stop();
        CU_ASSERT_EQUAL(failures, hit ? 1 : 0);
        CU_ASSERT_EQUAL(m.n, (size_t)(40 - failures));
        map_done(&m);
        if (!hit)
            return;
    }
}

static const struct test TESTS[] = {
    {"sets, gets, replaces and deletes keys of any bytes", sets_gets_deletes},
    {"agrees with an array on random operations", agrees_with_an_array},
    {"the hash depends on a seed of its own per map", hash_depends_on_the_seed},
    {"every failed allocation leaves the map whole", failed_allocations},
};

int main(void)
{
    return test_main("map", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}

// SPDX-License-Identifier: Apache-2.0
// Binary operators: matching, names, duplicates, and the three states of an element.
#include "tests/unit/rules/scene.h"

#define LONG_AGO (-400000)

static void open_pairs(struct scene *s)
{
    scene_open(s);
    scene_put(s, "a{i=\"1\"}", 9000, 10);
    scene_put(s, "a{i=\"2\"}", 9000, 20);
    scene_put(s, "b{i=\"1\"}", 9000, 2);
    scene_put(s, "b{i=\"2\"}", 9000, 40);
    // a3 and b4 are silent, their counterparts live; 5 is silent on both sides.
    scene_put(s, "a{i=\"3\"}", LONG_AGO, 30);
    scene_put(s, "b{i=\"3\"}", 9000, 3);
    scene_put(s, "a{i=\"4\"}", 9000, 40);
    scene_put(s, "b{i=\"4\"}", LONG_AGO, 4);
    scene_put(s, "a{i=\"5\"}", LONG_AGO, 50);
    scene_put(s, "b{i=\"5\"}", LONG_AGO, 5);
    scene_silence(s, "a{i=\"3\"}");
    scene_silence(s, "b{i=\"4\"}");
    scene_silence(s, "a{i=\"5\"}");
    scene_silence(s, "b{i=\"5\"}");
}

static void arithmetic_states(void)
{
    struct scene s;
    open_pairs(&s);
    check(
        &s, "a + 1", "{i=\"1\"} 11; {i=\"2\"} 21; {i=\"3\"} ?30; {i=\"4\"} 41; {i=\"5\"} ?50");
    check(
        &s, "a + b", "{i=\"1\"} 12; {i=\"2\"} 60; {i=\"3\"} ?33; {i=\"4\"} ?44; {i=\"5\"} ?55");
    check(&s, "a + on(i) (b > 10)", "{i=\"2\"} 60; {i=\"4\"} ?44; {i=\"5\"} ?55");
    check(&s, "(a > 100) + b", "{i=\"3\"} ?33; {i=\"5\"} ?55");
    scene_close(&s);
}

static void comparison_states(void)
{
    struct scene s;
    open_pairs(&s);
    s.show_filtered = true;
    check(&s, "a > 15",
        "a{i=\"1\"} !10; a{i=\"2\"} 20; a{i=\"3\"} ?30; a{i=\"4\"} 40; a{i=\"5\"} ?50");
    // Silence passes whichever way the comparison would have gone.
    check(&s, "a{i=\"3\"} > 1000", "a{i=\"3\"} ?30");
    check(&s, "1000 < a{i=\"3\"}", "a{i=\"3\"} ?30");
    check(&s, "a{i=\"3\"} > bool 1000", "{i=\"3\"} ?30");
    check(&s, "a > b",
        "a{i=\"1\"} 10; a{i=\"2\"} !20; a{i=\"3\"} ?30; a{i=\"4\"} ?40; a{i=\"5\"} ?50");
    check(&s, "a{i=\"4\"} < b", "a{i=\"4\"} ?40");
    scene_close(&s);
}

static void and_unless_or_states(void)
{
    struct scene s;
    open_pairs(&s);
    // The left side's own state, or unknown when only a silent right side would let it pass.
    check(&s, "a and b",
        "a{i=\"1\"} 10; a{i=\"2\"} 20; a{i=\"3\"} ?30; a{i=\"4\"} ?40; a{i=\"5\"} ?50");
    check(&s, "a and b > 10", "a{i=\"2\"} 20; a{i=\"4\"} ?40; a{i=\"5\"} ?50");
    check(&s, "a unless b", "a{i=\"4\"} ?40; a{i=\"5\"} ?50");
    check(
        &s, "a unless b > 10", "a{i=\"1\"} 10; a{i=\"3\"} ?30; a{i=\"4\"} ?40; a{i=\"5\"} ?50");
    check(&s, "a{i=\"3\"} or b{i=\"3\"}", "a{i=\"3\"} ?30");
    check(&s, "a{i=\"1\"} or b{i=\"5\"}", "a{i=\"1\"} 10; b{i=\"5\"} ?5");
    check(&s, "a{i=\"1\"} > 100 or b{i=\"1\"}", "b{i=\"1\"} 2");
    check(&s, "a{i=\"3\"} or on() vector(0)", "a{i=\"3\"} ?30");
    check(&s, "nothing or on() vector(0)", "{} 0");
    // One known element of the signature is enough.
    check(&s, "a{i=\"1\"} and on() b", "a{i=\"1\"} 10");
    check(&s, "a{i=\"1\"} unless on() b", "");
    check(&s, "a{i=\"1\"} and on() b{i=~\"4|5\"}", "a{i=\"1\"} ?10");
    scene_close(&s);
}

static void grouped_states(void)
{
    struct scene s;
    scene_open(&s);
    scene_put(&s, "m{i=\"1\",k=\"x\"}", 9000, 10);
    scene_put(&s, "m{i=\"2\",k=\"x\"}", LONG_AGO, 20);
    scene_put(&s, "m{i=\"1\",k=\"y\"}", 9000, 30);
    scene_put(&s, "info{k=\"x\",z=\"zx\"}", 9000, 1);
    scene_put(&s, "info{k=\"y\",z=\"zy\"}", LONG_AGO, 1);
    scene_silence(&s, "m{i=\"2\",k=\"x\"}");
    scene_silence(&s, "info{k=\"y\",z=\"zy\"}");
    check(&s, "m * on(k) group_left(z) info",
        "{i=\"1\", k=\"x\", z=\"zx\"} 10; {i=\"1\", k=\"y\", z=\"zy\"} ?30; "
        "{i=\"2\", k=\"x\", z=\"zx\"} ?20");
    check(&s, "info * on(k) group_right(z) m",
        "{i=\"1\", k=\"x\", z=\"zx\"} 10; {i=\"1\", k=\"y\", z=\"zy\"} ?30; "
        "{i=\"2\", k=\"x\", z=\"zx\"} ?20");
    check(&s, "m > on(k) group_left() info",
        "m{i=\"1\", k=\"x\"} 10; m{i=\"1\", k=\"y\"} ?30; m{i=\"2\", k=\"x\"} ?20");
    // Compared the other way round it is still the left value that stays, with the labels of the
    // many side.
    check(&s, "info < on(k) group_right() m",
        "m{i=\"1\", k=\"x\"} 1; m{i=\"1\", k=\"y\"} ?1; m{i=\"2\", k=\"x\"} ?1");
    scene_close(&s);
}

static void silent_gives_way(void)
{
    struct scene s;
    scene_open(&s);
    // A container restarted under a new id: the old series is silent, the new one lives.
    scene_put(&s, "m{k=\"x\"}", 9000, 10);
    scene_put(&s, "one{k=\"x\",id=\"old\"}", LONG_AGO, 1);
    scene_put(&s, "one{k=\"x\",id=\"new\"}", 9000, 2);
    scene_silence(&s, "one{k=\"x\",id=\"old\"}");
    check(&s, "m * on(k) group_left(id) one", "{id=\"new\", k=\"x\"} 20");
    check(&s, "one * on(k) group_right(id) m", "{id=\"new\", k=\"x\"} 20");
    check(&s, "m * on(k) one", "{k=\"x\"} 20");
    check(&s, "one * on(k) m", "{k=\"x\"} 20");
    scene_close(&s);
}

static bool error_about(struct scene *s, const char *text, const char *part)
{
    const char *got = scene_eval(s, text);
    if (!strstr(got, part))
        printf("%s = %s\n", text, got);
    return strstr(got, part) != NULL;
}

static void duplicates(void)
{
    struct scene s;
    scene_open(&s);
    scene_put(&s, "m{i=\"1\",k=\"x\"}", 9000, 10);
    scene_put(&s, "m{i=\"2\",k=\"x\"}", 9000, 20);
    scene_put(&s, "n{k=\"x\"}", 9000, 15);
    CU_ASSERT(error_about(&s, "n + on(k) m", "found duplicate series on the right"));
    CU_ASSERT(
        error_about(&s, "m + on(k) group_right() n", "found duplicate series on the left"));
    CU_ASSERT(error_about(&s, "m + on(k) n", "multiple matches for labels"));
    // Since 3.9 a filtered pair is a match too.
    CU_ASSERT(error_about(&s, "m > on(k) n", "multiple matches for labels"));
    CU_ASSERT(error_about(&s, "m > on(k) group_left(i) n", "multiple matches for labels"));
    scene_put(&s, "o{k=\"x\"}", 9000, 15);
    CU_ASSERT(error_about(&s, "{__name__=~\"n|o\"} * 1", "same labelset"));
    CU_ASSERT(error_about(&s, "-{__name__=~\"n|o\"}", "same labelset"));
    check(&s, "{__name__=~\"n|o\"} > 1", "n{k=\"x\"} 15; o{k=\"x\"} 15");
    scene_close(&s);
}

// Prometheus looks for duplicates only when there is something to match on both sides, and a
// filtered element is not something.
static void nothing_to_match(void)
{
    struct scene s;
    scene_open(&s);
    scene_put(&s, "m{i=\"1\",k=\"x\"}", 9000, 10);
    scene_put(&s, "m{i=\"2\",k=\"x\"}", 9000, 20);
    scene_put(&s, "n{k=\"x\"}", 9000, 15);
    check(&s, "nothing + on(k) m", "");
    check(&s, "(n > 100) + on(k) m", "");
    check(&s, "m + on(k) group_right() (n > 100)", "");
    scene_close(&s);
}

static void labels_of_results(void)
{
    struct scene s;
    scene_open(&s);
    scene_put(&s, "a{i=\"1\",j=\"2\"}", 9000, 10);
    scene_put(&s, "b{i=\"1\",j=\"3\"}", 9000, 2);
    check(&s, "a + on(i) b", "{i=\"1\"} 12");
    check(&s, "a + ignoring(j) b", "{i=\"1\"} 12");
    check(&s, "a > on(i) b", "{i=\"1\"} 10");
    check(&s, "a > ignoring(j) b", "a{i=\"1\"} 10");
    check(&s, "a > bool on(i) b", "{i=\"1\"} 1");
    check(&s, "a + on() b", "{} 12");
    check(&s, "a * on(i) group_left(j) b", "{i=\"1\", j=\"3\"} 20");
    check(&s, "a > 5", "a{i=\"1\", j=\"2\"} 10");
    check(&s, "5 < a", "a{i=\"1\", j=\"2\"} 10");
    check(&s, "5 < bool a", "{i=\"1\", j=\"2\"} 1");
    check(&s, "a and on(i) b", "a{i=\"1\", j=\"2\"} 10");
    check(&s, "a and b", "");
    scene_close(&s);
}

static void special_values(void)
{
    struct scene s;
    scene_open(&s);
    scene_put(&s, "n", 9000, NAN);
    scene_put(&s, "i", 9000, INFINITY);
    scene_put(&s, "z", 9000, -0.0);
    check(&s, "n == n", "");
    check(&s, "n != n", "n nan");
    check(&s, "n > bool 0", "{} 0");
    check(&s, "n != bool n", "{} 1");
    check(&s, "i - i", "{} nan");
    check(&s, "i > 1e308", "i inf");
    check(&s, "-i", "{} -inf");
    check(&s, "1 / z", "{} -inf");
    check(&s, "z == 0", "z -0");
    check(&s, "-z", "{} 0");
    check(&s, "5 % 0", "nan");
    check(&s, "-7 % 3", "-1");
    check(&s, "2 ^ 3 ^ 2", "512");
    check(&s, "-2 ^ 2", "-4");
    check(&s, "1 > bool 2", "0");
    scene_close(&s);
}

static const struct test TESTS[] = {
    {"arithmetic passes silence through", arithmetic_states},
    {"a comparison filters values and lets silence pass", comparison_states},
    {"and, unless and or with a silent side", and_unless_or_states},
    {"group_left and group_right carry silence", grouped_states},
    {"a silent series gives way to the one that took its place", silent_gives_way},
    {"duplicates are errors as in Prometheus", duplicates},
    {"an empty side is no error, whatever the other holds", nothing_to_match},
    {"labels of results", labels_of_results},
    {"NaN, infinities and minus zero", special_values},
};

int main(void)
{
    return test_main("binary", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}

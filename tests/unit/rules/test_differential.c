// SPDX-License-Identifier: Apache-2.0
// Every evaluator beside promtool 2.42, on random histories: tests/conformance. A bounded part
// here; `make conformance` runs the same program for longer.
#include "tests/conformance/grammar.h"
#include "tests/conformance/report.h"
#include "tests/conformance/shrink.h"
#include "tests/lib/run.h"
#include <stdlib.h>
#include <string.h>

#define EXPRESSIONS  120 // random ones per history
#define ORACLE_TIMES 10  // at which promtool is asked
#define LIVE_TIMES   50  // others, at which only our evaluators are
#define SHRUNK_MAX   5

static int shrunk;

// Times to the millisecond where samples, ranges and steps end, one beside them, and any.
static int64_t a_time(const struct history *h, struct random *r)
{
    static const int64_t RANGES[] = {0, 60000, 300000, 37000, 90000, 61001, 10000, 5000, 20000};
    if (random_chance(r, 0.4))
        return (int64_t)(HISTORY_END_MS * random_unit(r));
    if (random_chance(r, 0.15))
        return 30000 * random_below(r, HISTORY_END_MS / 30000);
    const struct series *s = &h->series[random_below(r, (int)h->n)];
    int64_t t = s->n ? s->s[random_below(r, (int)s->n)].t_ms : 0;
    t += RANDOM_PICK(r, RANGES) + random_below(r, 3) - 1;
    return t < 0 ? 0 : t > HISTORY_END_MS ? HISTORY_END_MS : t;
}

static void choose_times(struct trial *t, struct random *r)
{
    struct moment m[ORACLE_TIMES + LIVE_TIMES];
    for (int i = 0; i < ORACLE_TIMES + LIVE_TIMES; i++)
        m[i] = (struct moment){a_time(t->h, r), i < ORACLE_TIMES};
    trial_at(t, m, ORACLE_TIMES + LIVE_TIMES);
}

static void run_trial(struct trial *t, unsigned pairs, struct tally *tally, uint64_t seed)
{
    struct mismatch *m = calloc(t->n_q + 1, sizeof(*m));
    CU_ASSERT_FATAL(m != NULL);
    size_t n = trial_run(t, pairs, tally, m);
    for (size_t i = 0; i < n && shrunk < SHRUNK_MAX; i++, shrunk++)
        shrink_and_print(t, &m[i], seed);
    for (size_t i = 0; i < n; i++)
        if (shrunk == SHRUNK_MAX)
            printf("# seed %llu also: %s\n", (unsigned long long)seed, t->q[m[i].q].text);
    free(m);
}

// As 3.x among ourselves, without and with silent sources.
static void run_3_x(struct trial *t, struct tally *tally, uint64_t seed)
{
    t->compat_2_42 = false;
    run_trial(t, 1u << PAIR_LIVE | 1u << PAIR_INCREMENTAL, tally, seed);
    t->silences = true;
    run_trial(t, 1u << PAIR_INCREMENTAL, tally, seed);
}

static void run_both(struct trial *t, struct tally *tally, uint64_t seed)
{
    run_trial(t, ~0u, tally, seed);
    run_3_x(t, tally, seed);
}

static size_t with_promtool(const struct tally *t)
{
    size_t n = 0;
    for (int a = 0; a <= ACCURACY_UNSTABLE; a++)
        n += t->evaluations[PAIR_PROMTOOL][a];
    return n;
}

static void end(const struct tally *t, const struct budget *b, const char *what)
{
    tally_print(t, b, what);
    CU_ASSERT_EQUAL(t->wrong, 0);
    CU_ASSERT_TRUE(t->rows[PAIR_INCREMENTAL] > 10000);
    if (!with_promtool(t)) {
        printf("  promtool 2.42 is not here (Debian 12's prometheus package)\n");
        return;
    }
    // Were promtool read wrongly, all would be empty, or an error.
    CU_ASSERT_TRUE(t->rows[PAIR_PROMTOOL] > with_promtool(t));
    CU_ASSERT_TRUE(t->errors[PAIR_PROMTOOL] * 4 < with_promtool(t));
    CU_ASSERT_TRUE((t->cancelled + t->ties + t->known + t->fell) * 100 <= with_promtool(t));
}

static void random_expressions_agree(void)
{
    struct budget b;
    struct tally tally = {0};
    uint64_t seed;
    budget_init(&b);
    while (!tally.wrong && budget_more(&b, with_promtool(&tally), &seed)) {
        struct random r = {seed};
        struct history h;
        struct trial t;
        struct buf text;
        buf_init(&text, 65536);
        history_make(&h, &r);
        trial_init(&t, &h);
        for (int i = 0; i < EXPRESSIONS; i++) {
            expression_make(&r, 1 + random_below(&r, 4), &text);
            CU_ASSERT_FATAL(trial_ask(&t, buf_cstr(&text)));
        }
        choose_times(&t, &r);
        run_both(&t, &tally, seed);
        trial_done(&t);
        history_done(&h);
        buf_done(&text);
    }
    end(&tally, &b, "random expressions");
}

// A file of expressions, one a line, # before comments.
static void ask_file(struct trial *t, const char *path)
{
    char line[2048];
    FILE *f = fopen(path, "re");
    CU_ASSERT_FATAL(f != NULL);
    while (fgets(line, sizeof(line), f)) {
        line[strcspn(line, "\n")] = 0;
        if (line[0] && line[0] != '#' && !trial_ask(t, line)) {
            printf("%s: not PromQL: %s\n", path, line);
            CU_FAIL("an expression of the list does not parse");
        }
    }
    fclose(f);
}

static void listed_expressions_agree(void)
{
    struct budget b;
    struct tally tally = {0};
    uint64_t seed;
    budget_init(&b);
    // The random ones are what the budget is for.
    b.evaluations /= 4;
    b.seconds /= 4;
    while (!tally.wrong && budget_more(&b, with_promtool(&tally), &seed)) {
        struct random r = {seed};
        struct history h;
        struct trial t, newer;
        history_make(&h, &r);
        trial_init(&t, &h);
        ask_file(&t, "tests/conformance/constructs.txt");
        ask_file(&t, "tests/conformance/shapes.txt");
        choose_times(&t, &r);
        run_both(&t, &tally, seed);
        trial_done(&t);
        trial_init(&newer, &h);
        ask_file(&newer, "tests/conformance/newer.txt");
        choose_times(&newer, &r);
        run_3_x(&newer, &tally, seed);
        trial_done(&newer);
        history_done(&h);
    }
    end(&tally, &b, "listed expressions");
}

static const struct test TESTS[] = {
    {"random expressions are equal in all evaluators", random_expressions_agree},
    {"every construct, and what public rules look like, is equal too",
        listed_expressions_agree},
};

int main(void)
{
    return test_main("differential", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}

// SPDX-License-Identifier: Apache-2.0
#include "tests/conformance/report.h"
#include <stdlib.h>
#include <time.h>

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double from_environment(const char *name, double otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtod(text, NULL) : otherwise;
}

void budget_init(struct budget *b)
{
    double now = now_s();
    *b = (struct budget){.seed = (uint64_t)from_environment("CONFORMANCE_SEED", 1),
        .evaluations = (size_t)from_environment("CONFORMANCE_EVALUATIONS", 0),
        .seconds = from_environment("CONFORMANCE_SECONDS", 8),
        .started = now,
        .last = now};
}

bool budget_more(struct budget *b, size_t evaluations, uint64_t *ret_seed)
{
    double now = now_s(), took = now - b->last;
    if (took > b->longest)
        b->longest = took;
    b->last = now;
    // At least one, and another only when it is likely to end in time.
    if (b->histories && now - b->started + b->longest > b->seconds &&
        evaluations >= b->evaluations)
        return false;
    *ret_seed = b->seed + b->histories++;
    return true;
}

void tally_print(const struct tally *t, const struct budget *b, const char *what)
{
    static const char *const PAIRS[] = {
        [PAIR_PROMTOOL] = "promtool = batch",
        [PAIR_LIVE] = "batch = batch as samples come in",
        [PAIR_INCREMENTAL] = "batch = incremental",
    };
    printf("%s, seeds %llu to %llu\n", what, (unsigned long long)b->seed,
        (unsigned long long)(b->seed + b->histories - 1));
    for (int p = 0; p < N_PAIRS; p++) {
        size_t all = 0;
        for (int a = 0; a <= ACCURACY_UNSTABLE; a++)
            all += t->evaluations[p][a];
        if (!all)
            continue;
        printf("  %-34s %8zu evaluations, %zu elements, %zu empty, %zu errors\n", PAIRS[p], all,
            t->rows[p], t->empty[p], t->errors[p]);
        for (int a = 0; a <= ACCURACY_UNSTABLE; a++)
            if (t->evaluations[p][a])
                printf(
                    "    %-32s %8zu\n", accuracy_name((enum accuracy)a), t->evaluations[p][a]);
    }
    printf(
        "  no difference because: %zu beside what cancelled out, %zu ties, %zu of 2.42 only, %zu "
        "times no answer\n  %zu differ\n",
        t->cancelled, t->ties, t->known, t->fell, t->wrong);
}

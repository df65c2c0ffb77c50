// SPDX-License-Identifier: Apache-2.0
/*
 * Good rule files with one character changed: whatever comes out, reading it ends, every mistake
 * has its place, and what promtool 2.42 rejects is not accepted, nor the other way, but for a reason
 * of promtool.h or of the table below. MUTATIONS says how many (make mutations: 10,000 of each file
 * and of tests/rules/expressions.txt).
 */
#include "base/buf.h"
#include "rules/file.h"
#include "tests/lib/run.h"
#include "tests/unit/rules/promtool.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MUTATIONS 1500 // of each file
#define BATCH     250  // files of one promtool run
#define REASONS   32

static const char *const SOURCES[] = {"rules/stock/starter.yaml", "tests/rules/whole.yaml"};
static unsigned seed = 20251125;

static struct tally {
    const char *reason[REASONS];
    size_t count[REASONS], accepted, rejected, unexplained;
} tally;

static unsigned next_random(void)
{
    seed = seed * 1103515245u + 12345u;
    return seed >> 8;
}

static void mutate(const struct buf *good, struct buf *out)
{
    // What means something to YAML, PromQL, templates, and a few that mean nothing to any.
    static const char letters[] = "()[]{},:@=!~<>+-*/%^\"'`#&|?$\\.\n\t aAe0159mshd_x;\x01\xc3";
    size_t at = next_random() % good->len;
    char c = letters[next_random() % (sizeof(letters) - 1)];
    unsigned how = next_random() % 3; // away, another one, one more

    buf_reset(out);
    buf_add(out, good->data, at);
    if (how > 0)
        buf_addc(out, c);
    buf_add(out, good->data + at + (how < 2), good->len - at - (how < 2));
}

struct verdict {
    struct buf text;
    struct diags d;
    char theirs[1000]; // why promtool rejects it; "" = it does not
    bool asked;
};

static void ask_ours(struct verdict *v, struct ruleset *set)
{
    diags_init(&v->d);
    int rc = ruleset_add(set, "m.yaml", (const char *)v->text.data, v->text.len, &v->d);
    CU_ASSERT_EQUAL(rc, v->d.errors ? -EINVAL : 0);
    for (size_t i = 0; i < v->d.n; i++) {
        const struct diag *x = &v->d.items[i];
        CU_ASSERT(x->line >= 1 && x->col >= 1 && x->len >= 1 && x->msg[0]);
    }
}

static void ask_promtool(struct verdict *v, size_t n)
{
    char line[8000], command[600];
    struct verdict *now = NULL;
    for (size_t i = 0; i < n; i++) {
        char path[400];
        snprintf(path, sizeof(path), "%s/m%03zu.yaml", test_tmpdir(), i);
        FILE *f = fopen(path, "we");
        CU_ASSERT_PTR_NOT_NULL_FATAL(f);
        fwrite(v[i].text.data, 1, v[i].text.len, f);
        fclose(f);
        v[i].theirs[0] = '\0';
        v[i].asked = false;
    }
    snprintf(command, sizeof(command), "cd %s && promtool check rules --lint=none m*.yaml 2>&1",
        test_tmpdir());
    FILE *f = popen(command, "re");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    while (fgets(line, sizeof(line), f)) {
        size_t at;
        if (sscanf(line, "Checking m%zu.yaml", &at) == 1 && at < n) {
            now = &v[at];
            now->asked = true;
        } else if (now && line[0] != '\n' && !strstr(line, "SUCCESS: ")) {
            size_t used = strlen(now->theirs);
            snprintf(now->theirs + used, sizeof(now->theirs) - used, "%s", line);
        }
    }
    pclose(f);
}

// Why we may accept what promtool rejects: every line it printed must have a reason.
static const char *why_accept(const struct verdict *v, const struct ruleset *set)
{
    static const char *const unicode[] = {
        "invalid label name", "invalid annotation name", "invalid recording rule name"};
    const char *why = NULL, *group_at = strstr(v->theirs, "group \"");
    for (size_t i = 0; i < sizeof(unicode) / sizeof(unicode[0]); i++)
        if (strstr(v->theirs, unicode[i]))
            why = "3.x: names in UTF-8";
    if (strstr(v->theirs, "field labels not found in type rulefmt.RuleGroup\n") ||
        strstr(v->theirs, "field query_offset not found in type rulefmt.RuleGroup\n"))
        why = "3.x: labels and query_offset of a group";
    unsigned long rule;
    char group[100];
    if (!strstr(v->theirs, "could not parse expression") || !group_at ||
        sscanf(group_at, "group \"%99[^\"]\", rule %lu", group, &rule) != 2)
        return why;
    for (size_t i = 0; i < set->n_groups; i++) {
        const struct rule_group *g = &set->groups[i];
        if (!strcmp(g->name, group) && rule >= 1 && rule <= g->n_rules)
            return promtool_reason(g->rules[rule - 1].expr.text, NULL, "");
    }
    return why;
}

static const char *why_reject(const struct verdict *v)
{
    const struct diag *x = &v->d.items[0];
    for (size_t i = 0; i < v->d.n; i++)
        if (v->d.items[i].severity == DIAG_ERROR)
            x = &v->d.items[i];
    if (!strcmp(x->code, "T111"))
        return "a text or a range, which promtool lets pass";
    if (strstr(x->msg, "unknown key ``") || strstr(x->msg, "this is no label name"))
        return "a key that is nothing, which promtool overlooks";
    if (!strcmp(x->code, "T001") && strstr(x->msg, "unknown escape"))
        return "\\' in double quotes, which only Go's reader of YAML takes";
    if (!strcmp(x->code, "T018"))
        return "a fraction as limit, which promtool cuts off";
    if (strstr(x->msg, "holds a NUL byte"))
        return "a NUL byte, which we do not take";
    return promtool_reason("", x->code, x->msg);
}

// The line that was changed.
static void print_change(const struct verdict *v, const struct buf *good)
{
    size_t at = 0, from, to;
    while (at < good->len && at < v->text.len && good->data[at] == v->text.data[at])
        at++;
    for (from = at; from > 0 && v->text.data[from - 1] != '\n';)
        from--;
    for (to = at; to < v->text.len && v->text.data[to] != '\n';)
        to++;
    printf("%.*s\n%*s^ changed\n", (int)(to - from), (const char *)v->text.data + from,
        (int)(at - from), "");
}

static void compare(const struct verdict *v, const struct ruleset *set, const struct buf *good)
{
    bool ours = v->d.errors == 0, theirs = v->theirs[0] == '\0';
    CU_ASSERT(v->asked);
    if (ours == theirs) {
        tally.accepted += ours;
        tally.rejected += !ours;
        return;
    }
    const char *why = ours ? why_accept(v, set) : why_reject(v);
    if (!why) {
        tally.unexplained++;
        struct buf out;
        buf_init(&out, 65536);
        diags_print(&v->d, "m.yaml", (const char *)v->text.data, v->text.len, &out);
        printf("promtool %s it, we %s it:\n%s%s\n", theirs ? "accepts" : "rejects",
            ours ? "accept" : "reject", v->theirs, buf_cstr(&out));
        buf_done(&out);
        print_change(v, good);
        return;
    }
    size_t k = 0;
    while (k < REASONS - 1 && tally.reason[k] && strcmp(tally.reason[k], why))
        k++;
    tally.reason[k] = why;
    tally.count[k]++;
}

static void one_batch(const struct buf *good, size_t n, bool promtool)
{
    static struct verdict v[BATCH];
    struct ruleset *sets[BATCH];
    for (size_t i = 0; i < n; i++) {
        buf_init(&v[i].text, 1u << 20);
        mutate(good, &v[i].text);
        sets[i] = ruleset_new();
        ask_ours(&v[i], sets[i]);
    }
    if (promtool)
        ask_promtool(v, n);
    for (size_t i = 0; i < n; i++) {
        if (promtool)
            compare(&v[i], sets[i], good);
        ruleset_free(sets[i]);
        diags_done(&v[i].d);
        buf_done(&v[i].text);
    }
}

static void a_changed_character_is_judged_as_promtool_does(void)
{
    const char *wanted = getenv("MUTATIONS");
    size_t each = wanted ? strtoul(wanted, NULL, 10) : MUTATIONS;
    bool promtool = promtool_is_2_42();
    for (size_t i = 0; i < sizeof(SOURCES) / sizeof(SOURCES[0]); i++) {
        struct buf good;
        buf_init(&good, 1u << 20);
        CU_ASSERT_EQUAL_FATAL(buf_add_path(&good, SOURCES[i]), 0);
        for (size_t done = 0; done < each; done += BATCH)
            one_batch(&good, each - done < BATCH ? each - done : BATCH, promtool);
        buf_done(&good);
    }
    if (!promtool)
        return;
    printf("%zu accepted by both, %zu rejected by both, %zu differ for no reason\n",
        tally.accepted, tally.rejected, tally.unexplained);
    for (size_t k = 0; k < REASONS && tally.reason[k]; k++)
        printf("%6zu  %s\n", tally.count[k], tally.reason[k]);
    CU_ASSERT_EQUAL(tally.unexplained, 0);
    // Were the answers read wrongly, all would be accepted, or none.
    CU_ASSERT(tally.accepted > each / 4 && tally.rejected > each / 4);
}

static const struct test TESTS[] = {
    {"a changed character is judged as promtool does",
        a_changed_character_is_judged_as_promtool_does},
};

int main(void)
{
    return test_main("mutation", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}

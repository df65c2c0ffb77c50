// SPDX-License-Identifier: Apache-2.0
#include "collector/config.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ROUTES                                                                                 \
    "route: {receiver: chat}\n"                                                                \
    "receivers:\n"                                                                             \
    "- {name: chat, webhook_configs: [{url: 'http://127.0.0.1:9/'}]}\n"                        \
    "- {name: pager, webhook_configs: [{url: 'http://127.0.0.1:9/p'}]}\n"                      \
    "- {name: boss, webhook_configs: [{url: 'http://127.0.0.1:9/b'}]}\n"                       \
    "- {name: nobody}\n"                                                                       \
    "- {name: fixer, repair_configs: [{action: x}]}\n"

static int parse(const char *text, struct config *c, struct diags *d)
{
    diags_init(d);
    return config_parse(text, strlen(text), c, d);
}

static void reads_what_is_written(void)
{
    struct config c;
    struct diags d;
    CU_ASSERT_EQUAL_FATAL(parse("fallbacks: [{receiver: chat, to: pager, after: 2m},\n"
                                "            {receiver: pager, to: boss, after: 1s}]\n" ROUTES,
                              &c, &d),
        0);
    const struct config_fallback *f = config_fallback(&c, "chat");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    CU_ASSERT_STRING_EQUAL(f->to, "pager");
    CU_ASSERT_EQUAL(f->after_ms, 120000);
    CU_ASSERT_STRING_EQUAL(config_fallback(&c, "pager")->to, "boss");
    CU_ASSERT_PTR_NULL(config_fallback(&c, "boss"));
    config_done(&c);
    diags_done(&d);
}

static void every_mistake_is_named(void)
{
    static const struct {
        const char *text, *says, *hint;
        int line, col;
    } CASES[] = {
        {"fallbacks: x\n", "`fallbacks` is a list", "e.g. ", 1, 12},
        {"fallbacks: [x]\n", "a fallback is a map", "e.g. ", 1, 13},
        {"fallbacks: [{receiver: chat, to: pager}]\n", "needs `receiver`, `to` and `after`",
            "e.g. ", 1, 13},
        {"fallbacks: [{receiver: chat, to: pager, afer: 2m}]\n", "unknown key `afer`",
            "did you mean `after`?", 1, 41},
        {"fallbacks: [{receiver: chat, to: pager, after: 999ms}]\n", "`after` is 1s to 12h", "",
            1, 48},
        {"fallbacks: [{receiver: chat, to: pager, after: 13h}]\n", "`after` is 1s to 12h", "",
            1, 48},
        {"fallbacks: [{receiver: chat, to: pager, after: soon}]\n", "is not a duration",
            "e.g. ", 1, 48},
        {"fallbacks: [{receiver: chat, to: chat, after: 2m}]\n", "cannot stand in for itself",
            "name another", 1, 34},
        {"fallbacks: [{receiver: caht, to: pager, after: 2m}]\n", "no receiver `caht`",
            "did you mean `chat`?", 1, 24},
        {"fallbacks: [{receiver: chat, to: pagr, after: 2m}]\n", "no receiver `pagr`",
            "did you mean `pager`?", 1, 34},
        {"fallbacks: [{receiver: chat, to: nobody, after: 2m}]\n", "has nobody it tells", "", 1,
            34},
        {"fallbacks: [{receiver: chat, to: fixer, after: 2m}]\n", "has nobody it tells", "", 1,
            34},
        {"fallbacks: [{receiver: \"ch\\nat\", to: pager, after: 2m}]\n", "control byte", "", 1,
            24},
        {"fallbacks:\n- {receiver: chat, to: pager, after: 2m}\n"
         "- {receiver: chat, to: boss, after: 2m}\n",
            "`chat` has a fallback already", "may have one of its own", 3, 14},
        {"fallbacks:\n- {receiver: boss, to: chat, after: 2m}\n"
         "- {receiver: chat, to: pager, after: 2m}\n"
         "- {receiver: pager, to: chat, after: 2m}\n",
            "in a circle, from `chat`", "nobody behind it", 3, 24},
        {"fallback: []\n", "unknown key `fallback`", "did you mean `fallbacks`?", 1, 1},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct config c;
        struct diags d;
        char text[2048];
        snprintf(text, sizeof(text), "%s%s", CASES[i].text, ROUTES);
        CU_ASSERT_EQUAL(parse(text, &c, &d), -EINVAL);
        CU_ASSERT_EQUAL(d.errors, 1);
        const struct diag *m = d.n ? &d.items[0] : NULL;
        if (!m || !strstr(m->msg, CASES[i].says) || !strstr(m->hint, CASES[i].hint) ||
            m->line != CASES[i].line || m->col != CASES[i].col) {
            printf("%s -> %s (%s) %d:%d\n", CASES[i].text, m ? m->msg : "nothing",
                m ? m->hint : "", m ? m->line : 0, m ? m->col : 0);
            CU_FAIL("another mistake");
        }
        config_done(&c);
        diags_done(&d);
    }
}

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    CU_ASSERT(fputs(text, f) >= 0 && fclose(f) == 0);
}

static void beside_alertmanagers_own_file(void)
{
    char ours[300], theirs[300], text[800];
    snprintf(ours, sizeof(ours), "%s/collector.yaml", test_tmpdir());
    snprintf(theirs, sizeof(theirs), "%s/alertmanager.yml", test_tmpdir());
    put(theirs, "route: {receiver: chat}\n"
                "receivers:\n"
                "- {name: chat, webhook_configs: [{url: 'http://127.0.0.1:9/'}]}\n"
                "- {name: pager, webhook_configs: [{url: 'http://127.0.0.1:9/p'}]}\n");
    for (int right = 1; right >= 0; right--) {
        struct config c;
        struct buf all, report;
        char place[400];
        buf_init(&all, 2 * CONFIG_FILE_MAX);
        buf_init(&report, 1u << 20);
        snprintf(text, sizeof(text),
            "alertmanager_file: %s\nfallbacks:\n  - {receiver: chat, to: %s, after: 2m}\n",
            theirs, right ? "pager" : "pagre");
        put(ours, text);
        int rc = config_load(ours, &c, &all, &report);
        CU_ASSERT_EQUAL(rc, right ? 0 : -EINVAL);
        snprintf(place, sizeof(place), "%s:3:26", ours);
        CU_ASSERT_EQUAL(strstr(buf_cstr(&report), place) != NULL, !right);
        CU_ASSERT_EQUAL(strstr(buf_cstr(&report), "did you mean `pager`?") != NULL, !right);
        CU_ASSERT_EQUAL(config_fallback(&c, "chat") != NULL, 1);
        config_done(&c);
        buf_done(&all);
        buf_done(&report);
    }
    unlink(ours);
    unlink(theirs);
}

static void without_memory(void)
{
    static const char TEXT[] = "fallbacks: [{receiver: chat, to: pager, after: 2m}]\n" ROUTES;
    for (int nth = 1; nth < 1000; nth++) {
        struct config c;
        struct diags d;
        diags_init(&d);
        oom_fail_at(nth);
        int rc = config_parse(TEXT, strlen(TEXT), &c, &d);
        bool hit = oom_stop();
        CU_ASSERT(rc == 0 || hit);
        config_done(&c);
        diags_done(&d);
        if (!hit)
            return;
    }
    CU_FAIL("more allocations than there can be");
}

static const struct test TESTS[] = {
    {"fallbacks are read", reads_what_is_written},
    {"every mistake in fallbacks is named, in its place", every_mistake_is_named},
    {"beside Alertmanager's own file", beside_alertmanagers_own_file},
    {"without memory", without_memory},
};
int main(void)
{
    return test_main("config_fallback", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}

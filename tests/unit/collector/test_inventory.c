// SPDX-License-Identifier: Apache-2.0
#include "collector/inventory.h"
#include "tests/lib/run.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int folders;
static const char *fresh_folder(void)
{
    static char path[512];
    snprintf(path, sizeof(path), "%s/state-%d", test_tmpdir(), folders++);
    mkdir(path, 0700);
    return path;
}

static struct agent_note *note(uint8_t id, const char *host, uint64_t epoch, bool gone)
{
    struct agent_note *n = calloc(1, sizeof(*n));
    n->agent_id[0] = id;
    n->host = strdup(host);
    // One block, as the pipeline makes it.
    n->labels = calloc(1, sizeof(struct wire_label) + 16);
    char *text = (char *)(n->labels + 1);
    strcpy(text, "site");
    strcpy(text + 5, "fra");
    n->labels[0] = (struct wire_label){text, text + 5};
    n->n_labels = 1;
    n->epoch = epoch;
    n->last_seen_ms = 1000 + (int64_t)epoch;
    n->gone = gone;
    return n;
}

struct found {
    size_t n;
    struct inventory_agent last;
    char host[64], label[64];
};

static void collect(void *ctx, const struct inventory_agent *a)
{
    struct found *f = ctx;
    f->n++;
    f->last = *a;
    snprintf(f->host, sizeof(f->host), "%s", a->host);
    snprintf(f->label, sizeof(f->label), "%s=%s", a->n_labels ? a->labels[0].name : "",
        a->n_labels ? a->labels[0].value : "");
}

static struct inventory *open_it(const char *folder, struct err *warn)
{
    *warn = (struct err){0};
    struct inventory *v = inventory_open(folder, warn);
    CU_ASSERT_PTR_NOT_NULL_FATAL(v);
    return v;
}

static void what_was_noted_is_there_after_a_restart(void)
{
    const char *folder = fresh_folder();
    struct err err;
    struct inventory *v = open_it(folder, &err);
    CU_ASSERT_EQUAL(err.msg[0], 0);
    CU_ASSERT_EQUAL_FATAL(inventory_start(v, &err), 0);
    CU_ASSERT_TRUE(inventory_note(v, note(1, "web-1", 1, false)));
    CU_ASSERT_TRUE(inventory_note(v, note(1, "web-1", 2, false)));
    CU_ASSERT_TRUE(inventory_note(v, note(1, "web-1b", 3, true)));
    inventory_stop(v);
    v = open_it(folder, &err);
    CU_ASSERT_TRUE(inventory_ok(v));
    struct found f = {0};
    inventory_each(v, collect, &f);
    CU_ASSERT_EQUAL_FATAL(f.n, 1);
    CU_ASSERT_EQUAL(f.last.epoch, 3);
    CU_ASSERT_EQUAL(f.last.last_seen_ms, 1003);
    CU_ASSERT_TRUE(f.last.gone);
    CU_ASSERT_STRING_EQUAL(f.host, "web-1b");
    CU_ASSERT_STRING_EQUAL(f.label, "site=fra");
    inventory_stop(v);
}

static void a_broken_file_is_moved_aside(void)
{
    const char *folder = fresh_folder();
    char path[600];
    snprintf(path, sizeof(path), "%s/catalogue.db", folder);
    FILE *f = fopen(path, "w");
    for (int i = 0; i < 1000; i++)
        fputs("this is not a database ", f);
    fclose(f);
    struct err err;
    struct inventory *v = open_it(folder, &err);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.msg, "moved to"));
    CU_ASSERT_TRUE(inventory_ok(v));
    struct found found = {0};
    inventory_each(v, collect, &found);
    CU_ASSERT_EQUAL(found.n, 0);
    CU_ASSERT_EQUAL_FATAL(inventory_start(v, &err), 0);
    inventory_note(v, note(2, "h", 1, false));
    inventory_stop(v);
    v = open_it(folder, &err);
    inventory_each(v, collect, &found);
    CU_ASSERT_EQUAL(found.n, 1);
    inventory_stop(v);
}

static void a_folder_that_is_not_there_is_lived_with(void)
{
    struct err err;
    char path[600];
    snprintf(path, sizeof(path), "%s/nowhere/else", test_tmpdir());
    struct inventory *v = open_it(path, &err);
    CU_ASSERT_NOT_EQUAL(err.msg[0], 0);
    CU_ASSERT_FALSE(inventory_ok(v));
    struct found found = {0};
    inventory_each(v, collect, &found);
    CU_ASSERT_EQUAL(found.n, 0);
    CU_ASSERT_EQUAL_FATAL(inventory_start(v, &err), 0);
    CU_ASSERT_TRUE(inventory_note(v, note(1, "h", 1, false)));
    inventory_stop(v);
}

static const struct test TESTS[] = {
    {"what was noted is there after a restart", what_was_noted_is_there_after_a_restart},
    {"a broken file is moved aside", a_broken_file_is_moved_aside},
    {"a folder that is not there is lived with", a_folder_that_is_not_there_is_lived_with},
};

int main(void)
{
    return test_main("inventory", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}

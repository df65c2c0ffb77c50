// SPDX-License-Identifier: Apache-2.0
/*
 * `tocsin rules VERB ARGS` inside a test, with real files in its own folder. VERB is what includes this
 * defines first.
 */
#pragma once
#include "cli/verb.h"
#include "tests/lib/run.h"
#include <stdlib.h>
#include <string.h>

static char *out; // what it printed
static size_t out_size;
static struct err err;

static const char *path_of(const char *name)
{
    static char paths[4][400];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, 400, "%s/%s", test_tmpdir(), name);
    return path;
}

static void write_file(const char *name, const char *text)
{
    FILE *f = fopen(path_of(name), "we");
    CU_ASSERT_FATAL(f != NULL);
    fputs(text, f);
    CU_ASSERT_EQUAL(fclose(f), 0);
}

static int run(int argc, const char *const *args)
{
    char *argv[12], name[] = "tocsin", rules[] = "rules", verb[] = VERB;
    struct cli c = {.url = "", .color = false};
    free(out);
    out = NULL;
    c.out = open_memstream(&out, &out_size);
    CU_ASSERT_FATAL(c.out != NULL);
    argv[0] = name;
    argv[1] = rules;
    argv[2] = verb;
    for (int i = 0; i < argc; i++)
        argv[3 + i] = strdup(args[i]);
    err = (struct err){0};
    int rc = verb_main(&c, argc + 3, argv, &err);
    for (int i = 0; i < argc; i++)
        free(argv[3 + i]);
    fclose(c.out);
    return rc;
}
#define RUN(...)                                                                               \
    run((int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)),                         \
        (const char *[]){__VA_ARGS__})

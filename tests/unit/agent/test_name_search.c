// SPDX-License-Identifier: Apache-2.0
// Sockets that nobody has a name for yet, and a /proc made by hand in which one process holds one of them.
#include "agent/name_search.h"
#include "base/clock.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HELD 77 // inode

static const char *proc(void)
{
    static char root[600];
    char path[700];

    if (root[0])
        return root;
    snprintf(root, sizeof(root), "%s/proc", test_tmpdir());
    static const char *const FOLDERS[] = {"", "/1234", "/1234/fd"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "%s%s", root, FOLDERS[i]);
        mkdir(path, 0755);
    }
    snprintf(path, sizeof(path), "%s/1234/fd/3", root);
    CU_ASSERT_EQUAL(symlink("socket:[77]", path), 0);
    snprintf(path, sizeof(path), "%s/1234/comm", root);
    FILE *f = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fputs("server\n", f);
    fclose(f);
    return root;
}

struct world {
    struct env env;
    struct sampler sampler;
    struct name_search search;
    uint64_t there[4]; // cookies
    size_t n;
    int over;
};

static bool has(const void *view, uint64_t cookie)
{
    const struct world *w = view;

    for (size_t i = 0; i < w->n; i++)
        if (w->there[i] == cookie)
            return true;
    return false;
}

static void on_over(void *ctx)
{
    struct world *w = ctx;

    w->over++;
}

static void world_open(struct world *w)
{
    *w = (struct world){.env = {.loop = loop_new(), .proc = proc(), .cgroup = test_tmpdir()}};
    w->env.clock = clock_system();
    w->sampler.env = &w->env;
    CU_ASSERT_EQUAL_FATAL(name_search_init(&w->search, &w->sampler, on_over, w), 0);
}

static void world_close(struct world *w)
{
    name_search_done(&w->search);
    loop_free(w->env.loop);
}

// The cookies are the inodes. Who waits for a name, NULL = there is no memory.
static struct naming_item *meet(struct world *w, uint64_t cookie)
{
    struct sockdiag d = {.cookie = cookie, .inode = (uint32_t)cookie, .local_port = 9};
    struct naming *n = name_search_naming(&w->search);

    return n ? naming_add(n, &d, false, false) : NULL;
}

// One whole look at who is there, and a round of the loop.
static void look(struct world *w)
{
    for (size_t i = 0; i < w->n; i++)
        meet(w, w->there[i]);
    name_search_looked(&w->search, has, w);
    loop_once(w->env.loop, 0);
}

// The loop's clock is the real one: until somebody has been searched for, or for 20 s.
static bool searched(struct world *w, int searches)
{
    struct clock real = clock_system();
    int64_t until = clock_mono_ns(&real) + 20 * NS_PER_S;

    while (w->over < searches && clock_mono_ns(&real) < until)
        loop_once(w->env.loop, 50);
    return w->over == searches;
}

static void finds(void)
{
    struct world w;

    world_open(&w);
    w.there[w.n++] = HELD;
    w.there[w.n++] = 99;
    look(&w);
    CU_ASSERT_TRUE_FATAL(searched(&w, 1));
    struct naming_item *i = meet(&w, HELD);
    CU_ASSERT_PTR_NOT_NULL_FATAL(i);
    CU_ASSERT_STRING_EQUAL(i->name, "server");
    CU_ASSERT_EQUAL(i->n_owners, 1);
    CU_ASSERT_EQUAL(i->owners[0], 1234);
    i = meet(&w, 99);
    CU_ASSERT_PTR_NOT_NULL_FATAL(i);
    CU_ASSERT_TRUE(i->searched); // of its port, or what its owner makes of it
    CU_ASSERT_EQUAL(i->n_owners, 0);
    world_close(&w);
}

static void gives_back(void)
{
    struct world w;

    world_open(&w);
    CU_ASSERT_FALSE(w.search.has_naming);
    look(&w);
    CU_ASSERT_FALSE(w.search.has_naming); // nobody is there
    w.there[w.n++] = HELD;
    look(&w);
    CU_ASSERT_TRUE_FATAL(searched(&w, 1));
    look(&w);
    CU_ASSERT_TRUE(w.search.has_naming); // nobody has taken the name yet
    naming_drop(name_search_naming(&w.search), meet(&w, HELD));
    name_search_looked(&w.search, has, &w);
    CU_ASSERT_FALSE(w.search.has_naming);
    // Who goes before it has its name takes the memory along.
    look(&w);
    CU_ASSERT_TRUE(w.search.has_naming);
    w.n = 0;
    look(&w);
    CU_ASSERT_FALSE(w.search.has_naming);
    world_close(&w);
}

static void pays(void)
{
    struct world w;

    world_open(&w);
    w.there[w.n++] = HELD;
    look(&w);
    CU_ASSERT_TRUE_FATAL(searched(&w, 1));
    // As if it had taken long.
    w.search.after_ns = loop_now_ns(w.env.loop) + 3600 * NS_PER_S;
    w.there[w.n++] = 99;
    look(&w);
    for (int i = 0; i < 10; i++)
        loop_once(w.env.loop, 0);
    CU_ASSERT_EQUAL(w.over, 1);
    CU_ASSERT_FALSE(meet(&w, 99)->searched);
    w.search.after_ns = 0;
    look(&w);
    CU_ASSERT_TRUE(searched(&w, 2));
    CU_ASSERT_TRUE(meet(&w, 99)->searched);
    // What it took counts against the next one.
    CU_ASSERT_TRUE(w.search.after_ns > loop_now_ns(w.env.loop));
    world_close(&w);
}

static void short_of_memory(void)
{
    bool hit = true;

    for (int nth = 1; hit && nth < 20; nth++) {
        struct world w;
        world_open(&w);
        w.there[w.n++] = HELD;
        oom_fail_at(nth);
        look(&w);
        hit = oom_stop();
        look(&w); // again, with memory
        CU_ASSERT_TRUE(searched(&w, 1));
        world_close(&w);
    }
    CU_ASSERT_FALSE(hit);
}

static const struct test TESTS[] = {
    {"a socket gets the name of who holds it, one that nobody holds is searched once", finds},
    {"there is memory only while somebody waits", gives_back},
    {"what a search took is waited for before the next", pays},
    {"short of memory it is done at the next look", short_of_memory},
};

int main(void)
{
    return test_main("name_search", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}

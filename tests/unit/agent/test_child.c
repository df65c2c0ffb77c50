// SPDX-License-Identifier: Apache-2.0
// Programs run as plugins are: real processes, on a loop that is turned until they have ended.
#include "agent/child.h"
#include "base/clock.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct {
    struct loop *loop;
    struct child *child;
    int ends, code;
    enum child_how how;
    char out[65536], err[CHILD_ERRORS_MAX + 1];
    size_t n_out;
    bool cut;
} w;

static void on_end(void *ctx, const struct child_end *end)
{
    CU_ASSERT_PTR_EQUAL(ctx, &w);
    w.ends++;
    w.how = end->how;
    w.code = end->code;
    w.n_out = end->n_output;
    w.cut = end->cut;
    memcpy(w.out, end->output, end->n_output);
    w.out[end->n_output] = '\0';
    snprintf(w.err, sizeof(w.err), "%.*s", (int)end->n_errors, end->errors);
    child_free(w.child);
    w.child = NULL;
}

static bool start(const char *script, int64_t timeout_ms, size_t output_max)
{
    static char SHELL[] = "/bin/sh", DASH_C[] = "-c", ENV[] = "TEST=x";
    char *argv[] = {SHELL, DASH_C, (char *)(uintptr_t)script, NULL};
    char *env[] = {ENV, NULL};
    struct err err;
    struct child_options o = {.argv = argv,
        .env = env,
        .timeout_ms = timeout_ms,
        .output_max = output_max,
        .errors_apart = true,
        .alone = true};
    memset(&w.ends, 0, sizeof(w) - offsetof(__typeof__(w), ends));
    w.child = child_start(w.loop, &o, on_end, &w, &err);
    return w.child != NULL;
}

static void run_script(const char *script, int64_t timeout_ms, size_t output_max)
{
    w.loop = loop_new();
    CU_ASSERT_FATAL(start(script, timeout_ms, output_max));
    while (!w.ends)
        loop_once(w.loop, -1);
    loop_free(w.loop);
}

static size_t open_fds(void)
{
    size_t n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n;
}

static void output(void)
{
    run_script("echo out; echo wrong >&2; echo $TEST; exit 2", 20000, 4096);
    CU_ASSERT_EQUAL(w.how, CHILD_EXITED);
    CU_ASSERT_EQUAL(w.code, 2);
    CU_ASSERT_STRING_EQUAL(w.out, "out\nx\n");
    CU_ASSERT_STRING_EQUAL(w.err, "wrong\n");
    CU_ASSERT_FALSE(w.cut);
}

static void bounded(void)
{
    run_script("yes | head -c 3000000; yes | head -c 100000 >&2; exit 1", 20000, 1000);
    CU_ASSERT_EQUAL(w.code, 1);
    CU_ASSERT_EQUAL(w.n_out, 1000);
    CU_ASSERT_TRUE(w.cut);
    CU_ASSERT_EQUAL(strlen(w.err), CHILD_ERRORS_MAX);
    run_script("head -c 60000 /dev/zero", 20000, 60000);
    CU_ASSERT_EQUAL(w.n_out, 60000);
    CU_ASSERT_FALSE(w.cut);
}

// One that waits for init to reap it is dead.
static bool alive(const char *pid)
{
    char path[64], text[512] = "";
    snprintf(path, sizeof(path), "/proc/%d/stat", atoi(pid));
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
    fclose(f);
    return text[0] && !strstr(text, ") Z ");
}

static void timeout_kills_all(void)
{
    run_script("trap '' TERM; sleep 600 & echo $!; wait; sleep 600", 100, 4096);
    CU_ASSERT_EQUAL(w.how, CHILD_TIMED_OUT);
    CU_ASSERT_TRUE(atoi(w.out) > 1);
    for (int i = 0; i < 1000 && alive(w.out); i++) // SIGKILL is not waited for
        usleep(1000);
    CU_ASSERT_FALSE(alive(w.out));
}

static void nothing_is_left(void)
{
    // A helper that holds the pipe keeps nobody waiting, and goes.
    run_script("sleep 600 & echo $!", 20000, 4096);
    CU_ASSERT_EQUAL(w.how, CHILD_EXITED);
    for (int i = 0; i < 1000 && alive(w.out); i++)
        usleep(1000);
    CU_ASSERT_FALSE(alive(w.out));
}

static void no_leaks(void)
{
    int extra = open("/dev/null", O_RDONLY); // not close-on-exec
    size_t before = open_fds();
    for (int i = 0; i < 20; i++)
        run_script("ls /proc/self/fd | wc -l", 20000, 4096);
    CU_ASSERT_EQUAL(atoi(w.out), 4); // three, and that of ls itself
    CU_ASSERT_EQUAL(open_fds(), before);
    CU_ASSERT_EQUAL(waitpid(-1, NULL, WNOHANG), -1);
    CU_ASSERT_EQUAL(errno, ECHILD);
    close(extra);
}

static void not_there(void)
{
    static char NAME[] = "/no/such/program";
    char *argv[] = {NAME, NULL}, *env[] = {NULL};
    struct child_options o = {
        .argv = argv, .env = env, .timeout_ms = 1000, .output_max = 100, .errors_apart = true};
    w.loop = loop_new();
    w.ends = 0;
    w.child = child_start(w.loop, &o, on_end, &w, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(w.child);
    while (!w.ends)
        loop_once(w.loop, -1);
    loop_free(w.loop);
    CU_ASSERT_EQUAL(w.code, 127);
    CU_ASSERT_STRING_EQUAL(w.err, "cannot run /no/such/program: No such file or directory\n");
}

static void freed_while_running(void)
{
    w.loop = loop_new();
    CU_ASSERT_FATAL(start("trap '' TERM; sleep 600", 20000, 100));
    child_free(w.child);
    loop_free(w.loop);
    CU_ASSERT_EQUAL(waitpid(-1, NULL, WNOHANG), -1);
}

static void no_memory(void)
{
    for (int nth = 1;; nth++) {
        w.loop = loop_new();
        oom_fail_at(nth);
        bool ok = start("exit 0", 20000, 4096);
        bool hit = oom_stop();
        while (ok && !w.ends)
            loop_once(w.loop, -1);
        loop_free(w.loop);
        if (!hit)
            break;
        CU_ASSERT_FALSE(ok);
        CU_ASSERT_EQUAL(waitpid(-1, NULL, WNOHANG), -1);
    }
}

static const struct test TESTS[] = {
    {"output, errors and exit status are told", output},
    {"what is printed beyond the bound is read and dropped", bounded},
    {"at the timeout the whole group goes, whatever it ignores", timeout_kills_all},
    {"a helper left behind is killed and keeps nobody waiting", nothing_is_left},
    {"twenty runs leave no descriptor and no zombie, and get none of ours", no_leaks},
    {"what cannot be run says so", not_there},
    {"one that is freed while it runs is killed and reaped", freed_while_running},
    {"without memory nothing runs", no_memory},
};

int main(void)
{
    return test_main("child", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}

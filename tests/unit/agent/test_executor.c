// SPDX-License-Identifier: Apache-2.0
// The executor as a process, spoken to over its socket as the agent does.
#include "agent/executor.h"
#include "base/clock.h"
#include "base/log.h"
#include "tests/lib/run.h"
#include "wire/decode.h"
#include "wire/encode.h"
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SH "/bin/sh" // of the test's own actions, which say what is run
static const struct repair_action LIST[] = {
    {.name = "say",
        .argv = {SH, "-c", "echo \"$0 $TOCSIN_PARAMETER_service\" >&2; exit 3", "{service}"},
        .n_argv = 4,
        .timeout_ms = 20000,
        .max_per_hour = 60,
        .parameters = {{"service", "[a-z]+"}},
        .n_parameters = 1},
    {.name = "long",
        .argv = {SH, "-c", "trap '' TERM; sleep 600 & echo $!; wait; sleep 600"},
        .n_argv = 3,
        .timeout_ms = 200,
        .max_per_hour = 60},
    {.name = "much",
        .argv = {SH, "-c", "yes | head -c 3000000"},
        .n_argv = 3,
        .timeout_ms = 20000,
        .max_per_hour = 60},
    {.name = "none",
        .argv = {"/no/such/program"},
        .n_argv = 1,
        .timeout_ms = 20000,
        .max_per_hour = 60},
    {.name = "who",
        .argv = {SH, "-c",
            "grep -E '^Cap(Eff|Amb)|^SigIgn' /proc/self/status; env | sort; pwd"},
        .n_argv = 3,
        .timeout_ms = 20000,
        .max_per_hour = 60},
    {.name = "leave",
        .argv = {SH, "-c", "(sleep 1; echo x; echo alive >$0/left) & exit 0", "{dir}"},
        .n_argv = 4,
        .timeout_ms = 20000,
        .max_per_hour = 60,
        .parameters = {{"dir", "/.*"}},
        .n_parameters = 1},
};
#define N_LIST (sizeof(LIST) / sizeof(LIST[0]))

static struct {
    struct executor e;
    char dir[64];
    struct arena arena;
    struct wire_repair_result result;
} t;

static int64_t now_ns(void)
{
    struct clock c = clock_system();
    return clock_mono_ns(&c);
}

static void start(void)
{
    struct err err;
    CU_ASSERT_EQUAL_FATAL(executor_start(LIST, N_LIST, t.dir, &t.e, &err), 0);
}

static void open_one(void)
{
    snprintf(t.dir, sizeof(t.dir), "/tmp/tocsin-executor-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(t.dir));
    arena_init(&t.arena, 1 << 20);
    start();
}

// Closes the agent's end; the executor ends by itself.
static void stop(void)
{
    int status = -1;
    close(t.e.fd);
    CU_ASSERT_EQUAL(waitpid(t.e.pid, &status, 0), t.e.pid);
    CU_ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void close_one(void)
{
    char path[96];
    stop();
    snprintf(path, sizeof(path), "%s/repairs", t.dir);
    unlink(path);
    snprintf(path, sizeof(path), "%s/left", t.dir);
    unlink(path);
    rmdir(t.dir);
    arena_done(&t.arena);
}

static void ask_at(
    const char *id, const char *action, const char *name, const char *value, int64_t expires_ns)
{
    struct wire_label l = {name, value};
    struct wire_repair r = {
        .id = id, .action = action, .parameters = &l, .n_parameters = name ? 1 : 0};
    struct buf b;
    buf_init(&b, EXECUTOR_PACKET_MAX);
    for (int i = 0; i < EXECUTOR_EXPIRY; i++)
        buf_addc(&b, (char)((uint64_t)expires_ns >> 8 * i));
    CU_ASSERT_EQUAL_FATAL(repair_encode(&r, &b), 0);
    CU_ASSERT_EQUAL(send(t.e.fd, b.data, b.len, MSG_NOSIGNAL), (ssize_t)b.len);
    buf_done(&b);
}

static void ask(const char *id, const char *action, const char *name, const char *value)
{
    ask_at(id, action, name, value, now_ns() + 10 * NS_PER_S);
}

// The next answer.
static enum repair_outcome next(void)
{
    static uint8_t packet[EXECUTOR_PACKET_MAX];
    struct pollfd p = {t.e.fd, POLLIN, 0};
    CU_ASSERT_EQUAL_FATAL(poll(&p, 1, 30000), 1);
    ssize_t n = recv(t.e.fd, packet, sizeof(packet), 0);
    CU_ASSERT_TRUE_FATAL(n > 0);
    arena_reset(&t.arena);
    CU_ASSERT_EQUAL_FATAL(
        repair_result_decode(packet, (size_t)n, &t.arena, &t.result, NULL), 0);
    return t.result.outcome;
}

static bool says(const char *text)
{
    char out[WIRE_REPAIR_OUTPUT_MAX + 1] = "";
    memcpy(out, t.result.output, t.result.n_output);
    if (strstr(out, text))
        return true;
    printf("output: %s\n", out);
    return false;
}

static void runs_and_tells(void)
{
    open_one();
    ask("k/1", "say", "service", "nginx");
    CU_ASSERT_EQUAL(next(), REPAIR_STARTED);
    CU_ASSERT_EQUAL(next(), REPAIR_EXITED);
    CU_ASSERT_STRING_EQUAL(t.result.id, "k/1");
    CU_ASSERT_EQUAL(t.result.code, 3);
    CU_ASSERT_TRUE(says("nginx nginx\n"));
    ask("k/1", "say", "service", "nginx");
    CU_ASSERT_EQUAL(next(), REPAIR_EXITED);
    CU_ASSERT_TRUE(t.result.again && t.result.code == 3);
    // Another executor over the same folder knows it too.
    stop();
    start();
    ask("k/1", "say", "service", "nginx");
    CU_ASSERT_EQUAL(next(), REPAIR_EXITED);
    CU_ASSERT_TRUE(t.result.again && t.result.code == 3);
    close_one();
}

static void refuses(void)
{
    open_one();
    ask("k/1", "reboot", NULL, NULL);
    CU_ASSERT_EQUAL(next(), REPAIR_NOT_LISTED);
    ask("k/2", "say", "service", "a b");
    CU_ASSERT_EQUAL(next(), REPAIR_BAD_PARAMETER);
    ask_at("k/3", "say", "service", "nginx", now_ns() - 1);
    CU_ASSERT_EQUAL(next(), REPAIR_EXPIRED);
    CU_ASSERT_EQUAL(send(t.e.fd, "junk", 4, 0), 4); // passed over
    CU_ASSERT_EQUAL(send(t.e.fd, "12345678\xff\xff", 10, 0), 10);
    ask("k/4", "none", NULL, NULL);
    CU_ASSERT_EQUAL(next(), REPAIR_STARTED);
    CU_ASSERT_EQUAL(next(), REPAIR_EXITED);
    CU_ASSERT_EQUAL(t.result.code, 127);
    CU_ASSERT_TRUE(says("cannot run /no/such/program: No such file or directory"));
    close_one();
}

static void kills_what_takes_too_long(void)
{
    char pid[32] = "";
    open_one();
    ask("k/1", "long", NULL, NULL);
    CU_ASSERT_EQUAL(next(), REPAIR_STARTED);
    CU_ASSERT_EQUAL(t.result.duration_ms, 200);
    ask("k/2", "long", NULL, NULL);
    CU_ASSERT_EQUAL(next(), REPAIR_BUSY);
    CU_ASSERT_EQUAL(next(), REPAIR_TIMED_OUT);
    // It ignored SIGTERM; its child went with it.
    memcpy(pid, t.result.output, t.result.n_output < 31 ? t.result.n_output : 31);
    int child = atoi(pid);
    CU_ASSERT_TRUE_FATAL(child > 1);
    for (int i = 0; i < 3000 && kill(child, 0) == 0; i++) {
        char path[64], state = 0;
        snprintf(path, sizeof(path), "/proc/%d/stat", child);
        FILE *f = fopen(path, "re");
        if (f && fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
            state = 0;
        if (f)
            fclose(f);
        if (state == 'Z')
            break; // nobody here may wait for it
        poll(NULL, 0, 1);
        CU_ASSERT_TRUE(i < 2999);
    }
    close_one();
}

static void output_is_bounded_and_drained(void)
{
    open_one();
    ask("k/1", "much", NULL, NULL);
    CU_ASSERT_EQUAL(next(), REPAIR_STARTED);
    CU_ASSERT_EQUAL(next(), REPAIR_EXITED);
    CU_ASSERT_EQUAL(t.result.code, 0);
    CU_ASSERT_EQUAL(t.result.n_output, WIRE_REPAIR_OUTPUT_MAX);
    close_one();
}

static void an_action_gets_nothing_of_the_agents(void)
{
    open_one();
    setenv("TOCSIN_SECRET", "x", 1);
    ask("k/1", "who", NULL, NULL);
    CU_ASSERT_EQUAL(next(), REPAIR_STARTED);
    CU_ASSERT_EQUAL(next(), REPAIR_EXITED);
    // Two that the C library keeps for itself may come from whoever runs the tests.
    CU_ASSERT_TRUE(says("SigIgn:\t0000000000000000") || says("SigIgn:\t0000000180000000"));
    CU_ASSERT_TRUE(says("CapAmb:\t0000000000000000"));
    CU_ASSERT_TRUE(says("TOCSIN_ACTION=who"));
    t.result.n_output = t.result.n_output < 1024 ? t.result.n_output : 1024;
    char out[1025] = "";
    memcpy(out, t.result.output, t.result.n_output);
    CU_ASSERT_PTR_NULL(strstr(out, "SECRET"));
    CU_ASSERT_PTR_NULL(strstr(out, "HOME="));
    unsetenv("TOCSIN_SECRET");
    close_one();
}

static void what_it_leaves_behind_can_go_on_writing(void)
{
    char path[96];
    open_one();
    ask("k/1", "leave", "dir", t.dir);
    CU_ASSERT_EQUAL(next(), REPAIR_STARTED);
    CU_ASSERT_EQUAL(next(), REPAIR_EXITED);
    CU_ASSERT_EQUAL(t.result.code, 0);
    snprintf(path, sizeof(path), "%s/left", t.dir);
    int looks = 0;
    while (access(path, R_OK) == -1 && looks++ < 20000)
        poll(NULL, 0, 1);
    CU_ASSERT_TRUE(looks < 20000);
    close_one();
}

static const struct test TESTS[] = {
    {"an action is run with its parameters, told, and not run again", runs_and_tells},
    {"what is not listed, does not match or is too old is refused", refuses},
    {"what takes too long is killed with all of its group", kills_what_takes_too_long},
    {"output is bounded, and drained beyond that", output_is_bounded_and_drained},
    {"an action gets no capability, signal or variable of the agent",
        an_action_gets_nothing_of_the_agents},
    {"a service that an action leaves behind can go on writing",
        what_it_leaves_behind_can_go_on_writing},
};
int main(void)
{
    log_open("test", LOG_LEVEL_ERROR);
    return test_main("executor", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}

// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"
#include "tests/lib/run.h"
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char captured[65536];
static int saved_stderr = -1, capture_fd = -1;

static void capture_begin(void)
{
    char path[300];
    snprintf(path, sizeof(path), "%s/stderr", test_tmpdir());
    capture_fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    saved_stderr = dup(STDERR_FILENO);
    dup2(capture_fd, STDERR_FILENO);
}

static const char *capture_end(void)
{
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    ssize_t n = pread(capture_fd, captured, sizeof(captured) - 1, 0);
    captured[n > 0 ? n : 0] = '\0';
    close(capture_fd);
    return captured;
}

static size_t lines(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += *s == '\n';
    return n;
}

static void writes_logfmt(void)
{
    unsetenv("JOURNAL_STREAM");
    log_open("tocsin-test", LOG_LEVEL_INFO);
    capture_begin();
    log_warn("push_failed", "error=%s retry_ms=%d", log_q("refused by \"x\""), 412);
    log_debug("hidden", "a=1");
    log_info("plain", "");
    const char *s = capture_end();
    CU_ASSERT_EQUAL(lines(s), 2);
    CU_ASSERT_EQUAL(s[23], 'Z');
    CU_ASSERT_PTR_NOT_NULL(strstr(s, "Z warn event=push_failed program=tocsin-test "
                                     "error=\"refused by \\\"x\\\"\" retry_ms=412\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(s, " info event=plain program=tocsin-test\n"));
}

static void one_event_is_one_line(void)
{
    static char large[10000];
    memset(large, 'v', sizeof(large) - 1);
    log_open("t", LOG_LEVEL_INFO);
    capture_begin();
    log_info("forged", "value=%s", "a\nb \x1b[31m error event=fake");
    log_info("large", "value=%s", large);
    const char *s = capture_end();
    CU_ASSERT_EQUAL(lines(s), 2);
    CU_ASSERT_PTR_NULL(strchr(s, '\x1b'));
    CU_ASSERT_EQUAL(s[strlen(s) - 1], '\n');
}

static void repeats_are_folded(void)
{
    log_open("t", LOG_LEVEL_INFO);
    struct log_site site = {0};
    capture_begin();
    for (int i = 0; i < 100; i++)
        log_write(&site, LOG_LEVEL_INFO, "busy", "i=%d", i);
    site.window_start_ns -= 11000000000LL; // 11 s later
    log_write(&site, LOG_LEVEL_INFO, "busy", "i=last");
    const char *s = capture_end();
    CU_ASSERT_EQUAL(lines(s), 11);
    CU_ASSERT_PTR_NOT_NULL(strstr(s, "folded=90 i=last"));
}

static void the_journal_gets_priorities(void)
{
    struct stat st;
    char value[64];
    capture_begin();
    fstat(STDERR_FILENO, &st);
    snprintf(value, sizeof(value), "%llu:%llu", (unsigned long long)st.st_dev,
        (unsigned long long)st.st_ino);
    setenv("JOURNAL_STREAM", value, 1);
    log_open("t", LOG_LEVEL_INFO);
    log_error("bad", "a=1");
    // Another stream than ours: an ordinary line.
    setenv("JOURNAL_STREAM", "1:1", 1);
    log_open("t", LOG_LEVEL_INFO);
    log_error("bad", "a=2");
    const char *s = capture_end();
    unsetenv("JOURNAL_STREAM");
    CU_ASSERT_EQUAL(strncmp(s, "<3>event=bad a=1\n20", 19), 0);
}

static void quotes_and_cuts_values(void)
{
    static char large[2000];
    memset(large, '"', sizeof(large) - 1);
    const char *s = log_q(large);
    CU_ASSERT_TRUE(strlen(s) < 512);
    CU_ASSERT_STRING_EQUAL(s + strlen(s) - 4, "...\"");
    CU_ASSERT_STRING_EQUAL(log_q("a\\b\nc"), "\"a\\\\b\\nc\"");
    CU_ASSERT_STRING_EQUAL(log_q(NULL), "\"\"");
    const char *first = log_q("first");
    for (int i = 0; i < 7; i++)
        log_q("other");
    CU_ASSERT_STRING_EQUAL(first, "\"first\"");
}

static void names_levels(void)
{
    CU_ASSERT_EQUAL(log_level_parse("debug"), LOG_LEVEL_DEBUG);
    CU_ASSERT_EQUAL(log_level_parse("error"), LOG_LEVEL_ERROR);
    CU_ASSERT_EQUAL(log_level_parse("loud"), -1);
}

static const struct test TESTS[] = {
    {"writes logfmt lines from its level up", writes_logfmt},
    {"one event is one line whatever a value holds", one_event_is_one_line},
    {"repeats of one call site are folded into a count", repeats_are_folded},
    {"the journal gets priorities, only if stderr is its stream", the_journal_gets_priorities},
    {"quotes and cuts values", quotes_and_cuts_values},
    {"names levels", names_levels},
};

int main(void)
{
    return test_main("log", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}

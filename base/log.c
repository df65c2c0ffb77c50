// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"
#include "base/clock.h"
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FOLD_WINDOW_NS (10 * NS_PER_S)
#define FOLD_AFTER     10
#define LINE_MAX_BYTES 4096
#define VALUE_MAX      512

static char log_program[32];
static bool log_journal;
// Read by every thread, written by log_open.
static _Atomic int log_level = LOG_LEVEL_INFO;

static const char *const NAMES[] = {"debug", "info", "warn", "error"};
// syslog's numbers for the journal.
static const int PRIORITIES[] = {7, 6, 4, 3};

int log_level_parse(const char *name)
{
    for (int i = 0; i < 4; i++)
        if (strcmp(NAMES[i], name) == 0)
            return i;
    return -1;
}

// systemd sets JOURNAL_STREAM to device:inode of the stream it gave us. A child whose stderr was
// redirected inherits the variable too, so it counts only if stderr really is that stream.
static bool stderr_is_journal(void)
{
    const char *s = getenv("JOURNAL_STREAM");
    unsigned long long dev, ino;
    struct stat st;
    char *end;
    if (!s)
        return false;
    dev = strtoull(s, &end, 10);
    if (*end != ':')
        return false;
    ino = strtoull(end + 1, &end, 10);
    return *end == '\0' && fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev &&
           st.st_ino == ino;
}

void log_level_set(enum log_level level)
{
    atomic_store(&log_level, (int)level);
}

void log_open(const char *program, enum log_level level)
{
    snprintf(log_program, sizeof(log_program), "%s", program);
    log_journal = stderr_is_journal();
    atomic_store(&log_level, (int)level);
}

// True if the line is to be written; *ret_folded = lines left out since the last one written.
static bool admit(struct log_site *site, unsigned *ret_folded)
{
    struct clock c = clock_system();
    int64_t now = clock_mono_ns(&c);
    *ret_folded = 0;
    if (site->count == 0 || now - site->window_start_ns > FOLD_WINDOW_NS) {
        if (site->count > FOLD_AFTER)
            *ret_folded = site->count - FOLD_AFTER;
        site->window_start_ns = now;
        site->count = 0;
    }
    site->count++;
    return site->count <= FOLD_AFTER;
}

static int put_head(char *line, size_t size, enum log_level level, const char *event)
{
    if (log_journal)
        return snprintf(line, size, "<%d>event=%s", PRIORITIES[level], event);
    struct clock c = clock_system();
    int64_t ms = clock_wall_ms(&c);
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    char stamp[40];
    gmtime_r(&seconds, &tm);
    strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
    return snprintf(
        line, size, "%s.%03dZ %s event=%s", stamp, (int)(ms % 1000), NAMES[level], event);
}

void log_write(
    struct log_site *site, enum log_level level, const char *event, const char *fmt, ...)
{
    char line[LINE_MAX_BYTES];
    unsigned folded;
    if ((int)level < atomic_load_explicit(&log_level, memory_order_relaxed) ||
        !admit(site, &folded))
        return;
    int saved_errno = errno;
    size_t room = sizeof(line) - 1; // for the newline
    int n = put_head(line, room, level, event);
    size_t len =
        n > 0 && (size_t)n < room / 2 ? (size_t)n : 0; // event names are short literals
    if (log_program[0] && !log_journal)
        len += (size_t)snprintf(line + len, room - len, " program=%s", log_program);
    if (folded > 0)
        len += (size_t)snprintf(line + len, room - len, " folded=%u", folded);
    if (fmt[0]) {
        line[len++] = ' ';
        va_list ap;
        va_start(ap, fmt);
        n = vsnprintf(line + len, room - len, fmt, ap);
        va_end(ap);
        size_t added = n > 0 ? (size_t)n : 0;
        len += added < room - len ? added : room - len - 1;
    }
    // One event is one line, whatever a value holds.
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7F)
            line[i] = ' ';
    line[len++] = '\n';
    // One write, so that lines of several threads do not mix. There is nobody to tell if it fails.
    ssize_t written = write(STDERR_FILENO, line, len);
    (void)written;
    errno = saved_errno;
}

const char *log_q(const char *value)
{
    static _Thread_local char buffers[8][VALUE_MAX];
    static _Thread_local unsigned next;
    char *out = buffers[next++ % 8], *p = out, *end = out + VALUE_MAX - 6;
    *p++ = '"';
    for (const char *s = value ? value : ""; *s; s++) {
        if (p >= end) {
            p = stpcpy(p, "...");
            break;
        }
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\') {
            *p++ = '\\';
            *p++ = (char)c;
        } else if (c == '\n') {
            p = stpcpy(p, "\\n");
        } else if (c < 0x20 || c == 0x7F) {
            *p++ = '?';
        } else {
            *p++ = (char)c;
        }
    }
    *p++ = '"';
    *p = '\0';
    return out;
}

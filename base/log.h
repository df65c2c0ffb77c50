// SPDX-License-Identifier: Apache-2.0
/*
 * The log: one line per event in logfmt, `event=` names are stable. The only global of the
 * program. Below main.c and the edges nothing logs: errors are returned.
 *
 *     2026-11-25T04:20:01.123Z warn event=push_failed error="connection refused" retry_ms=412
 *
 * Started by systemd (JOURNAL_STREAM) the time is left out and the level becomes <N>.
 * The same event more than 10 times in 10 s from one call site is folded into a count.
 */
#pragma once

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

void log_open(const char *program, enum log_level level);
void log_level_set(enum log_level level); // any thread
int log_level_parse(const char *name);    // -1 if unknown
struct log_site {
    long long window_start_ns;
    unsigned count;
};
// fmt holds the further logfmt pairs; use log_q() for values that may hold spaces or quotes.
void log_write(struct log_site *site, enum log_level level, const char *event, const char *fmt,
    ...) __attribute__((format(printf, 4, 5)));
// value quoted and cut for a logfmt pair, in one of 8 rotating thread-local buffers.
const char *log_q(const char *value);
#define log_event(level, event, ...)                                                           \
    do {                                                                                       \
        static _Thread_local struct log_site log_site_;                                        \
        log_write(&log_site_, level, event, __VA_ARGS__);                                      \
    } while (0)
#define log_debug(event, ...) log_event(LOG_LEVEL_DEBUG, event, __VA_ARGS__)
#define log_info(event, ...)  log_event(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define log_warn(event, ...)  log_event(LOG_LEVEL_WARN, event, __VA_ARGS__)
#define log_error(event, ...) log_event(LOG_LEVEL_ERROR, event, __VA_ARGS__)

// SPDX-License-Identifier: Apache-2.0
/*
 * One epoll loop per thread: descriptors, timers, and other threads' rings. Timers are absolute
 * monotonic nanoseconds in a heap; a late timer runs once, never in a bunch.
 *
 * Everything belongs to the thread that calls loop_run, except loop_stop. A callback may remove
 * itself or any other watch, and events already fetched for a removed watch are not delivered.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct loop;
struct loop_io;
struct loop_timer;
typedef void loop_io_fn(void *ctx, int fd, uint32_t epoll_events);
typedef void loop_timer_fn(void *ctx, int64_t due_ns, int64_t now_ns);

struct loop *loop_new(void);    // NULL, errno set
void loop_free(struct loop *l); // with every watch and timer still in it
// Runs until loop_stop; 0 or -errno of epoll_wait.
int loop_run(struct loop *l);
// One round: waits at most timeout_ms (-1 = as long as no timer is due). For tests.
int loop_once(struct loop *l, int timeout_ms);
void loop_stop(struct loop *l);            // any thread, and signal handlers
int64_t loop_now_ns(const struct loop *l); // CLOCK_MONOTONIC at the start of this round

struct loop_io *loop_io_add(
    struct loop *l, int fd, uint32_t epoll_events, loop_io_fn *fn, void *ctx);
int loop_io_mod(struct loop_io *io, uint32_t epoll_events);
void loop_io_del(struct loop_io *io); // NULL allowed; does not close fd

struct loop_timer *loop_timer_new(struct loop *l, loop_timer_fn *fn, void *ctx);
void loop_timer_set(struct loop_timer *t, int64_t due_ns); // replaces; allocates nothing
void loop_timer_stop(struct loop_timer *t);
void loop_timer_free(struct loop_timer *t); // NULL allowed
// Called with each signal of the set (blocked for the thread) as it arrives.
int loop_signals(
    struct loop *l, const int *signals, int n, void (*fn)(void *ctx, int sig), void *ctx);

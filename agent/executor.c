// SPDX-License-Identifier: Apache-2.0
#include "agent/executor.h"
#include "agent/child.h"
#include "agent/repair_book.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "wire/decode.h"
#include "wire/encode.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RUNNING_MAX   (REPAIR_ACTIONS_MAX * 2) // half of them may be services that hold a pipe
#define REQUEST_MAX   (64u << 10)              // memory of one request
#define FILE_READ_MAX (2u << 20)

// The executor of one agent.
struct desk {
    int fd;
    struct loop *loop;
    struct loop_io *io;
    const struct repair_action *list;
    size_t n;
    struct repair_book *book;
    char path[PATH_MAX];
    int file; // -1: not opened yet
    bool file_failed, closing;
    struct arena arena; // of one request
    struct running {
        struct desk *desk;
        struct child *child; // NULL: free
        const struct repair_action *action;
        char id[WIRE_REPAIR_ID_MAX + 1];
    } running[RUNNING_MAX];
};

static int64_t mono_ns(void)
{
    struct clock c = clock_system();
    return clock_mono_ns(&c);
}

static int64_t wall_ms(void)
{
    struct clock c = clock_system();
    return clock_wall_ms(&c);
}

// --- the book's file -----------------------------------------------------------------------------

static void file_failed(struct desk *d, int error)
{
    if (!d->file_failed)
        log_error("repairs_not_kept", "file=%s error=%s hint=%s", log_q(d->path),
            log_q(strerror(error)),
            log_q(
                "a restart of the agent would not know what was run; it is run all the same"));
    d->file_failed = true;
}

// On disk when it returns: it is what keeps a request from being run twice.
static void write_down(struct desk *d, const char *id)
{
    struct buf line;
    buf_init(&line, REPAIR_LINE_MAX);
    if (d->file == -1)
        d->file = open(d->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (repair_book_line(d->book, id, &line) < 0)
        file_failed(d, ENOMEM);
    else if (d->file == -1 || write(d->file, line.data, line.len) != (ssize_t)line.len ||
             fdatasync(d->file) == -1)
        file_failed(d, errno ? errno : EIO);
    else
        d->file_failed = false;
    buf_done(&line);
}

static void read_file(struct desk *d)
{
    struct buf text;
    size_t lines = 0, bad = 0;
    buf_init(&text, FILE_READ_MAX);
    int rc = buf_add_path(&text, d->path);
    if (rc < 0 && rc != -ENOENT)
        file_failed(d, -rc);
    for (const char *at = buf_cstr(&text); rc == 0 && *at;) {
        char line[REPAIR_LINE_MAX];
        size_t len = strcspn(at, "\n");
        snprintf(line, sizeof(line), "%.*s", (int)(len < REPAIR_LINE_MAX ? len : 0), at);
        bad += !repair_book_read(d->book, line, wall_ms());
        lines++;
        at += len + (at[len] == '\n');
    }
    if (bad)
        log_warn("repairs_damaged", "file=%s lines=%zu", log_q(d->path), bad);
    repair_book_opened(d->book);
    buf_reset(&text);
    // Short again: what is a day old is not in the book any more.
    if (lines > 2 * repair_book_count(d->book) + 64 && repair_book_print(d->book, &text) == 0) {
        char new[PATH_MAX + 8];
        snprintf(new, sizeof(new), "%s.new", d->path);
        int fd = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        bool ok = fd != -1 && write(fd, text.data, text.len) == (ssize_t)text.len &&
                  fsync(fd) == 0 && rename(new, d->path) == 0;
        if (!ok)
            file_failed(d, errno);
        if (fd != -1)
            close(fd);
    }
    buf_done(&text);
}

// --- requests ------------------------------------------------------------------------------------

static void answer(struct desk *d, const struct wire_repair_result *r)
{
    struct buf out;
    buf_init(&out, EXECUTOR_PACKET_MAX);
    // An answer that does not get through is asked for again.
    if (repair_result_encode(r, &out) == 0)
        (void)!send(d->fd, out.data, out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    buf_done(&out);
}

static void stop_if_done(struct desk *d)
{
    for (size_t i = 0; i < RUNNING_MAX; i++)
        if (d->running[i].child && child_running(d->running[i].child))
            return;
    if (d->closing)
        loop_stop(d->loop);
}

static enum repair_outcome outcome_of(enum child_how how)
{
    switch (how) {
    case CHILD_EXITED: return REPAIR_EXITED;
    case CHILD_KILLED: return REPAIR_KILLED;
    case CHILD_TIMED_OUT: return REPAIR_TIMED_OUT;
    }
    return REPAIR_FAILED;
}

static void ended(void *ctx, const struct child_end *end)
{
    struct running *r = ctx;
    struct wire_repair_result result = {.id = r->id,
        .outcome = outcome_of(end->how),
        .code = end->code,
        .duration_ms = (uint32_t)(end->duration_ns / NS_PER_MS),
        .output = (const uint8_t *)end->output,
        .n_output = end->n_output};
    char text[WIRE_REPAIR_OUTPUT_MAX + 1];
    repair_book_end(r->desk->book, &result);
    write_down(r->desk, r->id);
    snprintf(text, sizeof(text), "%.*s", (int)end->n_output, end->output);
    bool well = result.outcome == REPAIR_EXITED && end->code == 0;
    log_event(well ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "repair_ended",
        "action=%s id=%s outcome=%s code=%d duration_ms=%u output=%s", r->action->name, r->id,
        log_q(repair_outcome_name(result.outcome)), end->code, result.duration_ms, log_q(text));
    answer(r->desk, &result);
    stop_if_done(r->desk);
}

// A place for one more. NULL: all are taken.
static struct running *place(struct desk *d)
{
    struct running *held = NULL;
    for (size_t i = 0; i < RUNNING_MAX; i++) {
        struct running *r = &d->running[i];
        if (r->child && !child_open(r->child)) {
            child_free(r->child);
            r->child = NULL;
        }
        if (!r->child)
            return r;
        if (!child_running(r->child))
            held = r;
    }
    // Its service will find its output closed: there have been RUNNING_MAX of them.
    if (held) {
        child_free(held->child);
        held->child = NULL;
    }
    return held;
}

static int launch(
    struct desk *d, const struct repair_action *a, const struct wire_repair *r, struct err *err)
{
    char **argv, **env;
    struct running *at = place(d);
    err_set(err, "out of memory");
    if (!at || repair_arguments(a, r, &d->arena, &argv) < 0 ||
        repair_environment(a, r, &d->arena, &env) < 0)
        return -ENOMEM;
    at->desk = d;
    at->action = a;
    snprintf(at->id, sizeof(at->id), "%s", r->id);
    struct child_options o = {.argv = argv,
        .env = env,
        .user = a->user,
        .timeout_ms = a->timeout_ms,
        .output_max = WIRE_REPAIR_OUTPUT_MAX};
    at->child = child_start(d->loop, &o, ended, at, err);
    return at->child ? 0 : -EIO;
}

static void run(struct desk *d, const struct repair_action *a, const struct wire_repair *r)
{
    struct err err;
    struct wire_repair_result result = {
        .id = r->id, .outcome = REPAIR_STARTED, .duration_ms = (uint32_t)a->timeout_ms};
    write_down(d, r->id);
    if (launch(d, a, r, &err) == 0) {
        log_info("repair_started", "action=%s id=%s alert=%s", a->name, r->id,
            log_q(r->alert ? r->alert : ""));
        answer(d, &result);
        return;
    }
    err.msg[WIRE_DETAIL_MAX] = '\0';
    result =
        (struct wire_repair_result){.id = r->id, .outcome = REPAIR_FAILED, .reason = err.msg};
    repair_book_end(d->book, &result);
    write_down(d, r->id);
    log_error("repair_not_started", "action=%s id=%s error=%s", a->name, r->id, log_q(err.msg));
    answer(d, &result);
}

static void request(struct desk *d, const uint8_t *data, size_t len)
{
    struct wire_repair r;
    struct wire_repair_result result;
    struct err err = {0};
    uint64_t expires = 0;
    arena_reset(&d->arena);
    int rc = -EBADMSG;
    if (len >= EXECUTOR_EXPIRY)
        rc = repair_decode(data + EXECUTOR_EXPIRY, len - EXECUTOR_EXPIRY, &d->arena, &r, &err);
    if (rc < 0) {
        log_error("repair_request_broken", "error=%s", log_q(err.msg));
        return;
    }
    for (int i = EXECUTOR_EXPIRY - 1; i >= 0; i--)
        expires = expires << 8 | data[i];
    const struct repair_action *a =
        repair_book_ask(d->book, &r, (int64_t)expires, mono_ns(), wall_ms(), &result);
    if (a) {
        run(d, a, &r);
        return;
    }
    if (!result.again)
        log_warn("repair_refused", "action=%s id=%s outcome=%s reason=%s", r.action, r.id,
            log_q(repair_outcome_name(result.outcome)), log_q(result.reason));
    answer(d, &result);
}

static void on_packet(void *ctx, int fd, uint32_t events)
{
    struct desk *d = ctx;
    uint8_t packet[EXECUTOR_PACKET_MAX];
    (void)events;
    for (;;) {
        ssize_t n = recv(fd, packet, sizeof(packet), MSG_DONTWAIT);
        if (n > 0) {
            request(d, packet, (size_t)n);
            continue;
        }
        if (n == -1 && (errno == EAGAIN || errno == EINTR))
            return;
        break;
    }
    d->closing = true;
    loop_io_del(d->io);
    d->io = NULL;
    stop_if_done(d);
}

// Until the agent's end is closed. 0 or -errno.
static int serve(int fd, const struct repair_action *list, size_t n, const char *state_dir)
{
    struct desk *d = calloc(1, sizeof(*d));
    int rc = -ENOMEM;
    if (!d)
        return rc;
    d->fd = fd;
    d->file = -1;
    d->list = list;
    d->n = n;
    arena_init(&d->arena, REQUEST_MAX);
    snprintf(d->path, sizeof(d->path), "%s/repairs", state_dir);
    d->loop = loop_new();
    d->book = repair_book_new(list, n);
    d->io = d->loop ? loop_io_add(d->loop, fd, EPOLLIN, on_packet, d) : NULL;
    if (d->io && d->book) {
        read_file(d);
        rc = loop_run(d->loop);
    }
    for (size_t i = 0; i < RUNNING_MAX; i++)
        child_free(d->running[i].child);
    repair_book_free(d->book);
    loop_free(d->loop);
    arena_done(&d->arena);
    if (d->file != -1)
        close(d->file);
    free(d);
    return rc;
}

// --- the process ---------------------------------------------------------------------------------

// The agent may look into other processes; an action has no use for that. Root stays root.
static int give_up_capabilities(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == -1 && errno != EINVAL)
        return -errno;
    if (geteuid() == 0)
        return 0;
    return syscall(SYS_capset, &head, none) == -1 ? -errno : 0;
}

static void become_executor(
    int fd, const struct repair_action *list, size_t n, const char *state_dir)
{
    static const int IGNORED[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    for (size_t i = 0; i < sizeof(IGNORED) / sizeof(IGNORED[0]); i++)
        signal(IGNORED[i], SIG_IGN); // the agent's end is what ends this one
    signal(SIGCHLD, SIG_DFL);
    prctl(PR_SET_NAME, "tocsin-repairs", 0, 0, 0);
    int rc = give_up_capabilities();
    if (rc == 0)
        rc = serve(fd, list, n, state_dir);
    if (rc < 0)
        log_error("executor_ended", "error=%s", log_q(strerror(-rc)));
    _exit(rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

int executor_start(const struct repair_action *list, size_t n, const char *state_dir,
    struct executor *ret, struct err *err)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == -1) {
        int rc = -errno;
        err_set(err, "socketpair: %s", strerror(-rc));
        return rc;
    }
    pid_t pid = fork();
    if (pid == 0) {
        close(fds[0]);
        become_executor(fds[1], list, n, state_dir);
    }
    int why = errno;
    close(fds[1]);
    if (pid == -1) {
        close(fds[0]);
        err_set(err, "fork: %s", strerror(why));
        return -why;
    }
    *ret = (struct executor){fds[0], pid};
    return 0;
}

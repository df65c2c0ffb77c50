// SPDX-License-Identifier: Apache-2.0
#include "agent/child.h"
#include "base/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_NOT_RUN 127
#define WAIT_MS      200

// What comes out of one pipe.
struct stream {
    struct child *child;
    int fd; // -1: at its end
    struct loop_io *io;
    char *kept; // grows with what comes
    size_t n, cap, max;
    bool cut;
};

struct child {
    struct loop *loop;
    child_fn *done;
    void *ctx;
    pid_t pid; // 0: it was waited for
    int pid_fd;
    struct loop_io *pid_io;
    struct loop_timer *timer;
    struct stream out, err;
    bool alone, timed_out;
    int64_t begun_ns;
};

bool child_open(const struct child *c)
{
    return c->pid != 0 || c->out.fd != -1 || c->err.fd != -1;
}

bool child_running(const struct child *c)
{
    return c->pid != 0;
}

static void stream_close(struct stream *s)
{
    loop_io_del(s->io);
    s->io = NULL;
    if (s->fd != -1)
        close(s->fd);
    s->fd = -1;
}

void child_kill(struct child *c)
{
    if (c->pid)
        kill(-c->pid, SIGKILL);
}

// One that the kernel holds in a system call (a dead file server) is not waited for.
static void finish(struct child *c)
{
    struct pollfd p = {.fd = c->pid_fd, .events = POLLIN};
    child_kill(c);
    kill(c->pid, SIGKILL);
    if (p.fd != -1)
        (void)poll(&p, 1, WAIT_MS);
    waitpid(c->pid, NULL, p.fd == -1 ? 0 : WNOHANG);
}

void child_free(struct child *c)
{
    if (!c)
        return;
    if (c->alone && c->pid)
        finish(c);
    loop_io_del(c->pid_io);
    loop_timer_free(c->timer);
    if (c->pid_fd != -1)
        close(c->pid_fd);
    stream_close(&c->out);
    stream_close(&c->err);
    free(c->out.kept);
    free(c->err.kept);
    free(c);
}

// --- in the new process --------------------------------------------------------------------------

// To where the caller looks first.
static void fail(const char *what, const char *path)
{
    dprintf(STDERR_FILENO, "%s %s: %s\n", what, path, strerror(errno));
    _exit(EXIT_NOT_RUN);
}

static void become(const struct child_options *o, int out_fd, int err_fd)
{
    const struct child_user *u = &o->user;
    sigset_t none;
    sigemptyset(&none);
    for (int sig = 1; sig < NSIG; sig++)
        signal(sig, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0);
    int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null_fd == -1 || dup2(null_fd, STDIN_FILENO) == -1 ||
        dup2(out_fd, STDOUT_FILENO) == -1 || dup2(err_fd, STDERR_FILENO) == -1)
        _exit(EXIT_NOT_RUN);
    // Ours are all close-on-exec; what a library opened may not be.
    close_range(STDERR_FILENO + 1, UINT_MAX, 0);
    // The agent may look into other processes; a program has no use for that.
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    // Groups first: without the user's id they could not be set any more.
    if (u->name && (u->uid != geteuid() || u->gid != getegid()) &&
        (setgroups(u->n_groups, u->groups) == -1 || setresgid(u->gid, u->gid, u->gid) == -1 ||
            setresuid(u->uid, u->uid, u->uid) == -1))
        fail("cannot become user", u->name);
    umask(022);
    if (chdir("/") == -1)
        fail("cannot enter", "/");
    execve(o->argv[0], o->argv, o->env);
    fail("cannot run", o->argv[0]);
}

// --- watching it ---------------------------------------------------------------------------------

static bool stream_room(struct stream *s)
{
    if (s->n < s->cap)
        return true;
    size_t cap = s->cap ? s->cap * 2 : 1024;
    if (cap > s->max)
        cap = s->max;
    char *grown = cap > s->cap ? realloc(s->kept, cap) : NULL;
    if (!grown)
        return false;
    s->kept = grown;
    s->cap = cap;
    return true;
}

// Keeps the first bytes. False: it is at its end.
static bool drain(struct stream *s)
{
    char rest[4096];
    for (;;) {
        bool room = stream_room(s);
        ssize_t n =
            room ? read(s->fd, s->kept + s->n, s->cap - s->n) : read(s->fd, rest, sizeof(rest));
        if (n == 0 || (n == -1 && errno != EAGAIN && errno != EINTR))
            return false;
        if (n == -1 && errno == EAGAIN)
            return true;
        if (n > 0 && room)
            s->n += (size_t)n;
        if (n > 0 && !room) {
            s->cut = true;
            return true; // one that writes without end must not hold the loop
        }
    }
}

static void on_output(void *ctx, int fd, uint32_t events)
{
    struct stream *s = ctx;
    (void)fd;
    (void)events;
    if (!drain(s))
        stream_close(s);
}

// What is in the pipe when the process ends. Whoever holds it still is not listened to any more, and
// where nobody may, it is closed.
static void stream_last(struct stream *s, bool alone)
{
    if (s->fd != -1 && (!drain(s) || alone))
        stream_close(s);
    s->max = s->cap = 0;
}

static void on_exit_of_child(void *ctx, int fd, uint32_t events)
{
    struct child *c = ctx;
    siginfo_t info = {0};
    (void)fd;
    (void)events;
    // Before it is waited for: until then its number cannot be another's.
    if (c->timed_out || c->alone)
        kill(-c->pid, SIGKILL);
    if (waitid(P_PIDFD, (id_t)c->pid_fd, &info, WEXITED | WNOHANG) == -1 || info.si_pid == 0)
        return;
    c->pid = 0;
    loop_io_del(c->pid_io);
    c->pid_io = NULL;
    loop_timer_stop(c->timer);
    stream_last(&c->out, c->alone);
    stream_last(&c->err, c->alone);
    struct child_end end = {.how = c->timed_out                 ? CHILD_TIMED_OUT
                                   : info.si_code == CLD_EXITED ? CHILD_EXITED
                                                                : CHILD_KILLED,
        .code = info.si_status,
        .duration_ns = loop_now_ns(c->loop) - c->begun_ns,
        .output = c->out.n ? c->out.kept : "",
        .n_output = c->out.n,
        .errors = c->err.n ? c->err.kept : "",
        .n_errors = c->err.n,
        .cut = c->out.cut};
    c->done(c->ctx, &end); // may free c
}

static void on_timeout(void *ctx, int64_t due_ns, int64_t now_ns)
{
    struct child *c = ctx;
    (void)due_ns;
    kill(-c->pid, c->timed_out ? SIGKILL : SIGTERM);
    if (!c->timed_out)
        loop_timer_set(c->timer, now_ns + CHILD_KILL_MS * NS_PER_MS);
    c->timed_out = true;
}

static int pipe_open(struct stream *s, int *ret_write)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) == -1)
        return -errno;
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    s->fd = fds[0];
    *ret_write = fds[1];
    return 0;
}

static bool watch(struct child *c, bool errors)
{
    c->pid_fd = pidfd_open(c->pid, 0);
    c->pid_io =
        c->pid_fd == -1 ? NULL : loop_io_add(c->loop, c->pid_fd, EPOLLIN, on_exit_of_child, c);
    c->out.io = loop_io_add(c->loop, c->out.fd, EPOLLIN, on_output, &c->out);
    if (errors)
        c->err.io = loop_io_add(c->loop, c->err.fd, EPOLLIN, on_output, &c->err);
    return c->pid_io && c->out.io && (c->err.io || !errors);
}

struct child *child_start(struct loop *loop, const struct child_options *o, child_fn *done,
    void *ctx, struct err *err)
{
    int out_fd = -1, err_fd = -1, rc = -ENOMEM;
    struct child *c = calloc(1, sizeof(*c));
    if (!c)
        goto fail;
    *c = (struct child){.loop = loop,
        .done = done,
        .ctx = ctx,
        .alone = o->alone,
        .pid_fd = -1,
        .out = {.child = c, .fd = -1, .max = o->output_max},
        .err = {.child = c, .fd = -1, .max = CHILD_ERRORS_MAX}};
    c->timer = loop_timer_new(loop, on_timeout, c);
    if (!c->timer)
        goto fail;
    rc = pipe_open(&c->out, &out_fd);
    if (rc == 0 && o->errors_apart)
        rc = pipe_open(&c->err, &err_fd);
    if (rc < 0)
        goto fail;
    pid_t pid = fork();
    if (pid == 0)
        become(o, out_fd, err_fd == -1 ? out_fd : err_fd);
    if (pid == -1) {
        rc = -errno;
        goto fail;
    }
    c->pid = pid;
    setpgid(pid, pid); // both sides do it, so that neither has to wait for the other
    c->begun_ns = loop_now_ns(loop);
    if (!watch(c, o->errors_apart)) {
        // It cannot be watched, so it must not run.
        rc = -errno;
        c->alone = true;
        goto fail;
    }
    loop_timer_set(c->timer, c->begun_ns + o->timeout_ms * NS_PER_MS);
    close(out_fd);
    if (err_fd != -1)
        close(err_fd);
    return c;
fail:
    err_set(err, "cannot start %s: %s", o->argv[0], strerror(-rc));
    if (out_fd != -1)
        close(out_fd);
    if (err_fd != -1)
        close(err_fd);
    child_free(c);
    return NULL;
}

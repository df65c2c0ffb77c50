// SPDX-License-Identifier: Apache-2.0
#include "agent/repair_child.h"
#include "base/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_NOT_RUN 127

struct repair_child {
    struct loop *loop;
    const struct repair_action *action;
    repair_child_fn *done;
    void *ctx;
    pid_t pid; // 0: it was waited for
    int pid_fd, out_fd;
    struct loop_io *pid_io, *out_io;
    struct loop_timer *timer;
    bool timed_out;
    int64_t begun_ns;
    uint8_t output[WIRE_REPAIR_OUTPUT_MAX];
    size_t n_output;
};

bool repair_child_open(const struct repair_child *c)
{
    return c->pid != 0 || c->out_fd != -1;
}

bool repair_child_running(const struct repair_child *c)
{
    return c->pid != 0;
}

void repair_child_free(struct repair_child *c)
{
    if (!c)
        return;
    loop_io_del(c->pid_io);
    loop_io_del(c->out_io);
    loop_timer_free(c->timer);
    if (c->pid_fd != -1)
        close(c->pid_fd);
    if (c->out_fd != -1)
        close(c->out_fd);
    free(c);
}

// --- in the new process --------------------------------------------------------------------------

static void fail(const char *what, const char *path)
{
    dprintf(STDERR_FILENO, "%s %s: %s\n", what, path, strerror(errno));
    _exit(EXIT_NOT_RUN);
}

static void become(
    const struct repair_action *a, int out_fd, char *const *argv, char *const *env)
{
    sigset_t none;
    sigemptyset(&none);
    for (int sig = 1; sig < NSIG; sig++)
        signal(sig, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0);
    int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null_fd == -1 || dup2(null_fd, STDIN_FILENO) == -1 ||
        dup2(out_fd, STDOUT_FILENO) == -1 || dup2(out_fd, STDERR_FILENO) == -1)
        _exit(EXIT_NOT_RUN);
    // Groups first: without the user's id they could not be set any more.
    if (a->user && (a->uid != geteuid() || a->gid != getegid()) &&
        (initgroups(a->user, a->gid) == -1 || setresgid(a->gid, a->gid, a->gid) == -1 ||
            setresuid(a->uid, a->uid, a->uid) == -1))
        fail("cannot become user", a->user);
    umask(022);
    if (chdir("/") == -1)
        fail("cannot enter", "/");
    execve(argv[0], argv, env);
    fail("cannot run", argv[0]);
}

// --- watching it ---------------------------------------------------------------------------------

// Keeps the first bytes. False: it is at its end.
static bool drain(struct repair_child *c)
{
    uint8_t rest[4096];
    for (;;) {
        size_t room = sizeof(c->output) - c->n_output;
        ssize_t n = room ? read(c->out_fd, c->output + c->n_output, room)
                         : read(c->out_fd, rest, sizeof(rest));
        if (n == 0 || (n == -1 && errno != EAGAIN && errno != EINTR))
            return false;
        if (n == -1 && errno == EAGAIN)
            return true;
        if (n > 0 && room)
            c->n_output += (size_t)n;
        if (n > 0 && !room)
            return true; // one that writes without end must not hold the loop
    }
}

static void on_output(void *ctx, int fd, uint32_t events)
{
    struct repair_child *c = ctx;
    (void)events;
    if (drain(c))
        return;
    loop_io_del(c->out_io);
    c->out_io = NULL;
    close(fd);
    c->out_fd = -1;
}

static void on_exit_of_child(void *ctx, int fd, uint32_t events)
{
    struct repair_child *c = ctx;
    siginfo_t info = {0};
    (void)fd;
    (void)events;
    // Before it is waited for: until then its number cannot be another's.
    if (c->timed_out)
        kill(-c->pid, SIGKILL);
    if (waitid(P_PIDFD, (id_t)c->pid_fd, &info, WEXITED | WNOHANG) == -1 || info.si_pid == 0)
        return;
    c->pid = 0;
    loop_io_del(c->pid_io);
    c->pid_io = NULL;
    loop_timer_stop(c->timer);
    if (c->out_fd != -1)
        on_output(c, c->out_fd, 0);
    struct wire_repair_result r = {.outcome = c->timed_out                 ? REPAIR_TIMED_OUT
                                              : info.si_code == CLD_EXITED ? REPAIR_EXITED
                                                                           : REPAIR_KILLED,
        .code = info.si_status,
        .duration_ms = (uint32_t)((loop_now_ns(c->loop) - c->begun_ns) / NS_PER_MS),
        .output = c->output,
        .n_output = c->n_output};
    c->done(c->ctx, &r);
    c->n_output = sizeof(c->output); // whoever holds the pipe still is not listened to
}

static void on_timeout(void *ctx, int64_t due_ns, int64_t now_ns)
{
    struct repair_child *c = ctx;
    (void)due_ns;
    kill(-c->pid, c->timed_out ? SIGKILL : SIGTERM);
    if (!c->timed_out)
        loop_timer_set(c->timer, now_ns + CHILD_KILL_MS * NS_PER_MS);
    c->timed_out = true;
}

struct repair_child *repair_child_start(struct loop *loop, const struct repair_action *a,
    char *const *argv, char *const *env, repair_child_fn *done, void *ctx, struct err *err)
{
    int pipe_fds[2];
    struct repair_child *c = calloc(1, sizeof(*c));
    if (!c)
        goto no_memory;
    c->loop = loop;
    c->action = a;
    c->done = done;
    c->ctx = ctx;
    c->pid_fd = c->out_fd = -1;
    c->timer = loop_timer_new(loop, on_timeout, c);
    if (!c->timer)
        goto no_memory;
    if (pipe2(pipe_fds, O_CLOEXEC) == -1) {
        err_set(err, "pipe: %s", strerror(errno));
        goto fail;
    }
    c->out_fd = pipe_fds[0];
    fcntl(c->out_fd, F_SETFL, O_NONBLOCK);
    pid_t pid = fork();
    if (pid == 0)
        become(a, pipe_fds[1], argv, env);
    int why = errno;
    close(pipe_fds[1]);
    if (pid == -1) {
        err_set(err, "fork: %s", strerror(why));
        goto fail;
    }
    c->pid = pid;
    setpgid(pid, pid); // both sides do it, so that neither has to wait for the other
    c->begun_ns = loop_now_ns(loop);
    c->pid_fd = pidfd_open(pid, 0);
    c->pid_io =
        c->pid_fd == -1 ? NULL : loop_io_add(loop, c->pid_fd, EPOLLIN, on_exit_of_child, c);
    c->out_io = loop_io_add(loop, c->out_fd, EPOLLIN, on_output, c);
    if (!c->pid_io || !c->out_io) {
        // It cannot be watched, so it must not run.
        err_set(err, "cannot watch the process: %s", strerror(errno));
        kill(-pid, SIGKILL);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        goto fail;
    }
    loop_timer_set(c->timer, c->begun_ns + a->timeout_ms * NS_PER_MS);
    return c;
no_memory:
    err_set(err, "out of memory");
fail:
    repair_child_free(c);
    return NULL;
}

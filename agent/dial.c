// SPDX-License-Identifier: Apache-2.0
#include "agent/dial.h"
#include "agent/pulse.h"
#include "base/clock.h"
#include "base/listener.h"
#include <errno.h>
#include <poll.h>
#include <unistd.h>

bool dial_is_here(const struct sockaddr *to)
{
    return to->sa_family == AF_UNIX || address_loopback((const void *)to);
}

// 0: connected; EINPROGRESS: not yet; else why not.
static int begin(int fd, const struct sockaddr *to, socklen_t len)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    if (connect(fd, to, len) == 0)
        return 0;
    int error = errno; // poll has its own: a signal is no end of the connection
    if (error == EINPROGRESS && poll(&p, 1, 0) == 1 && p.revents == POLLOUT)
        return 0;
    return error;
}

int dial(struct pulse *pulse, const struct sockaddr *to, socklen_t len, int type,
    bool *ret_connected)
{
    struct clock c = clock_system();
    int fd = socket(to->sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1)
        return -errno;
    uint64_t begun = pulse_own_begin(pulse);
    int error = begin(fd, to, len);
    // One at a path is none the kernel's program counts: what it counted meanwhile is others'.
    bool counted = error == 0 && type == SOCK_STREAM && to->sa_family != AF_UNIX;
    pulse_own_end(pulse, begun, counted, clock_mono_ns(&c));
    if (error && error != EINPROGRESS && !(error == EAGAIN && to->sa_family == AF_UNIX)) {
        close(fd);
        return -error;
    }
    *ret_connected = error == 0;
    return fd;
}

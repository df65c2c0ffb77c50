// SPDX-License-Identifier: Apache-2.0
#include "collector/state_dir.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

int state_dir_take(const char *path, int *ret_fd, struct err *err)
{
    // Its parents are an administrator's business, not ours.
    int rc = mkdir(path, 0700) == -1 && errno != EEXIST ? -errno : 0;
    // The directory itself: that needs no room on the disk and no file that somebody may remove.
    int fd = rc == 0 ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (rc == 0 && fd == -1)
        rc = -errno;
    if (rc == 0 && flock(fd, LOCK_EX | LOCK_NB) == -1)
        rc = errno == EWOULDBLOCK ? -EBUSY : -errno;
    *ret_fd = fd;
    if (rc == 0)
        return 0;
    if (fd != -1)
        close(fd);
    *ret_fd = -1;
    if (rc == -EBUSY) {
        err_set(err, "%s: another tocsin-collector runs with this state directory", path);
        return rc;
    }
    err_set(err, "%s: %s", path, strerror(-rc));
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
#include "agent/procfile.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void procfile_init(struct procfile *f)
{
    *f = (struct procfile){.fd = -1};
}

int procfile_open(struct procfile *f, const char *root, const char *path)
{
    char full[PATH_MAX];
    if (snprintf(full, sizeof(full), "%s/%s", root, path) >= (int)sizeof(full))
        return -ENAMETOOLONG;
    int fd = open(full, O_RDONLY | O_CLOEXEC);
    if (fd == -1)
        return -errno;
    if (f->fd != -1)
        close(f->fd);
    f->fd = fd;
    return 0;
}

int procfile_read(struct procfile *f)
{
    f->len = 0;
    if (f->fd == -1)
        return -EBADF;
    for (;;) {
        // One byte stays free for the NUL; some room more lets the read that finds the end fit.
        if (f->cap - f->len < 256) {
            size_t cap = f->cap ? f->cap * 2 : 2048;
            if (cap > PROCFILE_MAX)
                return -EMSGSIZE;
            char *text = realloc(f->text, cap);
            if (!text)
                return -ENOMEM;
            f->text = text;
            f->cap = cap;
        }
        ssize_t n = pread(f->fd, f->text + f->len, f->cap - f->len - 1, (off_t)f->len);
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1) {
            f->text[f->len = 0] = 0;
            return -errno;
        }
        if (n == 0)
            break;
        f->len += (size_t)n;
    }
    f->text[f->len] = 0;
    // What is read this way is never empty; were it taken for a text, each number in it would be 0.
    return f->len ? 0 : -ENODATA;
}

void procfile_done(struct procfile *f)
{
    if (f->fd != -1)
        close(f->fd);
    free(f->text);
    procfile_init(f);
}

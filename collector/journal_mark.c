// SPDX-License-Identifier: Apache-2.0
#include "collector/journal_mark.h"
#include "base/map.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct bytes {
    char name[8];
    uint64_t commits, last_id, sum;
};
static const char NAME[8] = "tocsin1";

static uint64_t sum_of(const struct bytes *b)
{
    return hash_bytes(b, offsetof(struct bytes, sum), 5);
}

void journal_mark_open(struct journal_mark *m, const char *state_dir)
{
    struct bytes b;
    *m = (struct journal_mark){.fd = -1};
    if (snprintf(m->path, sizeof(m->path), "%s/alerts.mark", state_dir) >= (int)sizeof(m->path))
        m->path[0] = '\0';
    m->fd = open(m->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (m->fd == -1)
        m->fd = open(m->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (m->fd == -1 || pread(m->fd, &b, sizeof(b), 0) != (ssize_t)sizeof(b) ||
        memcmp(b.name, NAME, sizeof(NAME)) != 0 || b.sum != sum_of(&b))
        return;
    m->commits = (uint32_t)b.commits;
    m->last_id = b.last_id;
}

void journal_mark_close(struct journal_mark *m)
{
    if (m->fd != -1)
        close(m->fd);
    m->fd = -1;
}

void journal_mark_again(struct journal_mark *m)
{
    journal_mark_close(m);
    m->fd = open(m->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

void journal_mark_set(struct journal_mark *m, uint32_t commits, uint64_t last_id)
{
    struct bytes b = {.commits = commits, .last_id = last_id};
    memcpy(b.name, NAME, sizeof(NAME));
    b.sum = sum_of(&b);
    m->commits = commits;
    m->last_id = last_id;
    if (m->fd != -1)
        (void)!pwrite(m->fd, &b, sizeof(b), 0);
}

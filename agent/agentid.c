// SPDX-License-Identifier: Apache-2.0
#include "agent/agentid.h"
#include "base/secret.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX 128

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// 16 bytes from 32 digits; dashes between them are passed over, as in a UUID.
static bool hex_read(const char **p, uint8_t out[16])
{
    for (int i = 0; i < 16; i++) {
        while (**p == '-')
            ++*p;
        int high = hex_digit((*p)[0]);
        int low = high < 0 ? -1 : hex_digit((*p)[1]);
        if (low < 0)
            return false;
        out[i] = (uint8_t)(high * 16 + low);
        *p += 2;
    }
    return true;
}

// 0, -ENOENT, -EINVAL (not our format), -errno.
static int read_text(int dir, const char *name, char text[static FILE_MAX])
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    if (fd == -1)
        return -errno;
    ssize_t n = read(fd, text, FILE_MAX - 1);
    int rc = n == -1 ? -errno : 0;
    text[n > 0 ? n : 0] = 0;
    close(fd);
    return rc;
}

static bool parse(const char *text, struct agentid *a)
{
    static const char HEAD[] = "tocsin-agent 1 ";
    const char *p = text;
    if (strncmp(p, HEAD, sizeof(HEAD) - 1) != 0)
        return false;
    p += sizeof(HEAD) - 1;
    int end = 0;
    return hex_read(&p, a->id) && sscanf(p, " %" SCNu64 "\n%n", &a->epoch, &end) == 1 &&
           end > 0 && p[end] == 0 && a->epoch < UINT64_MAX;
}

// The new text is on disk before the old one goes, and the rename before we speak to anybody:
// an epoch is never given twice.
static int write_text(int dir, const struct agentid *a)
{
    char text[FILE_MAX], hex[33];
    for (int i = 0; i < 16; i++)
        snprintf(hex + 2 * i, 3, "%02x", a->id[i]);
    int len = snprintf(text, sizeof(text), "tocsin-agent 1 %s %" PRIu64 "\n", hex, a->epoch);
    int fd = openat(dir, "identity.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd == -1)
        return -errno;
    int rc = 0;
    ssize_t n = write(fd, text, (size_t)len);
    if (n != len)
        rc = n == -1 ? -errno : -ENOSPC;
    else if (fsync(fd) == -1)
        rc = -errno;
    close(fd);
    if (rc == 0 && renameat(dir, "identity.new", dir, "identity") == -1)
        rc = -errno;
    if (rc == 0 && fsync(dir) == -1)
        rc = -errno;
    return rc;
}

static int make_dirs(const char *path)
{
    char part[PATH_MAX];
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof(part))
        return -ENAMETOOLONG;
    memcpy(part, path, len + 1);
    for (char *p = part + 1;; p++) {
        if (*p != '/' && *p != 0)
            continue;
        char end = *p;
        *p = 0;
        if (mkdir(part, 0700) == -1 && errno != EEXIST)
            return -errno;
        if (!end)
            return 0;
        *p = end;
    }
}

static int keep(const char *state_dir, struct agentid *a, struct err *err)
{
    char text[FILE_MAX];
    int rc = make_dirs(state_dir);
    int dir = rc < 0 ? -1 : open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (rc == 0 && dir == -1)
        rc = -errno;
    if (rc == 0) {
        a->lock_fd = openat(dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (a->lock_fd == -1)
            rc = -errno;
        else if (flock(a->lock_fd, LOCK_EX | LOCK_NB) == -1)
            rc = errno == EWOULDBLOCK ? -EBUSY : -errno;
    }
    if (rc == -EBUSY)
        err_set(err, "%s: another agent runs with this state directory", state_dir);
    if (rc < 0)
        goto out;
    rc = read_text(dir, "identity", text);
    if (rc == 0) {
        struct agentid old = *a;
        if (parse(text, &old)) {
            memcpy(a->id, old.id, sizeof(a->id));
            a->epoch = old.epoch + 1;
        } else {
            // A damaged file is kept for a look; the host gets a new identity.
            renameat(dir, "identity", dir, "identity.damaged");
        }
    }
    if (rc == 0 || rc == -ENOENT)
        rc = write_text(dir, a);
    a->kept = rc == 0;
out:
    if (rc < 0 && rc != -EBUSY)
        err_set(err, "%s: %s", state_dir, strerror(-rc));
    if (dir != -1)
        close(dir);
    return rc;
}

int agentid_open(
    const char *state_dir, const char *proc_root, struct agentid *ret, struct err *err)
{
    char path[PATH_MAX], text[FILE_MAX];
    struct agentid a = {.epoch = 1, .lock_fd = -1};
    if (random_bytes(a.id, sizeof(a.id)) < 0 || random_bytes(&a.nonce, sizeof(a.nonce)) < 0) {
        err_set(err, "the kernel gave no random bytes");
        return -EIO;
    }
    snprintf(path, sizeof(path), "%s/sys/kernel/random/boot_id", proc_root);
    if (read_text(AT_FDCWD, path, text) == 0) {
        const char *p = text;
        uint8_t boot[16];
        if (hex_read(&p, boot))
            memcpy(a.boot_id, boot, sizeof(boot));
    }
    if (keep(state_dir, &a, err) == -EBUSY) {
        agentid_close(&a);
        return -EBUSY;
    }
    *ret = a;
    return 0;
}

int agentid_peek(const char *state_dir, struct agentid *ret, struct err *err)
{
    char text[FILE_MAX];
    struct agentid a = {.kept = true, .lock_fd = -1};
    int dir = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = dir == -1 ? -errno : read_text(dir, "identity", text);

    if (dir != -1)
        close(dir);
    if (rc == 0 && !parse(text, &a))
        rc = -EINVAL;
    if (rc == 0)
        *ret = a;
    else
        err_set(err, "%s: %s", state_dir,
            rc == -ENOENT   ? "no identity yet, the first start makes one"
            : rc == -EINVAL ? "the identity is damaged, the next start makes another"
                            : strerror(-rc));
    return rc;
}

void agentid_close(struct agentid *a)
{
    if (a->lock_fd != -1)
        close(a->lock_fd);
    a->lock_fd = -1;
}

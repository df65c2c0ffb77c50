// SPDX-License-Identifier: Apache-2.0
#include "base/secret.h"
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

// Up to size bytes, fewer at the end of the file; -errno.
static ssize_t read_all(int fd, char *out, size_t size)
{
    size_t len = 0;
    while (len < size) {
        ssize_t n = read(fd, out + len, size - len);
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1)
            return -errno;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    return (ssize_t)len;
}

static int check_file(int fd, const char *path, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) == -1) {
        int rc = -errno;
        err_set(err, "%s: %s", path, strerror(-rc));
        return rc;
    }
    if (!S_ISREG(st.st_mode)) {
        err_set(err, "%s: a secret must be a regular file", path);
        return -EINVAL;
    }
    if (st.st_mode & S_IRWXO) {
        err_set(err, "%s: other users may read this secret; run chmod 640 on it", path);
        return -EPERM;
    }
    return 0;
}

// One byte more than allowed is read, to tell a full file from one too large.
static int read_secret(int fd, const char *path, char *text, struct err *err)
{
    ssize_t n = read_all(fd, text, SECRET_MAX + 2);
    if (n < 0) {
        err_set(err, "%s: %s", path, strerror((int)-n));
        return (int)n;
    }
    size_t len = (size_t)n;
    if (len > 0 && text[len - 1] == '\n')
        len--;
    if (len > 0 && text[len - 1] == '\r')
        len--;
    if (len > SECRET_MAX) {
        err_set(err, "%s: a secret has at most %d bytes", path, SECRET_MAX);
        return -EMSGSIZE;
    }
    if (len == 0 || memchr(text, '\0', len)) {
        err_set(err, "%s: %s", path, len == 0 ? "empty secret" : "a secret holds no NUL bytes");
        return -EINVAL;
    }
    memset(text + len, 0, SECRET_MAX + 2 - len);
    return 0;
}

int secret_read(const char *path, char **ret, struct err *err)
{
    char *text = NULL;
    int rc, fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd == -1) {
        rc = -errno;
        err_set(err, "%s: %s", path, strerror(-rc));
        return rc;
    }
    rc = check_file(fd, path, err);
    if (rc < 0)
        goto out;
    text = calloc(1, SECRET_MAX + 3);
    if (!text) {
        rc = -ENOMEM;
        err_set(err, "%s: out of memory", path);
        goto out;
    }
    rc = read_secret(fd, path, text, err);
    if (rc == 0) {
        *ret = text;
        text = NULL;
    }
out:
    if (text)
        explicit_bzero(text, SECRET_MAX + 3);
    free(text);
    close(fd);
    return rc;
}

void secret_free(char *secret)
{
    if (!secret)
        return;
    explicit_bzero(secret, strlen(secret));
    free(secret);
}

bool secret_equal(const char *a, size_t a_len, const char *b, size_t b_len)
{
    if (a_len != b_len)
        return false;
    // volatile: the compiler must not end the loop at the first difference.
    volatile uint8_t differs = 0;
    for (size_t i = 0; i < a_len; i++)
        differs = (uint8_t)(differs | ((uint8_t)a[i] ^ (uint8_t)b[i]));
    return differs == 0;
}

int random_bytes(void *out, size_t len)
{
    uint8_t *p = out;
    while (len > 0) {
        ssize_t n = getrandom(p, len, 0);
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1)
            return -errno;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

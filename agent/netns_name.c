// SPDX-License-Identifier: Apache-2.0
#include "agent/netns_name.h"
#include "agent/identity.h"
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAMED_MAX 1024 // files looked at in /run/netns

void netns_name_inode(uint64_t inode, char name[static NETNS_NAME_MAX])
{
    snprintf(name, NETNS_NAME_MAX, "%" PRIu64, inode);
}

static bool named(const char *run, uint64_t inode, char name[static NETNS_NAME_MAX])
{
    char path[256];
    const struct dirent *e;
    struct stat st;
    bool found = false;

    snprintf(path, sizeof(path), "%s/netns", run);
    DIR *dir = opendir(path);
    for (int i = 0; dir && !found && i < NAMED_MAX && (e = readdir(dir)); i++)
        if (e->d_name[0] != '.' && strlen(e->d_name) < NETNS_NAME_MAX &&
            fstatat(dirfd(dir), e->d_name, &st, 0) == 0 && st.st_ino == inode) {
            memcpy(name, e->d_name, strlen(e->d_name) + 1);
            found = true;
        }
    if (dir)
        closedir(dir);
    return found;
}

static bool by_cgroup(
    const struct identity_roots *r, int32_t pid, char name[static NETNS_NAME_MAX])
{
    char path[256], text[8192], cgroup[IDENTITY_PATH_MAX], whole[IDENTITY_NAME_MAX];

    snprintf(path, sizeof(path), "%s/%d/cgroup", r->proc, (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd == -1)
        return false;
    ssize_t n = read(fd, text, sizeof(text));
    close(fd);
    if (n <= 0 || !identity_cgroup_line(text, (size_t)n, cgroup) ||
        !identity_cgroup_name(cgroup, whole))
        return false;
    snprintf(name, NETNS_NAME_MAX, "%.*s", NETNS_NAME_MAX - 1, whole);
    return true;
}

void netns_name(const struct identity_roots *r, const char *run, uint64_t inode, int32_t pid,
    char name[static NETNS_NAME_MAX])
{
    if (!named(run, inode, name) && !by_cgroup(r, pid, name))
        netns_name_inode(inode, name);
}

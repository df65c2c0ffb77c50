// SPDX-License-Identifier: Apache-2.0
// What configuration says of a program to run, whoever runs it: its words, its user, its environment, and
// who may write the file that says it.
#include "agent/config_read.h"
#include "wire/name.h"
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>

size_t config_command(
    struct config_reader *r, const struct yaml_node *n, const char **argv, size_t max)
{
    size_t words = 0;
    if (n->kind != YAML_SEQ || !n->n || n->n > max) {
        config_bad(r, n, "e.g. [/usr/bin/systemctl, restart, nginx.service]",
            "a command is a list of 1 to %zu words; there is no shell", max);
        return 0;
    }
    for (size_t i = 0; i < n->n; i++) {
        const struct yaml_node *word = n->items[i];
        if (!config_scalar(r, word))
            continue;
        if (i == 0 && word->text[0] != '/')
            config_bad(r, word, "nothing looks for it: there is no PATH here",
                "`%.60s` is not an absolute path", word->text);
        if (word->len > WIRE_VALUE_MAX)
            config_bad(r, word, NULL, "a word of a command is too long");
        else
            argv[words++] = config_keep(r, word->text, word->len);
    }
    return words;
}

// With its groups: at the time of a fork nothing can be looked up.
void config_user(struct config_reader *r, const struct yaml_node *n, void *to)
{
    struct child_user *u = to;
    struct passwd pw, *found = NULL;
    char room[4096];
    gid_t groups[CHILD_GROUPS_MAX];
    int count = CHILD_GROUPS_MAX;
    const char *name = NULL;
    config_text(r, n, &name);
    if (!name)
        return;
    if (getpwnam_r(name, &pw, room, sizeof(room), &found) != 0 || !found) {
        config_bad(r, n, NULL, "there is no user `%.60s` on this host", name);
        return;
    }
    if (getgrouplist(name, pw.pw_gid, groups, &count) == -1) {
        config_bad(
            r, n, NULL, "user `%.60s` is in more than %d groups", name, CHILD_GROUPS_MAX);
        return;
    }
    gid_t *kept = arena_alloc(&r->c->arena, (size_t)count * sizeof(*kept));
    if (!kept) {
        r->oom = true;
        return;
    }
    memcpy(kept, groups, (size_t)count * sizeof(*kept));
    *u = (struct child_user){name, pw.pw_uid, pw.pw_gid, kept, (size_t)count};
}

size_t config_environment(
    struct config_reader *r, const struct yaml_node *n, struct wire_label *env, size_t max)
{
    size_t kept = 0;
    if (n->kind != YAML_MAP || n->n > max) {
        config_bad(r, n, "e.g. env: {LANG: C}", "env is a map of at most %zu", max);
        return 0;
    }
    for (size_t i = 0; i < n->n; i++) {
        const char *name = n->keys[i]->text, *value = NULL;
        config_text(r, n->items[i], &value);
        if (!wire_repair_parameter_ok(name))
            config_bad(r, n->keys[i], NULL, "`%.60s` is not a variable's name", name);
        else if (value)
            env[kept++] = (struct wire_label){config_keep(r, name, n->keys[i]->len), value};
    }
    return kept;
}

int config_program_guard(const char *path, const char *what, struct buf *problems)
{
    struct stat st;
    if (stat(path, &st) == -1 || !(st.st_mode & (S_IWGRP | S_IWOTH)))
        return 0;
    buf_addf(problems,
        "error[C006]: %s: has `%s`, and others than its owner may write it (mode %03o)\n"
        "  hint: chmod go-w %s\n",
        path, what, (unsigned)(st.st_mode & 0777), path);
    return -EPERM;
}

// SPDX-License-Identifier: Apache-2.0
#include "cli/rules_fmt.h"
#include "base/buf.h"
#include "cli/rules_fmt_diff.h"
#include "rules/print_file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OPTION_CHECK, OPTION_DIFF, OPTION_STDOUT, OPTION_WRITE };
const struct verb_option RULES_FMT_OPTIONS[] = {
    {"check", NULL, "only name the files that would change, and exit 1 when there is one",
        NULL},
    {"diff", NULL, "show what would change, as a unified diff", NULL},
    {"stdout", NULL, "print the whole files (what is done anyway without an option)", NULL},
    {"write", NULL, "write them back (-w)", NULL},
    {0},
};

struct job {
    const struct cli *c;
    const char *const *option;
    const char *path;
    struct buf old, new;
    struct diags d;
    struct rules_format made;
};

static int write_all(int fd, const void *data, size_t len)
{
    const char *p = data;
    while (len) {
        ssize_t n = write(fd, p, len);
        if (n == -1 && errno != EINTR)
            return -errno;
        if (n > 0) {
            p += n;
            len -= (size_t)n;
        }
    }
    return 0;
}

// Mode and, where that is allowed, owner are those of the file that was there.
static int fill_file(int fd, const struct job *j, const struct stat *st)
{
    int rc = write_all(fd, j->new.data, j->new.len);
    if (rc == 0 && fchown(fd, st->st_uid, st->st_gid) == -1 && errno != EPERM)
        rc = -errno;
    if (rc == 0 && fchmod(fd, st->st_mode & 07777) == -1)
        rc = -errno;
    if (rc == 0 && fsync(fd) == -1)
        rc = -errno;
    return rc;
}

// A file beside it that then takes its name; behind a symbolic link the file it leads to.
static int replace_file(const struct job *j)
{
    struct stat st;
    char *real = realpath(j->path, NULL), *beside = NULL;
    int rc = real ? 0 : -errno, fd = -1;
    if (rc == 0 && stat(real, &st) == -1)
        rc = -errno;
    if (rc == 0 && !S_ISREG(st.st_mode))
        rc = -EINVAL;
    if (rc == 0 && asprintf(&beside, "%s.XXXXXX", real) < 0) {
        beside = NULL;
        rc = -ENOMEM;
    }
    if (rc == 0) {
        fd = mkostemp(beside, O_CLOEXEC);
        rc = fd == -1 ? -errno : fill_file(fd, j, &st);
        if (fd != -1 && close(fd) == -1 && rc == 0)
            rc = -errno;
        if (rc == 0 && rename(beside, real) == -1)
            rc = -errno;
        if (rc < 0 && fd != -1)
            unlink(beside);
    }
    free(beside);
    free(real);
    return rc;
}

static int read_job(struct job *j)
{
    int rc =
        strcmp(j->path, "-") ? buf_add_path(&j->old, j->path) : buf_add_stream(&j->old, stdin);
    if (rc == -ENOMEM)
        return rc;
    if (rc < 0) {
        diags_add(&j->d, DIAG_ERROR, rc == -EMSGSIZE ? "T020" : "T000", 0, 0, 1, NULL,
            "cannot read it: %s", rc == -EMSGSIZE ? "it is too large" : strerror(-rc));
        return -EINVAL;
    }
    return rules_format(buf_cstr(&j->old), j->old.len, &j->new, &j->made, &j->d);
}

static void print_diags(struct job *j)
{
    struct buf out;
    buf_init(&out, 16u << 20);
    diags_print(&j->d, j->path, buf_cstr(&j->old), j->old.len, &out);
    fputs(buf_cstr(&out), stderr);
    buf_done(&out);
}

static int deliver(const struct job *j)
{
    bool changed = j->made.n_edits > 0;
    bool check = j->option[OPTION_CHECK], diff = j->option[OPTION_DIFF];
    bool put = j->option[OPTION_WRITE];
    FILE *out = j->c->out;
    int rc = 0;
    if (check && !diff && changed)
        fprintf(out, "%s\n", j->path);
    if (diff && !rules_diff_print(j->path, (const char *)j->old.data, j->old.len,
                    (const char *)j->new.data, j->new.len, &j->made, j->c->color, out))
        return -ENOMEM;
    if (put && changed && !check) {
        rc = replace_file(j);
        if (rc == 0 && !diff)
            fprintf(out, "%s: %zu of %zu expressions laid out\n", j->path, j->made.n_edits,
                j->made.expressions);
    }
    if (!put && !check && !diff && j->new.len)
        fwrite(j->new.data, 1, j->new.len, out);
    return rc;
}

static int format_file(struct job *j, struct err *err)
{
    int verdict = CLI_YES, rc = read_job(j);
    diags_sort(&j->d);
    if (j->d.n)
        print_diags(j);
    if (rc == 0) {
        rc = deliver(j);
        if (j->option[OPTION_CHECK] && j->made.n_edits)
            verdict = CLI_NO;
        if (rc < 0 && rc != -ENOMEM)
            err_set(err, "%s: cannot write it: %s", j->path, strerror(-rc));
    }
    if (rc == -ENOMEM)
        err_set(err, "out of memory");
    return rc < 0 ? CLI_NO : verdict;
}

int rules_fmt_main(const struct cli *c, const struct verb_args *a, struct err *err)
{
    int verdict = CLI_YES;
    if (a->option[OPTION_STDOUT] && a->option[OPTION_WRITE]) {
        err_set(err, "--stdout and --write exclude each other");
        return CLI_USAGE;
    }
    for (int i = 0; i < a->n_words; i++) {
        struct job j = {.c = c, .option = a->option, .path = a->words[i]};
        if (a->option[OPTION_WRITE] && !strcmp(j.path, "-")) {
            err_set(err, "--write needs files, not -");
            return CLI_USAGE;
        }
        buf_init(&j.old, RULES_FORMAT_MAX);
        buf_init(&j.new, RULES_FORMAT_MAX);
        diags_init(&j.d);
        int rc = format_file(&j, err);
        verdict = rc == CLI_YES ? verdict : rc;
        rules_format_done(&j.made);
        buf_done(&j.old);
        buf_done(&j.new);
        diags_done(&j.d);
    }
    return verdict;
}

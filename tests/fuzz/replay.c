// SPDX-License-Identifier: Apache-2.0
/*
 * main() for a fuzz target without a fuzzer: feeds it every file of the files and folders named,
 * so that `make check` replays old crashes in every flavour with gcc alone.
 */
#include "base/buf.h"
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define INPUT_MAX (16U << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned passed, failed;

static void replay_file(const char *path)
{
    struct buf b;
    buf_init(&b, INPUT_MAX);
    int rc = buf_add_path(&b, path);
    if (rc < 0) {
        printf("%s: %s\n", path, strerror(-rc));
        failed++;
    } else {
        // Said before, so that a crash names its input; a copy of exact size, so that reading
        // one byte too far is seen.
        uint8_t *copy = malloc(b.len ? b.len : 1);
        printf("%s\n", path);
        fflush(stdout);
        if (copy) {
            if (b.len > 0)
                memcpy(copy, b.data, b.len);
            LLVMFuzzerTestOneInput(copy, b.len);
            passed++;
        }
        free(copy);
    }
    buf_done(&b);
}

static void replay(const char *path)
{
    struct dirent **entries = NULL;
    struct stat st;
    if (stat(path, &st) == -1)
        return; // no regressions yet
    if (!S_ISDIR(st.st_mode)) {
        replay_file(path);
        return;
    }
    int n = scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char file[4096];
        int len = snprintf(file, sizeof(file), "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.' && len > 0 && (size_t)len < sizeof(file))
            replay_file(file);
        free(entries[i]);
    }
    free(entries);
}

int main(int argc, char **argv)
{
    // Always at least one: the empty input.
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    passed++;
    for (int i = 1; i < argc; i++)
        replay(argv[i]);
    printf("%u passed, %u failed\n", passed, failed);
    return failed ? 1 : 0;
}

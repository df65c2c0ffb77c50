// SPDX-License-Identifier: Apache-2.0
/*
 * How far alerts.db had come, in a file of its own: <state_dir>/alerts.mark. SQLite ends a damaged or
 * shortened write-ahead log at the first frame that does not hold and says nothing, so without this
 * the newest transactions would be missing and nobody would know.
 *
 *     commit on disk --> mark written, not synced: behind the truth or equal to it, never ahead
 *
 * 32 bytes in place, so that a full disk does not refuse them; with a sum, so that a damaged one is
 * none. Errors are silent: a mark that is behind only misses less. Belongs to whoever owns the journal.
 */
#pragma once
#include <stdint.h>

struct journal_mark {
    char path[4096];
    int fd;
    uint32_t commits; // as read, or as set last
    uint64_t last_id;
};
void journal_mark_open(struct journal_mark *m, const char *state_dir);
void journal_mark_close(struct journal_mark *m);
void journal_mark_again(struct journal_mark *m); // the folder may be another one
void journal_mark_set(struct journal_mark *m, uint32_t commits, uint64_t last_id);

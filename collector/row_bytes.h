// SPDX-License-Identifier: Apache-2.0
/*
 * Texts and labels as blobs of a row, and the sum that says whether a row is what was written.
 *
 *     texts   "rules.yml\0web\0"            labels   "alertname\0Hot\0zone\0a\0"
 *
 * What is read borrows from the row: it lives until the statement's next step.
 */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "rules/labels.h"
#include <sqlite3.h>
#include <stdbool.h>

bool row_text_add(struct buf *b, const char *s); // false: no memory
bool row_labels_add(struct buf *b, const struct labels *l);
struct buf row_blob(sqlite3_stmt *s, int column);
// Next text of a blob of texts that end in NUL; NULL at the end, or where the last one does not.
const char *row_text_next(const char **at, const char *end);
// False: no labels, or no memory in a.
bool row_labels(const struct buf *blob, struct arena *a, struct labels *ret);
// Over every column but the sum itself, as SQLite gives them back.
int64_t row_sum(const int64_t *number, size_t n, const struct buf *blob, size_t blobs);

// SPDX-License-Identifier: Apache-2.0
/*
 * The state directory belongs to one collector: two on one alerts.db would each tell what the other
 * has told, and end what the other has begun. The lock goes with the process, however that ends.
 */
#pragma once
#include "base/err.h"

// Makes the directory (not its parents) and locks it. *ret_fd is to be kept open; -1 where nothing can
// be locked, with err: a disk that is full or read-only keeps nobody from starting.
// 0; -EBUSY with err: another collector has it.
int state_dir_take(const char *path, int *ret_fd, struct err *err);

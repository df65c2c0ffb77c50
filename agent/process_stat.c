// SPDX-License-Identifier: Apache-2.0
#include "agent/process_stat.h"
#include "agent/procfile.h"
#include "wire/name.h"
#include <string.h>

#define KERNEL_THREAD 0x00200000u // PF_KTHREAD

// The name may hold anything, parentheses and line ends too: it ends at the last ')'.
static void read_comm(const char *name, size_t len, struct process_stat *s)
{
    if (len > PROCESS_COMM_MAX - 1)
        len = PROCESS_COMM_MAX - 1;
    memcpy(s->comm, name, len);
    s->comm[len] = 0;
    if (s->kernel)
        s->comm[strcspn(s->comm, "/:")] = 0; // kworker/0:1-events
    bool valid = wire_text_ok(s->comm, 0, PROCESS_COMM_MAX);
    for (unsigned char *c = (unsigned char *)s->comm; *c; c++)
        if (*c < ' ' || *c == 0x7f || (*c >= 0x80 && !valid))
            *c = '?';
    if (!s->comm[0]) // what was cut off may stand behind
        memcpy(s->comm, "?", 2);
}

bool process_stat_parse(const char *text, size_t len, struct process_stat *ret)
{
    // Behind the state.
    enum {
        FLAGS = 5,
        MINFLT = 6,
        MAJFLT = 8,
        UTIME = 10,
        STIME = 11,
        THREADS = 16,
        START = 18,
        VSIZE = 19,
        RSS = 20,
        FIELDS
    };
    uint64_t v[FIELDS] = {0};
    const char *open = memchr(text, '(', len), *close = memrchr(text, ')', len);

    if (!open || !close || close < open || text + len - close < 4)
        return false;
    *ret = (struct process_stat){.state = close[2]};
    const char *p = close + 3;
    for (int i = 0; i < FIELDS; i++) {
        while (*p == ' ')
            p++;
        bool minus = *p == '-'; // terminals and priorities
        const char *digits = p + minus;
        p = scan_u64(digits, &v[i]);
        if (p == digits)
            return false;
    }
    ret->kernel = v[FLAGS] & KERNEL_THREAD;
    ret->minor_faults = v[MINFLT];
    ret->major_faults = v[MAJFLT];
    ret->user = v[UTIME];
    ret->system = v[STIME];
    ret->threads = v[THREADS];
    ret->start = v[START];
    ret->virtual_bytes = v[VSIZE];
    ret->resident_pages = v[RSS];
    read_comm(open + 1, (size_t)(close - open - 1), ret);
    return true;
}

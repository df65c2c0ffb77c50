// SPDX-License-Identifier: Apache-2.0
// Stops one thread of a process, given by its id, and lets it go on when stdin ends.
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    pid_t tid = argc == 2 ? atoi(argv[1]) : 0;
    char c;
    if (ptrace(PTRACE_SEIZE, tid, 0, 0) == -1 || ptrace(PTRACE_INTERRUPT, tid, 0, 0) == -1 ||
        waitpid(tid, NULL, __WALL) == -1) {
        perror("freeze");
        return 1;
    }
    puts("frozen");
    fflush(stdout);
    while (read(STDIN_FILENO, &c, 1) > 0)
        ;
    return ptrace(PTRACE_DETACH, tid, 0, 0) == -1;
}

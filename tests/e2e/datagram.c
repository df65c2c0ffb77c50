// SPDX-License-Identifier: Apache-2.0
// datagram PATH TIMES: standard input as one datagram to a UNIX socket, TIMES times; node cannot.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    static char text[1 << 17];
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    if (argc != 3 || strlen(argv[1]) >= sizeof(un.sun_path))
        return 2;
    strcpy(un.sun_path, argv[1]);
    size_t n = fread(text, 1, sizeof(text), stdin);
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    for (long i = atol(argv[2]); i > 0; i--)
        if (sendto(fd, text, n, 0, (const struct sockaddr *)&un, sizeof(un)) == -1) {
            perror(argv[1]);
            return 1;
        }
    return 0;
}

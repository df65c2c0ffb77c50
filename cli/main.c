// SPDX-License-Identifier: Apache-2.0
/* The environment of `tocsin`: what verbs may not ask for themselves. */
#include "cli/verb.h"
#include <curl/curl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define URL_DEFAULT "http://127.0.0.1:7311"

int main(int argc, char **argv)
{
    struct err err = {0};
    const char *url = getenv("TOCSIN_URL"), *no_color = getenv("NO_COLOR"),
               *term = getenv("TERM");
    struct cli c = {
        .url = url && url[0] ? url : URL_DEFAULT,
        .token_file = getenv("TOCSIN_TOKEN_FILE"),
        .color = isatty(STDOUT_FILENO) && !(no_color && no_color[0]) &&
                 !(term && strcmp(term, "dumb") == 0),
        .out = stdout,
    };
    curl_global_init(CURL_GLOBAL_DEFAULT);
    int rc = verb_main(&c, argc, argv, &err);
    curl_global_cleanup();
    // A full disk or a closed pipe must not look like a good answer.
    if (fflush(stdout) != 0 && rc == CLI_YES) {
        err_set(&err, "the output could not be written");
        rc = CLI_NO;
    }
    if (err.msg[0])
        fprintf(stderr, "tocsin: %s\n", err.msg);
    return rc;
}

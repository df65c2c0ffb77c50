// SPDX-License-Identifier: Apache-2.0
/*
 * What the two halves of the template parser share. Private to rules/template_parse.c (text,
 * actions, if and with) and rules/template_pipe.c (what stands inside an action).
 *
 * The first failure stays; everything that can fail returns NULL or false after it.
 */
#pragma once
#include "rules/template_node.h"

struct tmpl_parser {
    const char *s;
    size_t len, at; // inside an action: the next byte
    size_t end;     // end of the action's inside
    struct arena *arena;
    struct err *err;
    struct template *t;
    int depth, in_with;
    bool failed;
};

void tparse_fail(struct tmpl_parser *p, size_t at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
// What can be parsed but will fail when it is expanded. Returns the text in the arena; NULL without
// memory, which is a failure.
const char *tparse_doubt(struct tmpl_parser *p, size_t at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void *tparse_alloc(struct tmpl_parser *p, size_t size);
bool tparse_space(char c);
bool tparse_letter(char c); // of a name; digits and everything outside ASCII too
void tparse_skip(struct tmpl_parser *p);
char tparse_here(const struct tmpl_parser *p); // 0 at the end of the action
// a | b c ... at p->at. paren: it ends at a closing parenthesis, which is left there.
struct tmpl_pipe *tparse_pipeline(struct tmpl_parser *p, bool paren);

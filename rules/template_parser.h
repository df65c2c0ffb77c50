// SPDX-License-Identifier: Apache-2.0
/*
 * What the parts of the template parser share. Private to rules/template_parse.c (text, actions,
 * if, with, range), rules/template_pipe.c (what stands inside an action) and
 * rules/template_operand.c.
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
    const char *vars[TMPL_VARS_MAX]; // those in scope, the innermost last
    size_t n_vars;
    int depth, loops;
    int in_with;    // the dot is not the alert's
    bool in_define; // neither is $
    bool messages;  // Alertmanager's dialect
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
// The name at p->at, maybe empty.
const char *tparse_name(struct tmpl_parser *p);
int tparse_variable(const struct tmpl_parser *p, const char *name); // its slot, -1 = none
// .a.b behind an operand, where they stand.
bool tparse_fields(struct tmpl_parser *p, struct tmpl_operand *o);
struct tmpl_operand *tparse_operand(struct tmpl_parser *p);
// a | b c ... at p->at, with a declaration in front but in parentheses; there it ends at the closing
// one, which is left.
enum tmpl_place { TMPL_IN_ACTION, TMPL_IN_RANGE, TMPL_IN_PAREN };
struct tmpl_pipe *tparse_pipeline(struct tmpl_parser *p, enum tmpl_place place);

// SPDX-License-Identifier: Apache-2.0
/*
 * A compiled template as a tree, and the values it works on. Private to rules/template*.c.
 *
 *     list -> node -> node ...       node = text, or a pipe to print, or if/with/range with two lists
 *     pipe -> command -> command     a | b c: the value of the one before is the last argument
 *     command -> operand ...         the first one may be a function
 */
#pragma once
#include "rules/template.h"
#include <stdint.h>

enum tmpl_kind {
    TV_NIL,
    TV_BOOL,
    TV_INT,
    TV_FLOAT,
    TV_STRING,
    TV_LABELS,
    TV_DATA,
    TV_SAMPLE, // one of a query's
    TV_LIST,   // a query's result
    TV_ARGS,   // what args made: arg0, arg1, ...
};
struct tmpl_value {
    enum tmpl_kind kind;
    bool b;
    int64_t i;
    double f;
    const char *s; // not always NUL-terminated
    size_t len;    // of s, samples, args
    const struct labels *labels;
    const struct template_sample *samples;
    const struct tmpl_value *args;
};
#define TMPL_VARS_MAX 50

enum tmpl_operand_kind {
    TO_VALUE, // a literal
    TO_DOT,
    TO_ROOT, // . and $
    TO_LABELS,
    TO_VALUE_VAR,
    TO_URL,
    TO_EXTERNAL_LABELS,
    TO_FIELD, // .name of dot, whatever dot is
    TO_PIPE,  // ( ... )
    TO_VAR,   // $x
};
struct tmpl_operand {
    enum tmpl_operand_kind kind;
    struct tmpl_value value;
    const char *field;  // of a map or of dot; NULL = none
    const char *second; // .Labels.x: the x
    const char *doom;   // why it fails when it is evaluated; NULL = it may not
    struct tmpl_pipe *pipe;
    int slot; // of a variable
    struct tmpl_operand *next;
};
struct tmpl_function;
struct tmpl_command {
    const struct tmpl_function *fn; // NULL: the single operand is the value
    struct tmpl_operand *operands;
    size_t n;
    const char *doom; // why it fails when it is evaluated; NULL = it may not
    struct tmpl_command *next;
};
struct tmpl_pipe {
    struct tmpl_command *commands;
    int slot[2]; // variables that take the result; of a range the key or the element, and both
    int n_slots;
    bool assign; // = instead of :=
};
enum tmpl_node_kind {
    TN_TEXT,
    TN_PRINT,
    TN_IF,
    TN_WITH,
    TN_RANGE,
    TN_CALL, // {{ template "text" pipe }}, pipe may be NULL
    TN_BREAK,
    TN_CONTINUE,
};
struct tmpl_node {
    enum tmpl_node_kind kind;
    const char *text;
    size_t len;
    struct tmpl_pipe *pipe;
    struct tmpl_node *then, *otherwise, *next;
};
struct tmpl_define {
    const char *name;
    struct tmpl_node *nodes;
    struct tmpl_define *next;
};
struct template
{
    struct tmpl_node *nodes;
    struct tmpl_define *defines;
    size_t n_vars; // slots that one call needs
    bool uses_value, uses_query;
    struct template_label *labels; // these two: the last one first
    struct template_doubt *doubts;
};

// One expansion.
struct tmpl_run {
    const struct template *t;
    const struct template_data *data;
    struct tmpl_value dot, root; // . and $
    struct tmpl_value *vars;     // by slot
    unsigned steps;              // nodes run
    int depth;                   // templates called from templates
    enum { TMPL_ON, TMPL_BREAK, TMPL_CONTINUE } flow;
    struct arena arena; // strings that come up on the way
    struct err err;
    int rc; // -EINVAL with err, -ENOMEM
};
bool tmpl_fail(struct tmpl_run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// Copies text into the run's arena as a string value.
bool tmpl_string(struct tmpl_run *r, const void *s, size_t len, struct tmpl_value *ret);
bool tmpl_true(const struct tmpl_value *v);
// Go's %v.
void tmpl_print(const struct tmpl_run *r, const struct tmpl_value *v, struct buf *out);
const char *tmpl_type(const struct tmpl_value *v);

#define TMPL_RESULT_MAX (1u << 20) // bytes of one value or of the whole result
#define TMPL_ARGS_MAX   32
#define TMPL_STEPS_MAX  1000000 // nodes run by one expansion

struct tmpl_function {
    const char *name;
    int least, most; // arguments; most -1 = any number
    bool (*call)(
        struct tmpl_run *r, const struct tmpl_value *args, size_t n, struct tmpl_value *ret);
    bool lazy; // and, or: evaluated one by one by the caller
};
const struct tmpl_function *tmpl_function_find(const char *name, size_t len);
// Nearest known name or NULL.
const char *tmpl_function_near(const char *name, size_t len);
// It exists in Prometheus but not here.
bool tmpl_function_missing(const char *name, size_t len);

// .name of a value.
bool tmpl_field(struct tmpl_run *r, const struct tmpl_value *from, const char *name,
    struct tmpl_value *ret);

// template_query.c: what works on the results of queries.
extern const struct tmpl_function TMPL_QUERY_FUNCTIONS[]; // ended by a NULL name

// template_format.c: Go's Sprintf.
void tmpl_sprintf(const struct tmpl_run *r, const struct tmpl_value *format,
    const struct tmpl_value *args, size_t n, struct buf *out);

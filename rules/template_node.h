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
#include "rules/template_escape.h"
#include "rules/template_set.h"
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
    // Of messages, see template_message.c.
    TV_MESSAGE,
    TV_ALERTS,
    TV_ALERT,
    TV_PAIR,  // name and value of a label
    TV_ITEMS, // any list
    TV_DICT,
    TV_TIME,     // i: ms; s: the zone's name, offset_s: how far it is ahead of UTC
    TV_DURATION, // i: ns
};
struct tmpl_value {
    enum tmpl_kind kind;
    bool b; // of text: marked as safe, nothing of it is escaped
    int32_t offset_s;
    int64_t i;
    double f;
    const char *s; // not always NUL-terminated; of items the name of their type, which is
    size_t len;    // of s, samples, args, alerts, items, pairs of a dict
    union {
        const struct labels *labels;
        const struct template_sample *samples;
        const struct tmpl_value *args; // and items; of a dict a name and a value by turns
        const struct template_alert *const *alerts;
        const struct template_alert *alert;
        const struct label *pair;
    };
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
struct tmpl_name {
    const char *name;
    size_t at; // in the text
    struct tmpl_name *next;
};
struct tmpl_operand {
    enum tmpl_operand_kind kind;
    struct tmpl_value value;
    struct tmpl_name *fields; // .Labels.x
    const char *doom;         // why it fails when it is evaluated; NULL = it may not
    struct tmpl_pipe *pipe;
    int slot; // of a variable
    struct tmpl_operand *next;
};
struct tmpl_function;
struct tmpl_command {
    const struct tmpl_function *fn; // NULL: the single operand is the value
    struct tmpl_operand *operands;
    size_t n, at;
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
    size_t len, at;
    struct tmpl_pipe *pipe;
    struct tmpl_node *then, *otherwise, *next;
    struct tmpl_node *next_call; // of the TN_CALL nodes of a text
};
struct tmpl_source {
    const char *name; // of the file; NULL = the text itself
    const char *text;
    size_t len;
    bool ours; // one of TEMPLATE_DEFAULTS
};
struct tmpl_define {
    const char *name;
    struct tmpl_node *nodes;
    size_t n_vars; // slots that one call needs
    const struct tmpl_source *source;
    struct tmpl_define *next;
};
enum tmpl_dialect { TMPL_RULES, TMPL_MESSAGES };
struct template
{
    struct tmpl_node *nodes, *calls;
    struct tmpl_define *defines;
    enum tmpl_dialect dialect;
    const struct template_set *set; // where else it finds what it calls; NULL = nowhere
    struct tmpl_source source;
    size_t n_vars; // slots that one call needs
    bool uses_value, uses_query;
    struct template *next;         // of a set
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
    struct tmpl_escape escape;
    // Of a failure: where, and whether it is one whatever the data are.
    const struct tmpl_source *source;
    size_t at;
    bool sure, large;
    bool explore; // both ways of each branch, to find what fails for sure
};
bool tmpl_fail(struct tmpl_run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// The same, of what fails with any data: there is no such field.
bool tmpl_fail_sure(struct tmpl_run *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
// The same, of what would not with fewer alerts.
bool tmpl_fail_large(struct tmpl_run *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
// Copies text into the run's arena as a string value.
bool tmpl_string(struct tmpl_run *r, const void *s, size_t len, struct tmpl_value *ret);
bool tmpl_true(const struct tmpl_value *v);
struct tmpl_value tmpl_text(const char *s); // NULL = ""
bool tmpl_eval(struct tmpl_run *r, const struct tmpl_pipe *p, struct tmpl_value *ret);
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
    enum { TMPL_FN_BOTH, TMPL_FN_RULES, TMPL_FN_MESSAGES } where;
};
const struct tmpl_function *tmpl_function_find(
    enum tmpl_dialect dialect, const char *name, size_t len);
// Nearest known name or NULL.
const char *tmpl_function_near(enum tmpl_dialect dialect, const char *name, size_t len);
// It exists in Prometheus or Alertmanager but not here.
bool tmpl_function_missing(const char *name, size_t len);

// .name of a value; n > 0 only of a method.
bool tmpl_field(struct tmpl_run *r, const struct tmpl_value *from, const char *name,
    const struct tmpl_value *args, size_t n, struct tmpl_value *ret);
bool tmpl_want(struct tmpl_run *r, const struct tmpl_value *v, enum tmpl_kind kind);
// Runs t with dot and $ as given. False: r->rc says why.
bool tmpl_run_template(struct tmpl_run *r, struct buf *out);
void tmpl_run_init(struct tmpl_run *r, const struct template *t, const struct template_data *d);

// template_set.c: what its files define, NULL = nothing of that name.
const struct tmpl_define *tmpl_set_find(const struct template_set *s, const char *name);

// template_message_fn.c
extern const struct tmpl_function TMPL_MESSAGE_FUNCTIONS[]; // ended by a NULL name

// template_message.c: Alertmanager's data.
extern const char TMPL_STRINGS[]; // the type of a list of texts
// A list of that type; items NULL: there was no memory for them.
bool tmpl_list(struct tmpl_run *r, const char *type, struct tmpl_value *items, size_t n,
    struct tmpl_value *ret);
bool tmpl_message_field(struct tmpl_run *r, const struct tmpl_value *from, const char *name,
    const struct tmpl_value *args, size_t n, struct tmpl_value *ret);
void tmpl_message_print(const struct tmpl_run *r, const struct tmpl_value *v, struct buf *out);
struct tmpl_value tmpl_time(int64_t ms);

// template_time.c: Go's time.Time and time.Duration.
bool tmpl_time_field(struct tmpl_run *r, const struct tmpl_value *from, const char *name,
    const struct tmpl_value *args, size_t n, struct tmpl_value *ret);
void tmpl_time_print(const struct tmpl_value *v, struct buf *out);
void tmpl_time_format(
    const struct tmpl_value *v, const char *layout, size_t len, struct buf *out);
void tmpl_duration_print(int64_t ns, struct buf *out);

// template_json.c
void tmpl_json(const struct tmpl_run *r, const struct tmpl_value *v, struct buf *out);

// template_parse.c: one text, into t, which is zeroed but for what says how.
bool tmpl_parse_into(struct template *t, struct arena *a, struct err *err);

// template_query.c: what works on the results of queries.
extern const struct tmpl_function TMPL_QUERY_FUNCTIONS[]; // ended by a NULL name

// template_format.c: Go's Sprintf.
void tmpl_sprintf(const struct tmpl_run *r, const struct tmpl_value *format,
    const struct tmpl_value *args, size_t n, struct buf *out);

// SPDX-License-Identifier: Apache-2.0
/*
 * What the parts of the batch evaluator share: one evaluation in progress, and the entry point of
 * each kind of node. Only rules/eval.c and the files named here include it.
 *
 * Every function returns 0, -EINVAL with e->err filled, -ENOMEM or -E2BIG, and what it returns
 * lives in e->arena.
 */
#pragma once
#include "rules/eval.h"
#include "rules/sum.h"

struct selection {
    uint64_t generation;
    bool valid;
    struct series_ids ids;
    struct labels *labels; // of each id
    size_t labels_cap;
};
struct compiled { // the pattern of a label_replace
    const struct expr *at;
    char *pattern;
    struct regex *re;
};
struct selections {
    uint32_t n;
    struct selection *slot;
    struct compiled *compiled;
    size_t n_compiled;
};

// Where only counts and sums of histograms are asked for, Prometheus reads their resets off sample by
// sample, and says where they contradict each other. Results do not depend on it.
enum reset_hints { HINTS_STORED, HINTS_DETECTED, HINTS_NEVER_DETECTED };

struct eval {
    struct source src;
    struct eval_options o;
    struct arena arena;   // of the evaluation or of one step of a range
    struct arena results; // of a range query
    struct points window; // the samples under one range selector
    struct selections *sel;
    int64_t start_ms, end_ms; // what @ start() and @ end() mean
    uint64_t samples;
    struct err *err;
    struct annotations *annotations; // NULL: nobody asks
    enum reset_hints hints;          // while somebody asks
};

// Around one evaluation at t_ms: what it may cache in, where mistakes go; its final word.
void eval_begin(struct eval *e, struct selections *sel, int64_t t_ms, struct err *err);
int eval_finish(struct eval *e, int rc);

// A warning or info about `at`. Costs nothing but the call when nobody asks; what is expensive to
// find out is worth a look at e->annotations first.
void eval_note(struct eval *e, const struct expr *at, enum annotation_kind kind,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void eval_note_forced(struct eval *e, const struct expr *at, enum annotation_kind kind,
    const struct monotonicity *forced, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
// What several operators say. `during`: "addition", "subtraction" or "aggregation".
void note_operation(
    struct eval *e, const struct expr *at, unsigned histogram_notes, const char *during);
void note_metric(struct eval *e, const struct expr *at, enum annotation_kind kind,
    const char *what, const struct labels *s);
void note_quantile(struct eval *e, const struct expr *at, double q);

// What an operand of x is read with.
enum reset_hints hints_below(const struct eval *e, const struct expr *x);
// h with the hint that `before`, NULL for none, gives it.
const struct histogram *detected_hint(
    struct eval *e, const struct histogram *before, const struct histogram *h);

int eval_node(struct eval *e, const struct expr *x, int64_t t_ms, struct value *ret);
// The operands of an operator or function: lhs and rhs, lhs and param, or the arguments. NULL past
// the last one. A range vector is no operand: who reads one evaluates it itself.
const struct expr *expr_operand(const struct expr *x, size_t i);
bool expr_reads_window(const struct expr *x); // a call over a range vector
// The node from what its operands came to. Both evaluators end here.
int eval_apply(struct eval *e, const struct expr *x, const struct value *in, int64_t t_ms,
    struct value *ret);

// Memory in the arena; NULL when there is none. eval_full() says how that is to be reported.
void *eval_alloc(struct eval *e, size_t n, size_t size);
int eval_full(struct eval *e, size_t n, size_t size);
// An empty vector with room for n.
int vector_room(struct eval *e, size_t n, struct vector *ret);
static inline void vector_push(struct vector *v, const struct element *el)
{
    v->e[v->n++] = *el;
}
int eval_fail(struct eval *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// Labels without the metric name; a view when the name comes first, as it usually does. drop_name
// also takes away the metric's type and unit (label_describes_metric), as Prometheus does wherever
// the result is no longer that metric.
bool drop_only_name(struct eval *e, const struct labels *s, struct labels *ret);
bool drop_name(struct eval *e, const struct labels *s, struct labels *ret);
// Prometheus refuses a vector in which two elements have the same labels.
int vector_unique(struct eval *e, const struct vector *v);
const struct expr *expr_inner(const struct expr *x); // parentheses peeled off

// Where labels meet: a set of label sets (or parts of them) by hash, open addressing, arena.
struct join {
    uint32_t *slot; // entry + 1, 0 = free
    size_t mask;
    struct join_entry *entry;
    size_t n, cap;
};
struct join_entry {
    uint64_t hash;
    const struct labels *labels;
    uint32_t value;
};
// What makes two label sets the same here: all labels, the named ones, or all but those (and
// without the metric name, unless KEY_BUT).
struct join_key {
    enum { KEY_ALL, KEY_ON, KEY_WITHOUT, KEY_BUT } kind;
    const char *const *names;
    size_t n;
};
int join_init(struct eval *e, struct join *j, size_t room);
// The entry, made with `value` when new. Never NULL while there is room.
struct join_entry *join_put(struct join *j, const struct join_key *k, const struct labels *s,
    uint32_t value, bool *ret_new);
struct join_entry *join_find(
    const struct join *j, const struct join_key *k, const struct labels *s);

// select.c
int eval_selector(struct eval *e, const struct expr *x, int64_t t_ms, struct value *ret);
int selection_get(struct eval *e, const struct expr *x, const struct selection **ret);
int64_t eval_time(
    const struct eval *e, const struct expr *x, int64_t t_ms); // after @ and offset
// What a selector has of one series at at_ms, but for the labels. False: nothing.
bool selector_element(struct eval *e, uint32_t id, int64_t at_ms, struct element *el);
// The same from its newest sample at or before at_ms. silent: the last word of a silent source.
bool selector_word(const struct eval *e, const struct point *p, bool silent, int64_t at_ms,
    struct element *el);

// A range vector, one series at a time.
struct window {
    const struct labels *labels;
    const struct point *p; // no stale markers
    size_t n, n_hist;      // samples, histograms among them
    // Of histograms of one schema of which none is reset, and for rate, increase and delta, the
    // samples between the first and the last may be left out: this many.
    size_t left_out;
    int64_t from_ms, to_ms; // what was asked for, offset applied
    int64_t range_ms, t_ms; // t_ms: evaluation time
    bool silent;            // has no newer samples because its source is silent
};
typedef int (*window_fn)(struct eval *e, const struct window *w, void *ctx);
// window.c: calls fn for each series of a range selector or a subquery that has samples, or that
// has none because its source is silent.
int eval_windows(struct eval *e, const struct expr *x, int64_t t_ms, window_fn fn, void *ctx);

// The first step of a subquery after from_ms.
int64_t subquery_first(const struct eval *e, const struct expr *x, int64_t from_ms);

// The window of a range selector over one series; its samples live in e->window until the next.
// 1; 0 when there is nothing at all.
int window_of_series(struct eval *e, const struct expr *x, uint32_t id, int64_t t_ms,
    const struct labels *labels, struct window *w);

// Calls over range vectors: range_fn.c, label_fn.c.
// The range vector of a call, parentheses peeled off, and its scalar parameter or NULL.
const struct expr *range_operands(const struct expr *x, const struct expr **ret_param);
bool range_keeps_name(int id);
// The function over one window; labels are the caller's. 1; 0 when it has no value.
int range_apply(struct eval *e, int id, const struct value *param, const struct window *w,
    struct element *ret);
// What rate, increase and delta are extrapolated from: the difference over the samples times this.
struct range_span {
    int64_t first_ms, last_ms;
    double n, start_value, moved;
};
double range_factor(
    int id, bool compat_2_42, const struct window *w, const struct range_span *s);
double range_instant(
    const struct point *a, const struct point *b, bool per_second); // irate, idelta: floats
int eval_range_call(struct eval *e, const struct expr *x, int64_t t_ms, struct value *ret);
bool range_call_supported(int id);
int eval_absent_over_time(
    struct eval *e, const struct expr *x, int64_t t_ms, struct value *ret);

// Operators and functions on operands: call.c, label_fn.c, aggregate.c, binary.c, bucket.c.
int apply_call(struct eval *e, const struct expr *x, const struct value *in, int64_t t_ms,
    struct value *ret);
int apply_relabel( // label_replace, label_join
    struct eval *e, const struct expr *x, const struct value *in, struct value *ret);
int apply_absent(
    struct eval *e, const struct expr *x, const struct value *in, struct value *ret);
int apply_aggregate(
    struct eval *e, const struct expr *x, const struct value *in, struct value *ret);
int aggregate_count_values(struct eval *e, const struct expr *x, const struct vector *in,
    const char *name, struct value *ret); // count_values.c
int apply_binary(
    struct eval *e, const struct expr *x, const struct value *in, struct value *ret);
int apply_unary(const struct expr *x, const struct value *in, struct value *ret); // of a scalar
int apply_histogram_quantile(struct eval *e, const struct expr *x, const struct value *in,
    int64_t t_ms, struct value *ret);
int apply_histogram_fraction(
    struct eval *e, const struct expr *x, const struct value *in, struct value *ret);

// mapping.c: operators that make one element of one: arithmetic and comparison with a scalar, unary
// signs, functions such as abs() and timestamp().
struct mapping {
    const struct expr *x;
    const struct vector *over;
    int (*fn)(struct eval *e, const struct mapping *m, struct element *el);
    double p[2];      // scalar parameters, or the scalar operand
    bool scalar_left; // it stands on the left
    bool unknown;     // a parameter came from a silent source
    bool silent;      // or is its last word
    bool keeps_name;
    bool nothing; // no element has a result
    int64_t t_ms;
};
bool maps_elements(const struct expr *x);
struct mapping mapping_of(const struct expr *x, const struct value *in, int64_t t_ms);
// Makes the result of an element in place, but for its labels. 1; 0 when it has none; -ENOMEM.
static inline int mapping_element(struct eval *e, const struct mapping *m, struct element *el)
{
    return el->state == ELEMENT_FILTERED || m->nothing ? 0 : m->fn(e, m, el);
}
int apply_mapping(struct eval *e, const struct mapping *m, struct value *ret);
// What mapping.c picks from: binary.c, call.c.
int map_scalar(struct eval *e, const struct mapping *m, struct element *el);
int map_sign(struct eval *e, const struct mapping *m, struct element *el);
int map_function(struct eval *e, const struct mapping *m, struct element *el);
int map_histogram_part(struct eval *e, const struct mapping *m, struct element *el);
int map_timestamp(struct eval *e, const struct mapping *m, struct element *el);
bool operator_keeps_name(const struct expr *x); // binary or unary

// What depends on labels only is apart from what depends on values, so that the incremental
// evaluator can keep the one and redo the other: aggregate.c, bucket.c, binary.c. `all` takes in
// FILTERED elements, which may have a value another time, unless their labels are LABELS_GONE: the
// series is forgotten.
extern const struct label LABELS_GONE[];
static inline bool element_gone(const struct element *el)
{
    return el->labels.l == LABELS_GONE;
}
#define GROUP_NONE UINT32_MAX
struct groups {
    uint32_t n;
    uint32_t *of;                 // group of each element, or GROUP_NONE
    const struct labels **member; // one of each group, to take the labels from
};
struct group;
int groups_find(struct eval *e, const struct expr *x, const struct vector *in, bool all,
    struct groups *ret);
int group_labels(
    struct eval *e, const struct expr *x, const struct labels *member, struct labels *ret);
// Everything but topk, bottomk and count_values; q is the parameter of quantile.
int groups_fold(struct eval *e, const struct expr *x, const struct vector *in,
    const struct groups *gs, double q, struct group **ret);
// Of group i, labels left out. 1; 0 when it has none; -ENOMEM.
int group_result(struct eval *e, const struct expr *x, const struct group *all, uint32_t i,
    struct element *ret);

void note_ignored(struct eval *e, const struct expr *x); // a histogram

// rank.c: topk and bottomk. Whether k can be one.
int rank_check(struct eval *e, const struct expr *x, double k);
int rank_apply(struct eval *e, const struct expr *x, const struct vector *in,
    const struct groups *gs, double k, struct value *ret);
// Which elements stay.
int rank_marks(struct eval *e, const struct expr *x, const struct vector *in,
    const struct groups *gs, double k, bool **ret);

struct bucket {
    double upper, count;
};
struct bucket_place {
    double upper;
    uint32_t place; // of the element
};
struct
    bucket_sets { // those of set i are bucket[first[i]] to bucket[first[i + 1]], upper rising
    uint32_t n;
    uint32_t *first;
    struct bucket_place *bucket;
    const struct labels **member;
};
int buckets_find(struct eval *e, const struct vector *in, bool all, struct bucket_sets *ret);
int bucket_labels(struct eval *e, const struct labels *member, struct labels *ret);
struct bucket *buckets_room(struct eval *e, const struct bucket_sets *s); // for bucket_result
// Of histogram_quantile() x and set i, labels left out. 1, 0 = none.
int bucket_result(struct eval *e, const struct expr *x, const struct vector *in,
    const struct bucket_sets *s, uint32_t i, const struct value *q, struct bucket *room,
    struct element *ret);

struct join_key match_key(const struct expr *x);
bool any_present(const struct vector *v);
// Of an element of the many side and its partner, labels left out. 1, 0 = none, -ENOMEM.
int pair_result(struct eval *e, const struct expr *x, const struct element *many,
    const struct element *one, struct element *ret);
int pair_labels(struct eval *e, const struct expr *x, const struct labels *many,
    const struct labels *one, struct labels *ret);
// What the other side of a set operator has for a key: an element_state, a value that is but a
// last word, or nothing.
enum { SIDE_LAST_WORD = ELEMENT_NO_DATA + 1, SIDE_NONE };
uint32_t side_join(uint32_t side, const struct element *el);
// `and` and `unless`: whether the element stays, and as what.
bool set_keeps(const struct expr *x, uint32_t side, struct element *el);

// label_fn.c. The new labels of all elements of v, which are those of the operand still.
int relabel(struct eval *e, const struct expr *x, const struct value *in, struct vector *v);
struct presence {
    bool value, silent;
};
struct presence presence_of(const struct vector *v);
bool absent_result(const struct presence *p, struct element *ret); // false: it is not absent
// Of what absent() says; selector is its argument.
int absent_labels(struct eval *e, const struct expr *selector, struct labels *ret);

// SPDX-License-Identifier: Apache-2.0
#include "rules/alert.h"
#include "rules/alert_set.h"
#include "rules/alert_slot.h"
#include <errno.h>
#include <stdlib.h>

#define LABEL_TEXT_MAX 65536

const char *alert_state_name(enum alert_state s)
{
    switch (s) {
    case ALERT_INACTIVE: return "inactive";
    case ALERT_PENDING: return "pending";
    case ALERT_FIRING: return "firing";
    }
    return "inactive";
}

// --- labels and annotations ------------------------------------------------------------------

// Expands one text into the arena. A mistake at run time is text too, and the alert still fires.
static int expand(
    const struct rule_text *t, const struct template_data *d, struct arena *a, const char **ret)
{
    if (!t->tmpl || template_is_plain(t->tmpl)) {
        *ret = t->text;
        return 0;
    }
    struct buf out;
    buf_init(&out, LABEL_TEXT_MAX);
    int rc = template_expand(t->tmpl, d, &out);
    *ret = rc == -ENOMEM ? NULL
                         : arena_strndup(a, out.data ? (const char *)out.data : "", out.len);
    buf_done(&out);
    return *ret ? 0 : -ENOMEM;
}

static int final_labels(const struct alert_step *step, const struct labels *own,
    const struct template_data *d, struct arena *a, struct labels *ret)
{
    const struct rule_group *g = step->group;
    const struct rule *r = step->rule;
    size_t room = own->n + g->n_labels + r->n_labels + 1, n = 0;
    struct label *pair = arena_alloc(a, room * sizeof(*pair));
    int rc = pair ? 0 : -ENOMEM;
    // Later pairs win: the element's own, the group's, the rule's, the name.
    for (size_t i = 0; rc == 0 && i < own->n; i++)
        if (strcmp(own->l[i].name, LABEL_NAME) != 0)
            pair[n++] = own->l[i];
    for (size_t i = 0; rc == 0 && i < g->n_labels; i++) {
        pair[n].name = g->labels[i].name;
        rc = expand(&g->labels[i], d, a, &pair[n++].value);
    }
    for (size_t i = 0; rc == 0 && i < r->n_labels; i++) {
        pair[n].name = r->labels[i].name;
        rc = expand(&r->labels[i], d, a, &pair[n++].value);
    }
    if (rc < 0)
        return rc;
    pair[n++] = (struct label){"alertname", r->name};
    return labels_make(a, pair, n, ret) ? 0 : -ENOMEM;
}

static struct labels *annotations(
    const struct alert_step *step, const struct template_data *d, struct arena *a)
{
    const struct rule *r = step->rule;
    struct label *pair = arena_alloc(a, (r->n_annotations + 1) * sizeof(*pair));
    struct labels made;
    if (!pair)
        return NULL;
    for (size_t i = 0; i < r->n_annotations; i++) {
        pair[i].name = r->annotations[i].name;
        if (expand(&r->annotations[i], d, a, &pair[i].value) < 0)
            return NULL;
    }
    if (!labels_make(a, pair, r->n_annotations, &made))
        return NULL;
    return labels_dup(&made);
}

// What its annotations say may be something else although the alert is the same.
static bool asks(const struct rule *r)
{
    for (size_t i = 0; i < r->n_annotations; i++)
        if (r->annotations[i].tmpl && template_uses_query(r->annotations[i].tmpl))
            return true;
    return false;
}

// --- one evaluation --------------------------------------------------------------------------

// What an element is going to do to an alert, worked out before anything changes.
struct intent {
    struct alert_slot *slot;    // NULL = nothing
    struct labels *annotations; // new ones, or NULL
    const struct element *el;
};

static int prepare_value(struct alert_set *s, const struct alert_step *step,
    const struct element *el, uint64_t hash, struct arena *text, struct intent *in,
    struct err *err)
{
    struct template_data d = {.labels = &el->labels,
        .value = el->value,
        .external_url = step->external_url,
        .external_labels = step->external_labels,
        .query = step->query,
        .query_ctx = step->query_ctx};
    struct labels labels;
    int rc = final_labels(step, &el->labels, &d, text, &labels);
    if (rc < 0)
        return rc;
    uint64_t fingerprint = labels_fingerprint(&labels);
    struct alert_slot *slot = alert_find_labels(s, fingerprint, &labels);
    in->el = el;
    if (slot && slot->seen == s->epoch) {
        err_set(
            err, "vector contains metrics with the same labelset after applying alert labels");
        return -EINVAL;
    }
    bool same = slot && slot->a.element_hash == hash &&
                slot->value_bits == double_bits(el->value) && !asks(step->rule);
    if (!same) {
        in->annotations = annotations(step, &d, text);
        if (!in->annotations)
            return -ENOMEM;
    }
    if (!slot) {
        slot = calloc(1, sizeof(*slot));
        if (!slot)
            return -ENOMEM;
        slot->a.labels = labels_dup(&labels);
        if (!slot->a.labels) {
            alert_slot_free(slot);
            return -ENOMEM;
        }
        slot->a.fingerprint = fingerprint;
        slot->a.id = ++*step->last_id;
        slot->a.element_hash = hash;
        s->slot[s->n++] = slot;
        alert_index_put(s, &s->by_fingerprint, s->n - 1);
        alert_index_put(s, &s->by_element, s->n - 1);
    }
    slot->seen = s->epoch;
    in->slot = slot;
    return 0;
}

static bool old_word(const struct alert_step *step, const struct element *el)
{
    return el->silent && step->rule->no_data == NO_DATA_KEEP && el->sample_ms &&
           step->t_ms - el->sample_ms > step->fresh_ms;
}

// Whether the element makes an alert pending.
static bool begins(const struct alert_step *step, const struct element *el)
{
    return (el->state == ELEMENT_VALUE && !old_word(step, el)) ||
           (el->state == ELEMENT_NO_DATA && step->rule->no_data == NO_DATA_ALERT);
}

// False by its threshold, but not past the second one.
static bool not_clear(const struct rule *r, const struct element *el)
{
    if (!r->has_clear || el->hist || double_bits(el->value) == NAN_ABSENT_BITS)
        return false;
    double v = el->value;
    return (r->clear_op == OP_GT && v > r->clear) || (r->clear_op == OP_GE && v >= r->clear) ||
           (r->clear_op == OP_LT && v < r->clear) || (r->clear_op == OP_LE && v <= r->clear);
}

// Whether it can carry an alert that is there already. What is merely false says nothing: the alert
// is not seen, that is all.
static bool goes_on(const struct alert_step *step, const struct element *el)
{
    switch (el->state) {
    case ELEMENT_VALUE: return true;
    case ELEMENT_NO_DATA: return step->rule->no_data != NO_DATA_RESOLVE;
    case ELEMENT_FILTERED: break;
    }
    return not_clear(step->rule, el);
}

static int prepare(struct alert_set *s, const struct alert_step *step, const struct vector *v,
    struct arena *text, struct intent *in, struct err *err)
{
    size_t before = s->n;
    for (size_t i = 0; i < v->n; i++) {
        const struct element *el = &v->e[i];
        arena_reset(text); // an alert keeps copies: many at once do not add up
        if (!begins(step, el) && (!before || !goes_on(step, el)))
            continue;
        uint64_t hash = labels_hash_without(&el->labels, NULL, 0);
        if (begins(step, el)) {
            int rc = prepare_value(s, step, el, hash, text, in, err);
            if (rc < 0)
                return rc;
        } else {
            in->slot = alert_find_element(s, hash);
            in->el = el;
        }
        in++;
    }
    return 0;
}

static void take_back(struct alert_set *s, size_t before, struct intent *in, size_t n)
{
    for (size_t i = 0; in && i < n; i++)
        free(in[i].annotations);
    for (size_t i = before; i < s->n; i++)
        alert_slot_free(s->slot[i]);
    s->n = before;
    alert_index_rebuild(s, &s->by_fingerprint);
    alert_index_rebuild(s, &s->by_element);
}

static void emit(struct transition_list *out, const struct rule_group *g, const struct rule *r,
    const struct alert *a, enum alert_state from, int64_t t_ms)
{
    out->t[out->n++] = (struct transition){
        .group = g, .rule = r, .alert = a, .from = from, .to = a->state, .at_ms = t_ms};
}

// What passes in silence is no time that an expression held.
static void count_silence(struct alert_slot *s, const struct element *el, int64_t t_ms)
{
    s->silent = el->silent || el->state == ELEMENT_NO_DATA;
    if (s->silent && s->a.state == ALERT_PENDING && t_ms > s->step_ms)
        s->a.silent_ms += t_ms - s->step_ms;
    if (t_ms > s->step_ms)
        s->step_ms = t_ms;
}

// An element that holds: born or going on, and firing when it has held long enough.
static void hold(
    const struct alert_step *step, struct intent *in, bool born, struct transition_list *out)
{
    struct alert *a = &in->slot->a;
    const struct element *el = in->el;
    enum alert_state from = a->state;
    int64_t cause = el->sample_ms ? el->sample_ms : step->t_ms;
    if (in->annotations) {
        free(a->annotations);
        a->annotations = in->annotations;
        in->annotations = NULL;
        in->slot->value_bits = double_bits(el->value);
        in->slot->a.element_hash = labels_hash_without(&el->labels, NULL, 0);
    }
    a->value = el->value;
    a->stale = el->silent || el->state == ELEMENT_NO_DATA;
    in->slot->held = false;
    a->keep_since_ms = 0;
    if (born) {
        a->state = ALERT_PENDING;
        a->active_at_ms = step->t_ms;
        a->cause_ms = cause;
    } else if (step->t_ms < a->active_at_ms) {
        a->active_at_ms = step->t_ms;
    }
    int64_t held = step->t_ms - a->active_at_ms - a->silent_ms;
    // A tick that lies in between and is still to be evaluated might say no.
    bool open = a->active_at_ms < step->open_tick_ms && step->open_tick_ms < step->t_ms;
    if (a->state == ALERT_PENDING && held >= step->rule->for_ms &&
        (step->grid || step->rule->for_ms == 0 || !open)) {
        a->state = ALERT_FIRING;
        a->fired_at_ms = step->t_ms;
        in->slot->misses = 0;
        if (!born)
            a->cause_ms = cause;
    } else if (a->state == ALERT_FIRING && step->grid && held < step->rule->for_ms) {
        a->state = ALERT_PENDING; // a reload made `for` longer
        a->fired_at_ms = 0;
    }
    if (a->state != from)
        emit(out, step->group, step->rule, a, from, step->t_ms);
}

// The expression does not hold for it at a grid tick. true = it is over.
static bool release(const struct alert_step *step, struct alert_slot *slot)
{
    struct alert *a = &slot->a;
    if (a->active_at_ms > step->t_ms)
        return false; // born after this tick, by an arrival
    // Of an earlier run, and those who could speak for it have not been heard since.
    if (slot->held && step->holds && step->holds(step->holds_ctx, a->labels))
        return false;
    slot->held = false;
    if (a->state == ALERT_PENDING && slot->misses < step->rule->for_tolerance) {
        slot->misses++;
        return false;
    }
    if (a->state == ALERT_FIRING && step->rule->keep_firing_for_ms > 0) {
        if (!a->keep_since_ms)
            a->keep_since_ms = step->t_ms;
        if (step->t_ms - a->keep_since_ms < step->rule->keep_firing_for_ms) {
            a->stale = false;
            return false;
        }
    }
    return true;
}

static void end(struct alert_set *s, const struct rule_group *g, const struct rule *r,
    struct alert_slot *slot, int64_t t_ms, struct transition_list *out)
{
    enum alert_state from = slot->a.state;
    slot->a.state = ALERT_INACTIVE;
    slot->a.stale = false;
    slot->a.resolved_at_ms = t_ms;
    if (slot->a.cause_ms < slot->a.fired_at_ms)
        slot->a.cause_ms = t_ms;
    if (from != ALERT_INACTIVE)
        emit(out, g, r, &slot->a, from, t_ms);
    s->ended[s->n_ended++] = slot;
}

static int by_labels(const void *a, const void *b)
{
    return labels_compare(
        (*(struct alert_slot *const *)a)->a.labels, (*(struct alert_slot *const *)b)->a.labels);
}

static void drop_all(struct alert_set *s, const struct rule_group *g, const struct rule *r,
    int64_t t_ms, struct transition_list *out)
{
    for (size_t i = 0; i < s->n; i++)
        end(s, g, r, s->slot[i], t_ms, out);
    s->n = 0;
    alert_index_rebuild(s, &s->by_fingerprint);
    alert_index_rebuild(s, &s->by_element);
}

int alert_set_drop(struct alert_set *s, const struct rule_group *g, const struct rule *r,
    int64_t t_ms, struct transition_list *out)
{
    int rc = alert_set_reserve(s, 0);
    if (rc == 0)
        rc = transition_list_reserve(out, s->n);
    if (rc == 0)
        drop_all(s, g, r, t_ms, out);
    return rc;
}

static void commit(struct alert_set *s, const struct alert_step *step, struct intent *in,
    size_t n, size_t before, struct transition_list *out)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        struct alert_slot *slot = in[i].slot;
        if (!slot)
            continue;
        if (begins(step, in[i].el)) {
            count_silence(slot, in[i].el, step->t_ms);
            hold(step, &in[i], slot->a.state == ALERT_INACTIVE, out);
        } else if (in[i].el->state != ELEMENT_FILTERED && slot->seen != s->epoch) {
            slot->seen = s->epoch;
            slot->a.stale = true;
            count_silence(slot, in[i].el, step->t_ms);
        } else if (in[i].el->state == ELEMENT_FILTERED && slot->a.state == ALERT_FIRING) {
            slot->seen = s->epoch;
            slot->a.stale = false;
            slot->a.keep_since_ms = 0;
            slot->a.value = in[i].el->value;
        }
    }
    bool over = false;
    for (size_t i = 0; i < s->n; i++) {
        struct alert_slot *slot = s->slot[i];
        if (slot->seen != s->epoch && step->grid && release(step, slot)) {
            end(s, step->group, step->rule, slot, step->t_ms, out);
            over = true;
        } else {
            s->slot[kept++] = slot;
        }
    }
    bool mixed = s->n > before || s->unsorted;
    s->n = kept;
    s->unsorted = false;
    if (mixed && s->n > 1)
        qsort(s->slot, s->n, sizeof(*s->slot), by_labels);
    if (mixed || over) {
        alert_index_rebuild(s, &s->by_fingerprint);
        alert_index_rebuild(s, &s->by_element);
    }
}

// What this step started was never to be seen: it leaves no transition, the rest ends.
static void drop_over_limit(struct alert_set *s, const struct alert_step *step, size_t first,
    struct transition_list *out)
{
    size_t kept = first;
    for (size_t i = first; i < out->n; i++)
        if (out->t[i].to == ALERT_INACTIVE)
            out->t[kept++] = out->t[i];
    out->n = kept;
    for (size_t i = 0; i < s->n; i++)
        s->slot[i]->a.state = s->slot[i]->before;
    drop_all(s, step->group, step->rule, step->t_ms, out);
}

int alert_set_step(struct alert_set *s, const struct alert_step *step, const struct vector *v,
    struct arena *scratch, struct transition_list *out, struct err *err)
{
    size_t before = s->n, held = 0, n = 0;
    struct intent *in = NULL;
    for (size_t i = 0; i < v->n; i++) {
        held += begins(step, &v->e[i]);
        n += begins(step, &v->e[i]) || goes_on(step, &v->e[i]);
    }
    if (!before && !held)
        return 0;
    s->epoch++;
    int rc = alert_set_reserve(s, held);
    if (rc == 0)
        rc = transition_list_reserve(out, 2 * (before + held));
    if (rc == 0 && n) {
        struct arena text;
        arena_init(&text, 0);
        in = arena_alloc(scratch, n * sizeof(*in));
        rc = in ? prepare(s, step, v, &text, in, err) : -ENOMEM;
        arena_done(&text);
    }
    if (rc < 0) {
        take_back(s, before, in, n);
        return rc;
    }
    size_t first = out->n, limit = step->group->limit;
    for (size_t i = 0; i < s->n; i++)
        s->slot[i]->before = s->slot[i]->a.state;
    commit(s, step, in, n, before, out);
    if (!limit || s->n <= limit)
        return 0;
    err_set(err, "exceeded limit of %zu with %zu alerts", limit, s->n);
    drop_over_limit(s, step, first, out);
    return -EINVAL;
}

// SPDX-License-Identifier: Apache-2.0
// The warnings and infos that more than one operator has.
#include "base/num.h"
#include "rules/eval_node.h"

void note_operation(
    struct eval *e, const struct expr *at, unsigned histogram_notes, const char *during)
{
    if (histogram_notes & HISTOGRAM_COLLISION)
        eval_note(e, at, ANNOTATION_WARNING, "conflicting counter resets during histogram %s",
            during);
    if (histogram_notes & HISTOGRAM_RECONCILED)
        eval_note(e, at, ANNOTATION_INFO, "mismatched custom buckets were reconciled during %s",
            during);
}

void note_metric(struct eval *e, const struct expr *at, enum annotation_kind kind,
    const char *what, const struct labels *s)
{
    struct buf name;
    if (!e->annotations)
        return;
    const char *metric = labels_get(s, LABEL_NAME);
    buf_init(&name, 4096);
    label_quote(metric, strlen(metric), &name);
    eval_note(e, at, kind, "%s %s", what, buf_cstr(&name));
    e->annotations->failed |= name.failed != 0;
    buf_done(&name);
}

void note_quantile(struct eval *e, const struct expr *at, double q)
{
    char text[NUM_TEXT_MAX];
    if (!e->annotations || (q >= 0 && q <= 1))
        return;
    text[num_short(q, text)] = '\0';
    eval_note(
        e, at, ANNOTATION_WARNING, "quantile value should be between 0 and 1, got %s", text);
}

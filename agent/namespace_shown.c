// SPDX-License-Identifier: Apache-2.0
#include "agent/namespace_shown.h"

void namespace_declare(struct namespace_shown *w, struct output *o, const char *netns)
{
    static const struct {
        const char *name, *job, *label, *value;
        enum series_kind kind;
    } SERIES[NAMESPACE_SERIES] = {
        [NAMESPACE_LOST] = {"tocsin_agent_events_lost_total", "tocsin", "source", "tcp.destroy",
            SERIES_COUNTER},
        [NAMESPACE_TOLD] = {"tocsin_agent_events_subscribed", "tocsin", "source", "tcp.destroy",
            SERIES_STATE},
        [NAMESPACE_COVERED] = {"tocsin_agent_coverage_ratio", "tocsin", "source", "tcp.destroy",
            SERIES_GAUGE},
        [NAMESPACE_REFUSED] = {"tocsin_connects_failed_total", "node", "error", "refused",
            SERIES_COUNTER},
        [NAMESPACE_UNANSWERED] = {"tocsin_connects_failed_total", "node", "error", "unanswered",
            SERIES_COUNTER},
    };
    for (size_t i = 0; i < NAMESPACE_SERIES; i++) {
        const struct wire_label labels[] = {
            {"job", SERIES[i].job}, {SERIES[i].label, SERIES[i].value}, {"netns", netns}};
        w->ids[i] = output_series(o, SERIES[i].name, labels, 3, SERIES[i].kind, "");
    }
}

void namespace_closed(struct namespace_shown *w, const struct sockdiag *k)
{
    // Bytes acknowledged count the SYN.
    if (!(k->have & SOCKDIAG_HAS_RATE) || k->bytes_acked > 0 || k->segments_out == 0)
        return;
    if (k->segments_in > 0)
        w->refused++;
    else
        w->unanswered++;
}

void namespace_show(const struct namespace_shown *w, struct output *o, uint64_t lost, bool told)
{
    double ratio;

    output_set(o, w->ids[NAMESPACE_LOST], (double)lost);
    output_set(o, w->ids[NAMESPACE_TOLD], told);
    output_set(o, w->ids[NAMESPACE_REFUSED], (double)w->refused);
    output_set(o, w->ids[NAMESPACE_UNANSWERED], (double)w->unanswered);
    if (coverage_ratio(&w->coverage, &ratio))
        output_set(o, w->ids[NAMESPACE_COVERED], ratio);
}

void namespace_end(const struct namespace_shown *w, struct output *o)
{
    for (size_t i = 0; i < NAMESPACE_SERIES; i++)
        output_end(o, w->ids[i]);
}

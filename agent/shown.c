// SPDX-License-Identifier: Apache-2.0
#include "agent/shown.h"
#include "agent/listen.h"
#include <stdio.h>
#include <stdlib.h>

void listen_labels(
    const struct service *s, struct wire_label labels[static LISTEN_LABELS], char buf[static 8])
{
    // A label that is empty is none: a service has a port or a path.
    buf[0] = '\0';
    if (!s->path[0])
        snprintf(buf, 8, "%u", s->port);
    labels[0] = (struct wire_label){"job", "service"};
    labels[1] = (struct wire_label){"port", buf};
    labels[2] = (struct wire_label){"service", s->name};
    labels[3] = (struct wire_label){"netns", s->netns};
    labels[4] = (struct wire_label){"path", s->path};
}

void shown_declare(struct service *s, struct output *o)
{
    struct wire_label labels[LISTEN_LABELS + 1];
    char port[8];
    struct shown *w = calloc(1, sizeof(*w));

    s->data[0] = w;
    if (!w)
        return;
    listen_labels(s, labels, port);
    w->listening =
        output_series(o, "tocsin_service_listening", labels, LISTEN_LABELS, SERIES_STATE, "");
    w->queue = output_series(
        o, "tocsin_service_accept_queue_length", labels, LISTEN_LABELS, SERIES_GAUGE, "");
    w->queue_max = output_series(
        o, "tocsin_service_accept_queue_length_max", labels, LISTEN_LABELS, SERIES_GAUGE, "");
    w->limit = output_series(
        o, "tocsin_service_accept_queue_limit", labels, LISTEN_LABELS, SERIES_GAUGE, "");
    w->drops = output_series(
        o, "tocsin_service_listen_drops_total", labels, LISTEN_LABELS, SERIES_COUNTER, "");
    for (int i = 0; i < SERVICE_STATES; i++) {
        labels[LISTEN_LABELS] =
            (struct wire_label){"state", service_state_name((enum service_state)i)};
        w->state[i] = output_series(
            o, "tocsin_service_state", labels, LISTEN_LABELS + 1, SERIES_STATE, "");
    }
}

void shown_state(const struct shown *w, struct output *o, const struct service *s)
{
    // During the grace `listening` stays 1, so that a rule on it is silent over a restart.
    output_set(o, w->listening, s->state == SERVICE_UP || s->state == SERVICE_STARTING);
    for (int i = 0; i < SERVICE_STATES; i++)
        output_set(o, w->state[i], s->state == (enum service_state)i);
}

void shown_end(const struct shown *w, struct output *o)
{
    output_end(o, w->listening);
    output_end(o, w->queue);
    output_end(o, w->queue_max);
    output_end(o, w->limit);
    output_end(o, w->drops);
    for (int i = 0; i < SERVICE_STATES; i++)
        output_end(o, w->state[i]);
}

void shown_free(struct service *s)
{
    struct shown *w = s->data[0];

    if (w)
        oom_watch_done(&w->oom);
    free(w);
    s->data[0] = NULL;
}

void shown_look_begin(struct shown *w)
{
    if (w)
        w->queue_now = w->limit_now = 0;
}

void shown_look_add(struct shown *w, const struct sockdiag *k, uint32_t *drops)
{
    if (!w)
        return;
    w->queue_now += k->receive_queue;
    w->limit_now += k->send_queue;
    if (k->have & SOCKDIAG_HAS_DROPS) {
        w->drops_total += (uint32_t)(k->drops - *drops);
        w->dropped |= w->drops_known && k->drops != *drops;
        w->drops_known = true;
        *drops = k->drops;
    }
}

bool shown_look_end(struct shown *w)
{
    if (!w)
        return false;
    if (w->queue_now > w->queue_top)
        w->queue_top = w->queue_now;
    bool dropped = w->dropped;
    w->dropped = false;
    return dropped;
}

void shown_queues(struct shown *w, struct output *o)
{
    output_set(o, w->queue, w->queue_now);
    output_set(o, w->queue_max, w->queue_top);
    output_set(o, w->limit, w->limit_now);
    if (w->drops_known)
        output_set(o, w->drops, (double)w->drops_total);
    w->queue_top = w->queue_now;
}

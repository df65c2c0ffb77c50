// SPDX-License-Identifier: Apache-2.0
#include "tests/conformance/alert_model.h"
#include "tests/conformance/history.h"
#include <stdlib.h>
#include <string.h>

const char *alert_labels(struct arena *a, const struct labels *of, const char *alertname)
{
    struct label pair[32];
    struct labels made;
    struct buf text;
    size_t n = 0;
    for (size_t i = 0; i < of->n && n < 30; i++)
        if (strcmp(of->l[i].name, LABEL_NAME) != 0)
            pair[n++] = of->l[i];
    pair[n++] = (struct label){"severity", "page"};
    pair[n++] = (struct label){"alertname", alertname};
    buf_init(&text, 65536);
    if (!labels_make(a, pair, n, &made))
        abort();
    labels_print_flat(&made, &text);
    const char *ret = arena_strndup(a, buf_cstr(&text), text.len);
    buf_done(&text);
    if (!ret)
        abort();
    return ret;
}

static struct modelled *find(struct alert_model *m, const char *labels)
{
    for (size_t i = 0; i < m->n; i++)
        if (!strcmp(m->a[i].labels, labels))
            return &m->a[i];
    return NULL;
}

bool alert_model_step(struct alert_model *m, int64_t t_ms, int rc, const struct value *v)
{
    const char *now[MODEL_ALERTS_MAX];
    struct element one = {.value = v->scalar};
    size_t n = 0, left = 0;
    if (rc < 0)
        return false;
    for (size_t i = 0; i < (v->type == TYPE_SCALAR ? 1 : v->vector.n); i++) {
        const struct element *el = v->type == TYPE_SCALAR ? &one : &v->vector.e[i];
        if (el->state != ELEMENT_VALUE)
            continue;
        if (n == MODEL_ALERTS_MAX)
            abort();
        now[n] = alert_labels(m->arena, &el->labels, m->name);
        for (size_t k = 0; k < n; k++)
            if (!strcmp(now[k], now[n]))
                return false; // two alerts of one label set: a failed evaluation
        n++;
    }
    for (size_t i = 0; i < n; i++)
        if (!find(m, now[i])) {
            if (m->n == MODEL_ALERTS_MAX)
                abort();
            m->a[m->n++] = (struct modelled){now[i], ALERT_PENDING, t_ms, -1};
        }
    for (size_t i = 0; i < m->n; i++) {
        struct modelled a = m->a[i];
        bool holds = false;
        for (size_t k = 0; k < n; k++)
            holds |= !strcmp(now[k], a.labels);
        if (holds)
            a.keep_since_ms = -1;
        else if (a.state == ALERT_FIRING && a.keep_since_ms < 0)
            a.keep_since_ms = t_ms;
        if (!holds && (a.state == ALERT_PENDING || t_ms - a.keep_since_ms >= m->keep_ms))
            continue; // ends
        if (holds && a.state == ALERT_PENDING && t_ms - a.active_at_ms >= m->for_ms)
            a.state = ALERT_FIRING;
        m->a[left++] = a;
    }
    m->n = left;
    return true;
}

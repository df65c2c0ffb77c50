// SPDX-License-Identifier: Apache-2.0
#include "agent/listen_state.h"
#include "agent/shown.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ROUNDS     7 // looks from dump to dump
#define RETURN_NS  (60 * NS_PER_S)
#define SLICE_NS   (2 * NS_PER_MS)
#define DUMP_TRIES 3

static int64_t now_ns(const struct listen *l)
{
    return clock_mono_ns(&l->sampler->env->clock);
}

// --- the dump ------------------------------------------------------------------------------------

static void owners_to(struct listen *l, struct service *s, const struct naming_item *i)
{
    naming_owners(&l->naming, i, s);
    l->owned = l->owned || i->n_owners > 0;
}

static struct service_socket *named(struct listen *l, struct naming_item *i, int64_t now)
{
    const struct sockdiag *d = &i->socket;
    struct service_listener up = {
        .cookie = d->cookie,
        .name = i->name,
        .port = d->local_port,
        .loopback = sockdiag_is_loopback(d->local),
        .ephemeral_port = port_range_has(&l->range, d->local_port),
        .present = i->present,
    };
    struct service_socket *k = services_up(&l->services, &up, now);

    if (k) {
        struct shown *w = k->service->data[0];
        char unit[IDENTITY_NAME_MAX];
        const char *path = naming_cgroup(&l->naming, d);
        owners_to(l, k->service, i);
        // A session's or the root's cgroup holds more than this service.
        if (w && path && identity_cgroup_name(path, unit))
            oom_watch_init(&w->oom, &l->naming.roots, path);
    }
    naming_drop(&l->naming, i);
    return k;
}

static void look_for_owners(struct listen *l)
{
    for (size_t i = 0; i < l->view.n; i++) {
        struct service_socket *k = services_seen(&l->services, l->view.sockets[i].cookie);
        struct naming_item *item;
        if (!k || !service_owners_unknown(k->service) ||
            !(item = naming_add(&l->naming, &l->view.sockets[i], true, l->first)))
            continue;
        // Once: whom we cannot find now we shall not find at the next look.
        service_owners_clear(k->service);
        if (naming_is_done(item)) {
            owners_to(l, k->service, item);
            naming_drop(&l->naming, item);
        }
    }
}

bool listen_oom_killed(struct listen *l, const struct service *s)
{
    struct shown *w = s->data[0];

    return w && oom_watch_hit(&w->oom, &l->naming.roots);
}

static void use_view(struct listen *l)
{
    int64_t now = now_ns(l);

    for (struct service *s = l->services.list; s; s = s->next)
        shown_look_begin(s->data[0]);
    memset(l->ports, 0, sizeof(l->ports));
    services_begin(&l->services);
    for (size_t i = 0; i < l->view.n; i++) {
        const struct sockdiag *d = &l->view.sockets[i];
        struct service_socket *k = services_seen(&l->services, d->cookie);
        struct naming_item *item;
        if (!k && (item = naming_add(&l->naming, d, false, l->first)) && naming_is_done(item) &&
            !item->searching)
            k = named(l, item, now);
        if (!k)
            continue;
        l->ports[d->local_port / 8] |= (uint8_t)(1u << d->local_port % 8);
        shown_look_add(k->service->data[0], d, &k->drops);
    }
    services_end(&l->services, now);
    l->first = false;
    for (struct service *s = l->services.list; s; s = s->next)
        if (shown_look_end(s->data[0]))
            news_drops(&l->news, s);
    queues_learn(&l->queues, l->view.sockets, l->view.n);
    for (size_t i = 0; i < l->queues.n; i++)
        l->asked[i] = services_seen(&l->services, l->queues.cookies[i]);
    if (l->naming.n > 0)
        naming_keep(&l->naming, listen_view_has, &l->view);
    look_for_owners(l);
    // Without the right to be told of deaths this is the evidence there is.
    for (struct service *s = l->services.list; s; s = s->next)
        if (s->state == SERVICE_STARTING && listen_oom_killed(l, s))
            services_oom(&l->services, s, now);
    services_advance(&l->services, now);
}

static void tell_owners(struct listen *l)
{
    const struct listen *own = l->own ? l->own : l;

    if (l->owned && own->on_owners)
        own->on_owners(own->on_owners_ctx);
    l->owned = false;
}

void listen_dump(struct listen *l)
{
    int rc = -EAGAIN;

    for (int i = 0; i < DUMP_TRIES && rc == -EAGAIN; i++)
        rc = listen_view_read(&l->view, &l->dump);
    if (rc == 0) {
        use_view(l);
    } else if (rc != -EAGAIN) {
        snprintf(
            l->sampler->reason, sizeof(l->sampler->reason), "listener dump: %s", strerror(-rc));
        services_advance(&l->services, now_ns(l));
    }
    tell_owners(l);
}

// --- the search for names and owners -------------------------------------------------------------

static void take_owners(struct listen *l)
{
    for (size_t i = 0; i < l->naming.n;) {
        struct naming_item *item = &l->naming.items[i];
        if (!item->again || !item->searched) {
            i++;
            continue;
        }
        struct service_socket *k = services_seen(&l->services, item->socket.cookie);
        if (k) {
            service_owners_clear(k->service);
            owners_to(l, k->service, item);
        }
        naming_drop(&l->naming, item);
    }
}

void listen_search(struct listen *l)
{
    switch (naming_step(&l->naming, SLICE_NS)) {
    case NAMING_IDLE: break;
    case NAMING_MORE: loop_timer_set(l->slice, now_ns(l)); break; // after the loop has turned
    case NAMING_OVER:
        take_owners(l);
        listen_dump(l); // the sockets may be gone by now
        break;
    }
}

// --- looks ---------------------------------------------------------------------------------------

void listen_look(struct listen *l)
{
    listen_dump(l);
    if (l->naming.n > 0 && !naming_is_searching(&l->naming))
        listen_search(l);
}

bool listen_is_at_rest(const struct listen *l)
{
    if (l->naming.n > 0 ||
        (l->services.went_ns && now_ns(l) - l->services.went_ns <= RETURN_NS))
        return false;
    for (const struct service *s = l->services.list; s; s = s->next) {
        const struct shown *w = s->data[0];
        if (w && w->queue_now > 0)
            return false;
    }
    return true;
}

// A dump costs three times what the other looks do.
static bool is_dump_due(struct listen *l)
{
    if (l->services.went_ns == 0 || now_ns(l) - l->services.went_ns > RETURN_NS)
        queues_gone_forget(&l->queues);
    return l->own || pulse_is_quiet(l->sampler->env->pulse) || ++l->round % ROUNDS == 0 ||
           l->naming.n > 0;
}

// Between dumps: how full are the queues of those we know? False: a dump is wanted.
bool listen_queues(struct listen *l)
{
    if (is_dump_due(l) || queues_ask(&l->queues, &l->dump, l->view.sockets) != 0)
        return false;
    // Of the services without a socket there is nothing to count.
    for (size_t i = 0; i < l->queues.n; i++)
        if (l->asked[i])
            shown_look_begin(l->asked[i]->service->data[0]);
    for (size_t i = 0; i < l->queues.n; i++)
        if (l->asked[i])
            shown_look_add(
                l->asked[i]->service->data[0], &l->view.sockets[i], &l->asked[i]->drops);
    for (size_t i = 0; i < l->queues.n; i++)
        if (l->asked[i] && shown_look_end(l->asked[i]->service->data[0]))
            news_drops(&l->news, l->asked[i]->service);
    int64_t now = now_ns(l);
    if (now >= l->services.due_ns)
        services_advance(&l->services, now);
    return true;
}

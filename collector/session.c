// SPDX-License-Identifier: Apache-2.0
#include "collector/session.h"
#include "base/map.h"
#include "collector/demands.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WORDS    (SESSION_WINDOW / 64)
#define EVICT_MS 60000

struct session {
    struct session *next;
    uint8_t agent_id[16];
    uint64_t epoch, nonce; // nonce 0 and no chains: known from the inventory only
    bool heard;
    struct chain_in *lane[2];
    uint64_t newest;   // highest seq taken, 0 = none
    uint64_t whole_to; // every frame from the floor to this one was taken
    uint64_t seen[WORDS];
    int64_t skew_ms, slewed_at_ms;
    int64_t last_ms; // last body, monotonic
    size_t connections;
    struct repair_hearing hearing;
    uint64_t demand; // number of the one it was told last
    int64_t demand_ms;
    bool need_key; // of the body at hand
    uint32_t not_held;
};

struct sessions {
    struct map by_agent;
    struct session *first;
    size_t max;
};

struct sessions *sessions_new(size_t max)
{
    struct sessions *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->max = max;
    map_init(&t->by_agent);
    return t;
}

static void drop_chains(struct session *s)
{
    chain_in_free(s->lane[0]);
    chain_in_free(s->lane[1]);
    s->lane[0] = s->lane[1] = NULL;
}

void sessions_free(struct sessions *t)
{
    if (!t)
        return;
    while (t->first) {
        struct session *next = t->first->next;
        drop_chains(t->first);
        free(t->first);
        t->first = next;
    }
    map_done(&t->by_agent);
    free(t);
}

size_t sessions_count(const struct sessions *t)
{
    return t->by_agent.n;
}

// The one without a connection that was silent longest makes room.
static bool evict(struct sessions *t, int64_t mono_ms)
{
    struct session **oldest = NULL;
    for (struct session **at = &t->first; *at; at = &(*at)->next)
        if ((*at)->connections == 0 && mono_ms - (*at)->last_ms > EVICT_MS &&
            (!oldest || (*at)->last_ms < (*oldest)->last_ms))
            oldest = at;
    if (!oldest)
        return false;
    struct session *s = *oldest;
    *oldest = s->next;
    map_del(&t->by_agent, s->agent_id, 16);
    drop_chains(s);
    free(s);
    return true;
}

static struct session *session_add(
    struct sessions *t, const uint8_t agent_id[16], int64_t mono_ms)
{
    if (t->by_agent.n >= t->max && !evict(t, mono_ms))
        return NULL;
    struct session *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    memcpy(s->agent_id, agent_id, 16);
    s->last_ms = mono_ms;
    if (map_set(&t->by_agent, agent_id, 16, s) < 0) {
        free(s);
        return NULL;
    }
    s->next = t->first;
    t->first = s;
    return s;
}

int sessions_known(struct sessions *t, const uint8_t agent_id[16], uint64_t epoch)
{
    if (map_get(&t->by_agent, agent_id, 16))
        return 0;
    struct session *s = session_add(t, agent_id, 0);
    if (!s)
        return -ENOMEM;
    s->epoch = epoch;
    return 0;
}

// --- clock -------------------------------------------------------------------------------------

static int64_t round_ms(int64_t us)
{
    return (us + (us < 0 ? -500 : 500)) / 1000;
}

// Within the tolerance two clocks count as one: the same host must not see its samples moved.
static int64_t near_zero(int64_t ms)
{
    return ms > -SESSION_SLEW_MS && ms < SESSION_SLEW_MS ? 0 : ms;
}

static void clock_start(
    struct session *s, const struct push *p, int64_t received_us, int64_t mono_ms)
{
    bool measured = p->round_trip_us > 0;
    s->skew_ms = near_zero(round_ms(measured ? p->clock_offset_us : received_us - p->sent_us));
    s->slewed_at_ms = mono_ms;
}

static void clock_follow(struct session *s, const struct push *p, int64_t mono_ms)
{
    int64_t passed = mono_ms - s->slewed_at_ms;
    s->slewed_at_ms = mono_ms;
    if (p->round_trip_us <= 0)
        return;
    int64_t off = round_ms(p->clock_offset_us) - s->skew_ms;
    if (off > -SESSION_SLEW_MS && off < SESSION_SLEW_MS)
        return;
    if (off > SESSION_STEP_MS || off < -SESSION_STEP_MS) {
        s->skew_ms += off;
        return;
    }
    int64_t step = passed / 10;
    if (off > 0)
        s->skew_ms += off < step ? off : step;
    else
        s->skew_ms -= -off < step ? -off : step;
}

int64_t session_skew_ms(const struct session *s)
{
    return s->skew_ms;
}

// --- which session -----------------------------------------------------------------------------

static void begin(struct session *s, const struct push *p, int64_t received_us, int64_t mono_ms)
{
    drop_chains(s);
    memset(s->seen, 0, sizeof(s->seen));
    s->newest = s->whole_to = 0;
    s->epoch = p->session.epoch;
    s->nonce = p->session.nonce;
    s->heard = true;
    clock_start(s, p, received_us, mono_ms);
}

enum session_verdict session_of(struct sessions *t, const struct push *p, int64_t received_us,
    int64_t mono_ms, struct session **ret)
{
    const struct wire_session *w = &p->session;
    struct session *s = map_get(&t->by_agent, w->agent_id, 16);
    if (!s) {
        s = session_add(t, w->agent_id, mono_ms);
        if (!s)
            return SESSION_FULL;
    }
    if (w->epoch < s->epoch)
        return SESSION_OLD;
    bool other = !s->heard || w->epoch > s->epoch || w->nonce != s->nonce;
    if (s->heard && w->epoch == s->epoch && w->nonce != s->nonce &&
        (s->connections > 0 || mono_ms - s->last_ms < SESSION_CLONE_MS))
        return SESSION_CLONE;
    if (other)
        begin(s, p, received_us, mono_ms);
    else
        clock_follow(s, p, mono_ms);
    s->last_ms = mono_ms;
    *ret = s;
    return SESSION_OK;
}

const char *session_reason(enum session_verdict v)
{
    switch (v) {
    case SESSION_OK: return NULL;
    case SESSION_OLD: return "this session is older than one already known of this agent";
    case SESSION_CLONE:
        return "another agent is using this agent id: was its state directory copied?";
    case SESSION_FULL: return "the collector knows as many agents as it can";
    }
    return NULL;
}

// --- which frames ------------------------------------------------------------------------------

// Below what the agent still holds, and below the window, nothing is missing any more.
static uint64_t floor_seq(const struct session *s, uint64_t oldest_held)
{
    uint64_t low = s->newest > SESSION_WINDOW ? s->newest - SESSION_WINDOW + 1 : 1;
    return oldest_held > low ? oldest_held : low;
}

static bool seen(const struct session *s, uint64_t seq)
{
    if (seq > s->newest)
        return false;
    if (seq + SESSION_WINDOW <= s->newest)
        return true; // too long ago to be told: safer to lose it than to have it twice
    size_t bit = seq % SESSION_WINDOW;
    return s->seen[bit / 64] >> (bit % 64) & 1;
}

static void mark(struct session *s, uint64_t seq)
{
    if (seq > s->newest) {
        uint64_t gap = seq - s->newest;
        if (gap >= SESSION_WINDOW)
            memset(s->seen, 0, sizeof(s->seen));
        else
            for (uint64_t k = s->newest + 1; k <= seq; k++)
                s->seen[k % SESSION_WINDOW / 64] &= ~(UINT64_C(1) << (k % 64));
        s->newest = seq;
    }
    size_t bit = seq % SESSION_WINDOW;
    s->seen[bit / 64] |= UINT64_C(1) << (bit % 64);
    while (s->whole_to < s->newest && seen(s, s->whole_to + 1))
        s->whole_to++;
}

static bool fresh(struct session *s, uint64_t seq)
{
    if (seen(s, seq))
        return false;
    mark(s, seq);
    return true;
}

// Must this frame be decoded? A frame we have may still be wanted as the base of those after it.
static bool wanted(const struct session *s, int lane, uint64_t seq, uint64_t base)
{
    uint64_t held = s->lane[lane] ? chain_in_seq(s->lane[lane]) : 0;
    if (!seen(s, seq))
        return true;
    if (base == 0)
        return lane == 1 ||
               held < seq; // live: a repeated key frame must not move the chain back
    return base == held;
}

enum session_take session_frame(struct session *s, const struct push *p, size_t i,
    struct arena *a, struct batch *ret, struct err *err)
{
    uint64_t seq, base;
    int lane = p->lane == 1;
    int rc = push_peek(p, i, &seq, &base);
    if (rc < 0) {
        err_set(err, "frame %zu of the body is not a frame", i);
        return SESSION_BROKEN;
    }
    if (!wanted(s, lane, seq, base))
        return SESSION_DUPLICATE;
    if (!s->lane[lane] && !(s->lane[lane] = chain_in_new()))
        return SESSION_NO_MEMORY;
    rc = push_frame(p, i, s->lane[lane], a, ret, err);
    if (rc == -ESTALE) {
        s->need_key = true;
        s->not_held++;
        return SESSION_NOT_HELD;
    }
    if (rc == -ENOMEM) {
        s->need_key = true;
        return SESSION_NO_MEMORY;
    }
    if (rc < 0) {
        s->need_key = true;
        return SESSION_BROKEN;
    }
    if (!fresh(s, seq))
        return SESSION_DUPLICATE;
    // The agent's clock was set: its stamps jump, our time for them must not.
    if (lane == 0 && ret->clock_step_ms)
        s->skew_ms -= ret->clock_step_ms;
    return SESSION_TAKEN;
}

void session_body_begin(struct session *s)
{
    s->need_key = false;
    s->not_held = 0;
}

void session_reply(struct session *s, const struct push *p, struct wire_reply *ret)
{
    ret->accepted_seq = s->newest;
    ret->need_key_frame = s->need_key;
    ret->frames_not_held = s->not_held;
    ret->resume_from = ret->resume_to = 0;
    if (s->newest == 0) {
        // Nothing yet: all it holds is wanted, as soon as there is something.
        if (p->session.newest_seq)
            ret->resume_from = p->session.oldest_seq;
        return;
    }
    // What is below the floor counts as there, so the walk begins where the last one ended.
    uint64_t low = floor_seq(s, p->session.oldest_seq);
    if (low > s->whole_to + 1)
        s->whole_to = low - 1;
    while (s->whole_to < s->newest && seen(s, s->whole_to + 1))
        s->whole_to++;
    uint64_t k = s->whole_to + 1;
    if (k > s->newest)
        return;
    ret->resume_from = k;
    while (k < s->newest && !seen(s, k + 1))
        k++;
    ret->resume_to = k;
}

// --- connections -------------------------------------------------------------------------------

void session_connect(struct session *s)
{
    s->connections++;
}

bool session_disconnect(struct session *s)
{
    return --s->connections == 0;
}

const uint8_t *session_agent(const struct session *s)
{
    return s->agent_id;
}

bool session_demand_due(struct session *s, uint64_t number, int64_t mono_ms)
{
    if (s->demand == number && mono_ms - s->demand_ms < DEMANDS_AGAIN_MS)
        return false;
    s->demand = number;
    s->demand_ms = mono_ms;
    return true;
}

struct repair_hearing *session_hearing(struct session *s)
{
    return &s->hearing;
}

// SPDX-License-Identifier: Apache-2.0
#include "base/regex_program.h"
#include "base/rune.h"
#include <string.h>

struct place {
    const char *text;
    size_t len, at;
};

static bool word_at(const struct place *p, size_t at)
{
    if (at >= p->len)
        return false;
    char c = p->text[at];
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '_';
}

static bool holds(enum regex_kind what, const struct place *p)
{
    bool edge = word_at(p, p->at) != (p->at > 0 && word_at(p, p->at - 1));
    switch ((int)what) {
    case RX_BEGIN_TEXT: return p->at == 0;
    case RX_END_TEXT: return p->at == p->len;
    case RX_BEGIN_LINE: return p->at == 0 || p->text[p->at - 1] == '\n';
    case RX_END_LINE: return p->at == p->len || p->text[p->at] == '\n';
    case RX_WORD_EDGE: return edge;
    default: return !edge;
    }
}

// Follows what reads nothing from pc, in order of preference, and adds the rest to the list. Each
// instruction enters a list once, so the stack needs at most two entries per instruction.
static void follow(const struct regex *re, struct regex_threads *t, uint32_t pc,
    const struct place *p, int *saves)
{
    struct regex_pending *stack = re->pending;
    size_t depth = 0;

    stack[depth++] = (struct regex_pending){pc, -1, 0};
    while (depth) {
        struct regex_pending top = stack[--depth];
        if (top.save >= 0) {
            saves[top.save] = top.old;
            continue;
        }
        pc = top.pc;
        for (bool more = true; more;) {
            if (t->sparse[pc] < t->n && t->dense[t->sparse[pc]] == pc)
                break;
            uint32_t at = t->n++;
            t->sparse[pc] = at;
            t->dense[at] = pc;
            const struct regex_inst *in = &re->prog[pc];
            switch (in->op) {
            case OP_RX_SPLIT:
                stack[depth++] = (struct regex_pending){in->y, -1, 0};
                pc = in->x;
                break;
            case OP_RX_JUMP: pc = in->x; break;
            case OP_RX_SAVE:
                if (saves) {
                    stack[depth++] = (struct regex_pending){0, (int)in->y, saves[in->y]};
                    saves[in->y] = (int)p->at;
                }
                pc = in->x;
                break;
            case OP_RX_ASSERT:
                more = holds((enum regex_kind)in->y, p);
                pc = in->x;
                break;
            case OP_RX_CHAR:
            case OP_RX_CLASS:
            case OP_RX_ANY:
            case OP_RX_ANY_IN_LINE:
            case OP_RX_MATCH:
                if (saves && re->n_saves)
                    memcpy(&t->saves[at * (size_t)re->n_saves], saves,
                        (size_t)re->n_saves * sizeof(int));
                more = false;
                break;
            }
        }
    }
}

static bool in_class(const struct regex *re, const struct regex_inst *in, uint32_t rune)
{
    size_t lo = in->y, hi = in->y + in->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (rune > re->ranges[mid].hi)
            lo = mid + 1;
        else if (rune < re->ranges[mid].lo)
            hi = mid;
        else
            return true;
    }
    return false;
}

static bool takes(const struct regex *re, const struct regex_inst *in, uint32_t rune)
{
    switch (in->op) {
    case OP_RX_CHAR: return in->y == rune;
    case OP_RX_CLASS: return in_class(re, in, rune);
    case OP_RX_ANY: return true;
    case OP_RX_ANY_IN_LINE: return rune != '\n';
    case OP_RX_SPLIT:
    case OP_RX_JUMP:
    case OP_RX_SAVE:
    case OP_RX_ASSERT:
    case OP_RX_MATCH: return false;
    }
    return false;
}

bool regex_run(const struct regex *re, const char *text, size_t len, int *saves)
{
    struct regex_threads now = re->now, then = re->then;
    struct place p = {text, len, 0};
    size_t n_saves = saves ? (size_t)re->n_saves : 0;
    int *current = saves ? re->saves : NULL;

    now.n = 0;
    for (size_t i = 0; i < n_saves; i++)
        current[i] = -1;
    follow(re, &now, 0, &p, current);
    while (p.at < len && now.n) {
        uint32_t rune = rune_decode(text, len, &p.at);
        then.n = 0;
        for (uint32_t i = 0; i < now.n; i++) {
            const struct regex_inst *in = &re->prog[now.dense[i]];
            if (!takes(re, in, rune))
                continue;
            if (n_saves)
                memcpy(current, &now.saves[i * n_saves], n_saves * sizeof(int));
            follow(re, &then, in->x, &p, current);
        }
        struct regex_threads swap = now;
        now = then;
        then = swap;
    }
    if (p.at < len)
        return false;
    // Threads stand in order of preference: the first that is through is the leftmost-first match.
    for (uint32_t i = 0; i < now.n; i++) {
        if (re->prog[now.dense[i]].op != OP_RX_MATCH)
            continue;
        if (n_saves)
            memcpy(saves, &now.saves[i * n_saves], n_saves * sizeof(int));
        return true;
    }
    return false;
}

bool regex_run_search(
    const struct regex *re, const char *text, size_t len, size_t from, int *saves, int *ret_end)
{
    struct regex_threads now = re->now, then = re->then;
    struct place p = {text, len, from};
    size_t n_saves = (size_t)re->n_saves;
    int *current = re->saves;
    bool found = false;

    now.n = 0;
    for (;;) {
        // A match further right loses against any thread under way: it starts behind them all.
        if (!found) {
            for (size_t i = 0; i < n_saves; i++)
                current[i] = -1;
            current[n_saves - 1] = (int)p.at;
            follow(re, &now, 0, &p, current);
        }
        size_t here = p.at;
        bool more = here < len;
        uint32_t rune = more ? rune_decode(text, len, &p.at) : 0;
        then.n = 0;
        for (uint32_t i = 0; i < now.n; i++) {
            const struct regex_inst *in = &re->prog[now.dense[i]];
            if (in->op == OP_RX_MATCH) {
                memcpy(saves, &now.saves[i * n_saves], n_saves * sizeof(int));
                *ret_end = (int)here;
                found = true;
                // Threads behind this one are less wanted.
                break;
            }
            if (!more || !takes(re, in, rune))
                continue;
            memcpy(current, &now.saves[i * n_saves], n_saves * sizeof(int));
            follow(re, &then, in->x, &p, current);
        }
        struct regex_threads swap = now;
        now = then;
        then = swap;
        if (!more || (found && now.n == 0))
            return found;
    }
}

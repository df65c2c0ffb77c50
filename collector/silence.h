// SPDX-License-Identifier: Apache-2.0
/*
 * Silences with Alertmanager's meaning: all matchers hold, and now is between start and end. Changing
 * one that is active in its matchers, or in a start that has passed, ends it and makes another; so
 * what was muted and why can always be read. One may end by itself when no alert that fires matched for
 * quiet_ms: whoever runs this says which do (silences_saw). Expired ones are kept for SILENCE_KEPT_MS.
 *
 * Pure; owns its text. Belongs to the notify thread. Times are wall clock ms.
 */
#pragma once
#include "collector/matcher_text.h"

#define SILENCES_MAX        10000
#define SILENCE_ID_MAX      37 // 8-4-4-4-12 and NUL
#define SILENCE_TEXT_MAX    4096
#define SILENCE_QUIET_AS_IS (-1)
#define SILENCE_KEPT_MS     (120 * 3600 * 1000LL)

enum silence_state { SILENCE_PENDING, SILENCE_ACTIVE, SILENCE_EXPIRED };
struct silence {
    char id[SILENCE_ID_MAX];
    struct matcher_list matchers;
    const char *created_by, *comment;
    int64_t starts_ms, ends_ms, updated_ms;
    int64_t quiet_ms; // ends when nothing matched for so long; 0 = only at ends_ms
};
enum silence_state silence_state_at(const struct silence *s, int64_t now_ms);
const char *silence_state_name(enum silence_state s);

struct silences;
struct silences *silences_new(void); // NULL: no memory
void silences_free(struct silences *s);
// What somebody asks for. matchers as text, see matcher_text.h.
struct silence_draft {
    const char *id; // "" = a new one
    const char *matchers, *created_by, *comment;
    int64_t starts_ms, ends_ms; // a start in the past is now
    const uint8_t *random;      // 16 bytes, for an id
    int64_t quiet_ms;           // SILENCE_QUIET_AS_IS = as the one with this id has it
};
// 0 and *ret; ret_ended: the one it replaced, or NULL. -EINVAL with err, -ENOENT (no such id), -ENOSPC,
// -ENOMEM.
int silences_set(struct silences *s, const struct silence_draft *d, int64_t now_ms,
    const struct silence **ret, const struct silence **ret_ended, struct err *err);
// Ends it now. 0 and *ret; -ENOENT; -EALREADY.
int silences_expire(
    struct silences *s, const char *id, int64_t now_ms, const struct silence **ret);
// From the journal. 0, -EINVAL (cannot be read), -ENOMEM.
int silences_restore(struct silences *s, const struct silence *from, const char *matchers);

// How many active ones match; the ids of the first max.
size_t silences_muting(const struct silences *s, const struct labels *l, int64_t now_ms,
    const char **ret_ids, size_t max);
// An alert with these labels fires, or did until now.
void silences_saw(struct silences *s, const struct labels *l, int64_t now_ms);
// Whether one may have been quiet for long enough. Then all that fires is to be shown to silences_saw, and
// silences_end_quiet ends those it was not shown anything for; fn hears of each.
bool silences_quiet_due(const struct silences *s, int64_t now_ms);
void silences_end_quiet(struct silences *s, int64_t now_ms,
    void (*fn)(void *ctx, const struct silence *silence), void *ctx);
// When one next begins or ends, or may be quiet; INT64_MAX: never.
int64_t silences_next(const struct silences *s, int64_t now_ms);
const struct silence *silences_get(const struct silences *s, const char *id); // NULL
// In the order they were made. Return false to stop.
void silences_each(
    const struct silences *s, bool (*fn)(void *ctx, const struct silence *silence), void *ctx);
// Forgets what expired long ago; fn hears of each before it goes.
void silences_sweep(struct silences *s, int64_t now_ms,
    void (*fn)(void *ctx, const struct silence *silence), void *ctx);

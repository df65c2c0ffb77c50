// SPDX-License-Identifier: Apache-2.0
/*
 * Templates of messages: Alertmanager's dialect of template.h. The dot is the message; there is no
 * $labels and no query. A set holds what files define, on top of the names that Alertmanager itself
 * defines ("slack.default.title", "__subject", ...), and texts are parsed against it: a name that
 * nobody defines is a mistake at load. A later file replaces what an earlier one defined.
 *
 *     .Receiver .Status .Alerts .GroupLabels .CommonLabels .CommonAnnotations .ExternalURL
 *     .Alerts.Firing .Alerts.Resolved, and of each: .Status .Labels .Annotations .StartsAt .EndsAt
 *     .GeneratorURL .Fingerprint;  .SortedPairs .Names .Values .Remove of labels;  .Format of times
 *     toUpper toLower title trimSpace join match reReplaceAll stringSlice safeHtml safeUrl
 *     urlUnescape date tz since humanizeDuration toJson list append dict, and Go's own
 *
 * Everything lives in the arena given and never changes once it is loaded, so any thread may read
 * it. A run is bounded: TMPL_STEPS_MAX nodes, TEMPLATE_NEST_MAX calls, 8 MiB of memory, and the
 * buffer's own ceiling.
 */
#pragma once
#include "rules/template.h"
#include "rules/template_escape.h"

#define TEMPLATE_FILES_MAX 200

// A mistake, or why a run failed.
struct template_fault {
    const char *file; // the name it was added under; NULL = the text itself
    size_t at;        // byte of that text
    int line, col;    // the same, 1-based; line 0 = no memory
    char msg[256];
    bool sure;  // it fails whatever the alerts are
    bool large; // it would not with fewer of them
};

struct template_set;
struct template_set *template_set_new(struct arena *a); // NULL: no memory
// What stands outside of its definitions can be called by the file's name. The texts are copied.
// 0; -EINVAL with fault; -ENOMEM.
int template_set_add(struct template_set *s, const char *file, const char *text, size_t len,
    struct template_fault *fault);
// Whether everything that the files call is defined: once, behind the last file. 0 or -EINVAL.
int template_set_check(const struct template_set *s, struct template_fault *fault);
// A file, and not only Alertmanager's own set, defines this name.
bool template_set_has(const struct template_set *s, const char *name);
// A text whose calls are all defined; lives in the set's arena. NULL with fault.
struct template *template_set_parse(
    struct template_set *s, const char *text, size_t len, struct template_fault *fault);

// Appends to out. 0; -EINVAL after a run-time failure, with fault, and out as it was; -ENOMEM,
// -EMSGSIZE of out.
int template_render(const struct template *t, const struct template_data *d,
    enum template_escape escape, struct buf *out, struct template_fault *fault);
// Goes both ways at each branch, and says what fails whatever the alerts are: a field that does not
// exist. 0; -EINVAL with fault; -ENOMEM.
int template_explore(const struct template *t, const struct template_data *d,
    enum template_escape escape, struct template_fault *fault);
// Alertmanager's own names, as texts; NULL at the end.
extern const char *const TEMPLATE_DEFAULTS[];

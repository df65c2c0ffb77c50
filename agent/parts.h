// SPDX-License-Identifier: Apache-2.0
/*
 * What of the agent is made from its configuration, beyond the samplers of the host: probes,
 * scrapes, and whatever else takes lines of agent.yaml. One row each in parts.c; main.c only goes
 * through the table, at the start, at a reload and at the end.
 *
 *     config --> wanted? --> open, once --> apply ............ apply ............ free
 *                no: the part does not exist: no memory, no timer
 *
 * A reload is all or nothing: when one part cannot take the new configuration over, those that
 * have it already are given the old one again. Loop thread.
 */
#pragma once
#include "agent/config.h"
#include "agent/sampler.h"
#include "agent/schedule.h"
#include "base/err.h"
#include "base/transfer.h"

struct part_ops {
    const char *name; // "probes", as in agent.yaml
    bool (*wanted)(const struct agent_config *c);
    // The state of the part, without anything running; NULL: memory.
    void *(*open)(struct env *env, struct schedule *s, struct transfers *m);
    // Runs exactly what c says; what did not change goes on undisturbed. The part may borrow c until
    // the next apply or free. 0, or -errno with the old one still in force.
    int (*apply)(void *state, const struct agent_config *c);
    void (*free)(void *state); // NULL never
};

struct parts;
struct parts *parts_new(
    struct env *env, struct schedule *s, struct transfers *m); // NULL: memory
// With a table of the caller's, NULL-terminated: for tests.
struct parts *parts_new_of(const struct part_ops *const *table, struct env *env,
    struct schedule *s, struct transfers *m);
// Ends the parts, last first.
void parts_free(struct parts *p);
// now is the configuration in force, NULL at the start. 0 and next is borrowed; or -errno and now is
// still in force: next may be freed. A part that could be given neither is ended, and named in err.
int parts_apply(struct parts *p, const struct agent_config *now,
    const struct agent_config *next, struct err *err);

// SPDX-License-Identifier: Apache-2.0
/* What the config*.c share: reading one YAML value, with its mistake in its place. */
#pragma once
#include "base/num.h"
#include "base/yaml.h"
#include "collector/config.h"
#include "rules/template_escape.h"

struct config_reader {
    struct config *c;
    struct diags *d;
    const char *file; // paths are relative to its folder; NULL = to the working directory
    const struct yaml_node *global; // Alertmanager's, NULL = none
    const char *text;               // the file, for places inside of a scalar; NULL = unknown
    size_t len;
    bool oom;
};

void config_bad(struct config_reader *r, const struct yaml_node *n, const char *code,
    const char *hint, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
void config_warn(struct config_reader *r, const struct yaml_node *n, const char *code,
    const char *hint, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
// A scalar without NUL bytes; adds to diags and returns NULL otherwise.
const char *config_scalar(struct config_reader *r, const struct yaml_node *n, const char *key);
const char *config_keep(struct config_reader *r, const char *text); // in the arena
// A path, relative ones made relative to r->file; NULL after a mistake.
const char *config_path(struct config_reader *r, const struct yaml_node *n, const char *key);
bool config_bool(
    struct config_reader *r, const struct yaml_node *n, const char *key, bool *ret);
bool config_duration(struct config_reader *r, const struct yaml_node *n, const char *key,
    int64_t low, int64_t high, int64_t *ret);
bool config_count(struct config_reader *r, const struct yaml_node *n, const char *key,
    uint64_t low, uint64_t high, uint64_t *ret);
bool config_is_map(struct config_reader *r, const struct yaml_node *n, const char *key);

// A key that is not ours: known to Alertmanager and not done yet, or unknown.
void config_other_key(struct config_reader *r, const struct yaml_node *key,
    const char *const *not_yet, const char *where);

// Alertmanager's part: these keys, and their values in a map of any keys.
#define CONFIG_ALERTING_KEYS 7
bool config_alerting_key(const char *name);
size_t config_alerting_names(const char **ret); // CONFIG_ALERTING_KEYS of them
void config_alerting(struct config_reader *r, const struct yaml_node *root);

void config_http(struct config_reader *r, const struct yaml_node *n, struct receiver_http *to);
void config_tls(struct config_reader *r, const struct yaml_node *n, struct receiver_http *to);
// KEY or KEY_file: takes it if it is one of the two.
bool config_secret(struct config_reader *r, const struct yaml_node *key,
    const struct yaml_node *v, const char *name, struct receiver_secret *to);
// A key of repair_configs.
void config_repair(struct config_reader *r, const struct yaml_node *v, const char *key,
    struct repair_terms *to);
void config_repair_defaults(struct repair_terms *to);
void config_global(struct config_reader *r, const struct yaml_node *n);
void config_intervals(struct config_reader *r, const struct yaml_node *n, const char *key);
void config_route(struct config_reader *r, const struct yaml_node *n);
void config_inhibit(struct config_reader *r, const struct yaml_node *n);
void config_templates(struct config_reader *r, const struct yaml_node *n);
// A text of an integration at this offset, which may be a template. JSON: it is one.
void config_text(struct config_reader *r, const struct yaml_node *v, const char *key,
    size_t offset, enum template_escape escape, struct integration *to);
// A text that n does not name, if a file of `templates` says what Alertmanager would say there.
void config_standard_text(struct config_reader *r, const struct yaml_node *n,
    const struct receiver_field *f, enum template_escape escape, struct integration *to);
// A map or a list whose texts may be templates.
void config_tree(struct config_reader *r, const struct yaml_node *v,
    const struct receiver_field *f, struct integration *to);
// `fallbacks`, a key of ours beside Alertmanager's.
void config_fallbacks(struct config_reader *r, const struct yaml_node *n);
bool config_is_http(const char *url, char ret_host[static 300]);
// What is told must not be read on the way: adds to diags when n sends it in plain to another machine.
void config_plain_http(
    struct config_reader *r, const struct yaml_node *n, struct integration *to);
void config_heartbeats(struct config_reader *r, const struct yaml_node *n);
void config_receivers(struct config_reader *r, const struct yaml_node *n);
// What names something names one that is there. root: the map with `route`.
void config_route_check(struct config_reader *r, const struct yaml_node *root);

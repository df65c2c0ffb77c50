// SPDX-License-Identifier: Apache-2.0
/* What the parsers of pages share. Private to exposition*.c. */
#pragma once
#include "agent/expo.h"
#include "agent/exposition.h"
#include "base/arena.h"
#include "base/span.h"
#include "wire/field.h"

enum family_type {
    FAMILY_UNKNOWN,
    FAMILY_COUNTER,
    FAMILY_GAUGE,
    FAMILY_HISTOGRAM,
    FAMILY_GAUGE_HISTOGRAM,
    FAMILY_SUMMARY,
    FAMILY_INFO,
    FAMILY_STATESET,
};

// The family whose samples are to come.
struct family {
    char name[EXPOSITION_NAME_MAX + 1];
    size_t len;
    enum family_type type;
};

struct exposition {
    exposition_fn *sample;
    void *ctx;
    enum exposition_format format;
    struct buf carry; // an unfinished line or field
    int line;
    bool ended; // # EOF was there
    struct family family;
    struct span at;    // the key of the sample at hand
    struct arena text; // of labels taken apart
    struct wire_label labels[EXPOSITION_LABELS_MAX];
    size_t n_labels;

    // protobuf
    uint64_t left; // bytes of the family that is being read
    bool in_family;
    struct buf key;
    struct fields metric; // the metric at hand
    bool has_stamp;       // of its own
    int64_t stamp_ms;
    const char *suffix; // of the sample at hand: _bucket ...
    const char *extra;  // its label le or quantile, NULL: none
    char extra_value[40];
    struct expo native; // the native histogram at hand
};

int exposition_bad(struct exposition *x, struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4))); // -EBADMSG
// Adds a label to those taken apart; copies. False: err.
bool exposition_add_label(struct exposition *x, const char *name, size_t name_len,
    const char *value, size_t value_len, struct err *err);
enum series_kind exposition_kind(const struct family *f, const char *name, size_t len);

// One line without its end.
int exposition_line(struct exposition *x, const char *line, size_t len, struct err *err);
bool exposition_text_labels(
    struct exposition *x, const char *key, size_t len, const char **ret_name, struct err *err);

// Reads what is whole in data; *ret_used of it is done with.
int exposition_messages(
    struct exposition *x, const uint8_t *data, size_t len, size_t *ret_used, struct err *err);
bool exposition_message_labels(struct exposition *x, const char **ret_name, struct err *err);
// Tells a sample of the metric at hand; suffix goes behind the family's name. -EBADMSG, -ENOMEM.
int exposition_give(
    struct exposition *x, const char *suffix, struct exposition_sample s, struct err *err);
int exposition_give_value(struct exposition *x, const char *suffix, double v, struct err *err);
// The same with one label more, le or quantile.
int exposition_give_bound(struct exposition *x, const char *suffix, const char *label,
    double bound, double v, struct err *err);
int exposition_broken(
    struct exposition *x, struct err *err); // -EBADMSG: a message of the family
// The field histogram of the metric at hand, classic or native.
int exposition_histogram(struct exposition *x, struct fields body, struct err *err);

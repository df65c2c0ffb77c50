// SPDX-License-Identifier: Apache-2.0
#include "wire/name.h"
#include "base/rune.h"
#include <math.h>
#include <string.h>

static bool letter(unsigned char ch)
{
    return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || ch == '_';
}

static bool name_ok(const char *name, bool colons)
{
    if (!name || !(letter((unsigned char)name[0]) || (colons && name[0] == ':')))
        return false;
    size_t i = 1;
    for (; name[i]; i++) {
        unsigned char ch = (unsigned char)name[i];
        if (!letter(ch) && !(ch >= '0' && ch <= '9') && !(colons && ch == ':'))
            return false;
    }
    return i <= WIRE_NAME_MAX;
}

bool wire_metric_ok(const char *name)
{
    return name_ok(name, true);
}

bool wire_text_ok(const char *text, size_t min, size_t max)
{
    if (!text)
        return min == 0;
    size_t len = strnlen(text, max + 1);
    return len >= min && len <= max && rune_text_ok(text, len);
}

const char *wire_labels_fault(const struct wire_label *labels, size_t n)
{
    if (n > WIRE_LABELS_MAX)
        return "too many labels";
    for (size_t i = 0; i < n; i++) {
        if (!name_ok(labels[i].name, false))
            return "not a label name";
        if (strcmp(labels[i].name, "__name__") == 0 || strcmp(labels[i].name, "instance") == 0)
            return "label is the collector's to set";
        if (i > 0 && strcmp(labels[i - 1].name, labels[i].name) >= 0)
            return "labels are not sorted, or one is there twice";
        if (!wire_text_ok(labels[i].value, 1, WIRE_VALUE_MAX))
            return "label value is empty, too long or not UTF-8";
    }
    return NULL;
}

const char *wire_histogram_fault(const struct wire_histogram *h)
{
    if (h->scale < WIRE_SCALE_MIN || h->scale > WIRE_SCALE_MAX)
        return "histogram scale out of range";
    if (!isfinite(h->zero_threshold) || h->zero_threshold < 0)
        return "histogram zero threshold is not a width";
    if (h->n > WIRE_BUCKETS_MAX)
        return "too many histogram buckets";
    uint64_t total = h->zero_count;
    if (total > INT64_MAX)
        return "histogram counts overflow";
    for (uint32_t i = 0; i < h->n; i++) {
        if (h->index[i] < -WIRE_INDEX_MAX || h->index[i] > WIRE_INDEX_MAX)
            return "histogram bucket number out of range";
        if (i > 0 && h->index[i] <= h->index[i - 1])
            return "histogram buckets do not rise";
        if (h->count[i] > (uint64_t)INT64_MAX - total)
            return "histogram counts overflow";
        total += h->count[i];
    }
    return NULL;
}

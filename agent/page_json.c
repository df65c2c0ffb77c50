// SPDX-License-Identifier: Apache-2.0
#include "agent/page.h"
#include "wire/name.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

#define PART_MAX 32

static const cJSON *find(const cJSON *object, const char *field)
{
    char part[PART_MAX];
    for (; object; field++) {
        size_t len = strcspn(field, ".");
        if (len >= sizeof(part))
            return NULL;
        memcpy(part, field, len);
        part[len] = '\0';
        object = cJSON_GetObjectItemCaseSensitive(object, part);
        field += len;
        if (!*field)
            break;
    }
    return object;
}

double page_json_number(const struct cJSON *object, const char *field)
{
    const cJSON *v = find(object, field);
    if (cJSON_IsBool(v))
        return cJSON_IsTrue(v);
    return cJSON_IsNumber(v) ? v->valuedouble : NAN;
}

const char *page_json_text(const struct cJSON *object, const char *field)
{
    const char *text = cJSON_GetStringValue(find(object, field));
    return text && wire_text_ok(text, 1, WIRE_VALUE_MAX) ? text : NULL;
}

void page_json_values(const struct cJSON *object, const struct page_field *fields,
    size_t n_fields, const struct wire_label *labels, size_t n, const struct page_sink *sink)
{
    for (size_t i = 0; i < n_fields; i++) {
        const struct page_field *f = &fields[i];
        double value = page_json_number(object, f->field);
        if (!isnan(value))
            sink->value(sink->ctx, f->name, labels, n, f->kind, f->unit, value * f->factor);
    }
}

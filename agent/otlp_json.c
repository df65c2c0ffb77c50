// SPDX-License-Identifier: Apache-2.0
#include "agent/otlp_json.h"
#include "agent/otlp.h"
#include "base/num.h"
#include "wire/unpack.h"
#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ENUM_PREFIX "AGGREGATION_" // of the names of theirs; ours go without

struct reader {
    struct arena *arena;
    struct err *err;
};

// --- how much it is ------------------------------------------------------------------------------

// Every value but the outermost stands behind one of `{`, `[` or `,`.
static int count(const char *text, size_t len, struct err *err)
{
    size_t values = 1, depth = 0;
    bool quoted = false;

    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (quoted) {
            i += c == '\\';
            quoted = c != '"';
            continue;
        }
        quoted = c == '"';
        values += c == '{' || c == '[' || c == ',';
        if (c == '{' || c == '[')
            depth++;
        else if ((c == '}' || c == ']') && depth > 0)
            depth--;
        if (depth > OTLP_JSON_DEPTH_MAX)
            return unpack_refuse(err, "deeper than %d levels", OTLP_JSON_DEPTH_MAX);
        if (values > OTLP_JSON_VALUES_MAX) {
            err_set(err, "a body of JSON may have %d values: send smaller batches, or protobuf",
                OTLP_JSON_VALUES_MAX);
            return -EMSGSIZE;
        }
    }
    return 0;
}

// --- values --------------------------------------------------------------------------------------

static size_t size_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_ENUM: return 4;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE: return 8;
    case PROTOBUF_C_TYPE_BOOL: return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE: return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES: return sizeof(ProtobufCBinaryData);
    }
    return 0;
}

static char upper_of(char lower)
{
    return (char)(lower - ('a' - 'A'));
}

static int refuse(struct reader *r, const ProtobufCFieldDescriptor *f, const char *what)
{
    char name[64]; // as the sender wrote it
    size_t n = 0;

    for (const char *c = f->name; *c && n + 1 < sizeof(name); c++) {
        bool upper = *c == '_';
        c += upper;
        name[n++] = upper ? upper_of(*c) : *c;
    }
    name[n] = '\0';
    return unpack_refuse(r->err, "`%s` is not %s", name, what);
}

// A whole number: its sign and its size, as text exactly.
static bool read_whole(const cJSON *v, bool *ret_negative, uint64_t *ret)
{
    if (cJSON_IsString(v)) {
        const char *text = v->valuestring;
        *ret_negative = text[0] == '-';
        text += *ret_negative;
        return text[0] >= '0' && text[0] <= '9' && num_parse_u64(text, strlen(text), ret);
    }
    double d = cJSON_IsNumber(v) ? v->valuedouble : NAN, size = fabs(d);
    if (!(size < 0x1p64) || size != trunc(size))
        return false;
    *ret_negative = d < 0;
    *ret = (uint64_t)size;
    return true;
}

static int read_unsigned(
    struct reader *r, const ProtobufCFieldDescriptor *f, const cJSON *v, uint64_t max, void *to)
{
    bool negative;
    uint64_t n;

    if (!read_whole(v, &negative, &n) || (negative && n) || n > max)
        return refuse(r, f, "a whole number that fits");
    if (max == UINT32_MAX)
        *(uint32_t *)to = (uint32_t)n;
    else
        *(uint64_t *)to = n;
    return 0;
}

static int read_signed(
    struct reader *r, const ProtobufCFieldDescriptor *f, const cJSON *v, uint64_t max, void *to)
{
    bool negative;
    uint64_t n;

    if (!read_whole(v, &negative, &n) || n > max + negative)
        return refuse(r, f, "a whole number that fits");
    // Of the lowest one there is no opposite.
    int64_t value = negative && n ? -(int64_t)(n - 1) - 1 : (int64_t)n;
    if (max == INT32_MAX)
        *(int32_t *)to = (int32_t)value;
    else
        *(int64_t *)to = value;
    return 0;
}

static int read_double(
    struct reader *r, const ProtobufCFieldDescriptor *f, const cJSON *v, double *to)
{
    const char *text = cJSON_GetStringValue(v);

    if (cJSON_IsNumber(v))
        *to = v->valuedouble;
    else if (!text || !num_parse(text, strlen(text), to))
        return refuse(r, f, "a number");
    return 0;
}

static int read_enum(
    struct reader *r, const ProtobufCFieldDescriptor *f, const cJSON *v, void *to)
{
    const ProtobufCEnumDescriptor *type = f->descriptor;
    const char *name = cJSON_GetStringValue(v);

    if (!name)
        return read_signed(r, f, v, INT32_MAX, to);
    if (strncmp(name, ENUM_PREFIX, sizeof(ENUM_PREFIX) - 1) == 0)
        name += sizeof(ENUM_PREFIX) - 1;
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value_by_name(type, name);
    if (!value)
        return refuse(r, f, "one of its values");
    *(int32_t *)to = value->value;
    return 0;
}

static int read_string(
    struct reader *r, const ProtobufCFieldDescriptor *f, const cJSON *v, char **to)
{
    const char *text = cJSON_GetStringValue(v);

    if (!text)
        return refuse(r, f, "text");
    *to = arena_strndup(r->arena, text, strlen(text));
    return *to ? 0 : unpack_no_memory(r->err);
}

// --- messages ------------------------------------------------------------------------------------

static int read_message(struct reader *r, const ProtobufCMessageDescriptor *type,
    const cJSON *object, ProtobufCMessage **ret);

static int read_value(
    struct reader *r, const ProtobufCFieldDescriptor *f, const cJSON *v, void *to)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32: return read_unsigned(r, f, v, UINT32_MAX, to);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64: return read_unsigned(r, f, v, UINT64_MAX, to);
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32: return read_signed(r, f, v, INT32_MAX, to);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64: return read_signed(r, f, v, INT64_MAX, to);
    case PROTOBUF_C_TYPE_DOUBLE: return read_double(r, f, v, to);
    case PROTOBUF_C_TYPE_ENUM: return read_enum(r, f, v, to);
    case PROTOBUF_C_TYPE_STRING: return read_string(r, f, v, to);
    case PROTOBUF_C_TYPE_BOOL:
        if (!cJSON_IsBool(v))
            return refuse(r, f, "true or false");
        *(protobuf_c_boolean *)to = cJSON_IsTrue(v);
        return 0;
    case PROTOBUF_C_TYPE_MESSAGE:
        if (!cJSON_IsObject(v))
            return refuse(r, f, "an object");
        return read_message(r, f->descriptor, v, to);
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_BYTES: break; // otlp.proto has none
    }
    return refuse(r, f, "known here");
}

static int read_repeated(
    struct reader *r, const ProtobufCFieldDescriptor *f, const cJSON *v, char *message)
{
    size_t size = size_of(f->type), n = 0;
    const cJSON *item;

    if (!cJSON_IsArray(v))
        return refuse(r, f, "a list");
    cJSON_ArrayForEach(item, v) n++;
    char *items = n ? arena_alloc(r->arena, n * size) : NULL;
    if (n && !items)
        return unpack_no_memory(r->err);
    n = 0;
    cJSON_ArrayForEach(item, v)
    {
        int rc = read_value(r, f, item, items + n++ * size);
        if (rc < 0)
            return rc;
    }
    *(char **)(void *)(message + f->offset) = items;
    *(size_t *)(void *)(message + f->quantifier_offset) = n;
    return 0;
}

static int read_field(
    struct reader *r, const ProtobufCFieldDescriptor *f, const cJSON *v, char *message)
{
    if (f->label == PROTOBUF_C_LABEL_REPEATED)
        return read_repeated(r, f, v, message);
    int rc = read_value(r, f, v, message + f->offset);
    if (rc < 0)
        return rc;
    void *quantifier = message + f->quantifier_offset;
    if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
        *(uint32_t *)quantifier = f->id;
    else if (f->type != PROTOBUF_C_TYPE_STRING && f->type != PROTOBUF_C_TYPE_MESSAGE)
        *(protobuf_c_boolean *)quantifier = true;
    return 0;
}

// data_points and dataPoints.
static bool same_name(const char *ours, const char *theirs)
{
    for (; *ours; ours++, theirs++) {
        bool upper = *ours == '_';
        ours += upper;
        if (*theirs != (upper ? upper_of(*ours) : *ours))
            return false;
    }
    return !*theirs;
}

static const ProtobufCFieldDescriptor *field_of(
    const ProtobufCMessageDescriptor *type, const char *name)
{
    for (unsigned i = 0; i < type->n_fields; i++)
        if (same_name(type->fields[i].name, name))
            return &type->fields[i];
    return NULL;
}

static int read_message(struct reader *r, const ProtobufCMessageDescriptor *type,
    const cJSON *object, ProtobufCMessage **ret)
{
    ProtobufCMessage *m = arena_alloc(r->arena, type->sizeof_message);
    const cJSON *v;

    if (!m)
        return unpack_no_memory(r->err);
    protobuf_c_message_init(type, m);
    cJSON_ArrayForEach(v, object)
    {
        const ProtobufCFieldDescriptor *f = cJSON_IsNull(v) ? NULL : field_of(type, v->string);
        int rc = f ? read_field(r, f, v, (char *)m) : 0;
        if (rc < 0)
            return rc;
    }
    *ret = m;
    return 0;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

int otlp_json_read(const char *text, size_t len, struct arena *a,
    const Tocsin__Otlp__ExportRequest **ret, struct err *err)
{
    struct reader r = {a, err};
    ProtobufCMessage *m;
    const char *end = NULL;
    int rc = count(text, len, err);

    if (rc < 0)
        return rc;
    cJSON *top = cJSON_ParseWithLengthOpts(text, len, &end, false);
    if (!top && end >= text && end < text + len)
        return unpack_refuse(err, "not JSON from byte %zu on", (size_t)(end - text));
    while (top && end < text + len && is_space(*end))
        end++;
    if (!top || end < text + len || !cJSON_IsObject(top))
        rc = unpack_refuse(err, "not one object of JSON");
    else
        rc = read_message(&r, &tocsin__otlp__export_request__descriptor, top, &m);
    cJSON_Delete(top);
    if (rc == 0)
        *ret = (const Tocsin__Otlp__ExportRequest *)m;
    return rc;
}

// --- answers -------------------------------------------------------------------------------------

int otlp_json_answer(const struct otlp_answer *a, struct buf *out)
{
    if (!a->rejected)
        return buf_adds(out, "{}");
    buf_addf(out,
        "{\"partialSuccess\":{\"rejectedDataPoints\":\"%" PRIu64 "\",\"errorMessage\":",
        a->rejected);
    buf_add_json(out, a->reason, strlen(a->reason));
    buf_adds(out, "}}");
    return out->failed ? -ENOMEM : 0;
}

int otlp_json_status(int http, const char *why, struct buf *out)
{
    // Codes of gRPC.
    int code = http == 400   ? 3
               : http == 401 ? 16
               : http == 403 ? 7
               : http == 404 ? 5
               : http == 413 ? 8
               : http == 503 ? 14
                             : 12;
    buf_addf(out, "{\"code\":%d,\"message\":", code);
    buf_add_json(out, why, strlen(why));
    buf_adds(out, "}");
    return out->failed ? -ENOMEM : 0;
}

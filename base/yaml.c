// SPDX-License-Identifier: Apache-2.0
#include "base/yaml.h"
#include "base/map.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define DEPTH_MAX 100

// What an anchor stands for. weight and height let an alias be charged for all it would expand
// to, so that aliases of aliases cannot make a small file a huge tree for whoever walks it.
struct anchor {
    struct yaml_node *node;
    size_t weight;
    int height;
    bool open; // still being read: an alias to it would be a loop
};

struct frame {
    bool flow; // in [] or {}
    struct yaml_node *node;
    struct anchor *anchor;
    size_t base;   // first child on the value stack
    size_t before; // nodes counted before this one
    int height;    // of the tallest child
};

struct reader {
    yaml_parser_t parser;
    const char *text;
    size_t len, bom; // bytes of a byte order mark in front
    struct arena *arena;
    struct diags *diags;
    struct map anchors;
    size_t *lines; // offset of the first byte of each line
    size_t n_lines;
    // libyaml counts characters, we count bytes: the last place where both were known.
    size_t char_at, byte_at;
    struct yaml_node **values; // children of the open nodes
    size_t n_values, cap_values;
    struct frame frames[DEPTH_MAX];
    int depth;
    size_t nodes; // counted as if aliases were copies
    struct yaml_node *root;
};

// --- places ------------------------------------------------------------------------------------

static bool continues(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

// Marks come nearly in order, so walking from the last one is cheap.
static size_t byte_of(struct reader *r, size_t index)
{
    while (r->char_at < index && r->byte_at < r->len) {
        r->byte_at++;
        while (r->byte_at < r->len && continues(r->text[r->byte_at]))
            r->byte_at++;
        r->char_at++;
    }
    while (r->char_at > index && r->byte_at > 0) {
        r->byte_at--;
        while (r->byte_at > 0 && continues(r->text[r->byte_at]))
            r->byte_at--;
        r->char_at--;
    }
    return r->byte_at;
}

static void place_of(const struct reader *r, size_t offset, int *ret_line, int *ret_col)
{
    size_t low = 0, high = r->n_lines;
    while (high - low > 1) {
        size_t mid = (low + high) / 2;
        if (r->lines[mid] <= offset)
            low = mid;
        else
            high = mid;
    }
    *ret_line = (int)low + 1;
    *ret_col = (int)(offset - r->lines[low]) + 1;
}

static bool index_lines(struct reader *r)
{
    size_t n = 1;
    for (size_t i = 0; i < r->len; i++)
        n += r->text[i] == '\n';
    r->lines = malloc(n * sizeof(*r->lines));
    if (!r->lines)
        return false;
    r->lines[r->n_lines++] = 0;
    for (size_t i = 0; i < r->len; i++)
        if (r->text[i] == '\n')
            r->lines[r->n_lines++] = i + 1;
    return true;
}

// --- mistakes ----------------------------------------------------------------------------------

static bool out_of_memory(struct reader *r)
{
    diags_add(r->diags, DIAG_ERROR, "T003", 0, 0, 1, NULL, "out of memory while reading YAML");
    return false;
}

static bool mistake(struct reader *r, size_t offset, const char *code, const char *msg)
{
    int line, col;
    place_of(r, offset, &line, &col);
    diags_add(r->diags, DIAG_ERROR, code, line, col, 1, NULL, "%s", msg);
    return false;
}

static void syntax_mistake(struct reader *r)
{
    const yaml_parser_t *p = &r->parser;
    const char *problem = p->problem ? p->problem : "not YAML", *hint = NULL;
    size_t at;
    int line, col;
    if (p->error == YAML_MEMORY_ERROR) {
        out_of_memory(r);
        return;
    }
    if (p->error == YAML_READER_ERROR)
        at = p->problem_offset + r->bom < r->len ? p->problem_offset + r->bom : r->len;
    else
        at = byte_of(r, p->problem_mark.index);
    // The end of the file is shown at the end of its last line.
    if (at == r->len && at > 0 && r->text[at - 1] == '\n')
        at--;
    place_of(r, at, &line, &col);
    if (at < r->len && r->text[at] == '\t')
        hint = "YAML indents with spaces, not tabs";
    else if (strstr(problem, "mapping values are not allowed"))
        hint = "put quotes around text that holds `: `";
    if (p->context)
        diags_add(
            r->diags, DIAG_ERROR, "T001", line, col, 1, hint, "%s, %s", problem, p->context);
    else
        diags_add(r->diags, DIAG_ERROR, "T001", line, col, 1, hint, "%s", problem);
}

// --- building ----------------------------------------------------------------------------------

static bool push_value(struct reader *r, struct yaml_node *node)
{
    if (r->n_values == r->cap_values) {
        size_t cap = r->cap_values ? r->cap_values * 2 : 64;
        struct yaml_node **values = realloc(r->values, cap * sizeof(struct yaml_node *));
        if (!values)
            return out_of_memory(r);
        r->values = values;
        r->cap_values = cap;
    }
    r->values[r->n_values++] = node;
    return true;
}

static bool count_nodes(struct reader *r, size_t more, size_t offset)
{
    if (more > YAML_NODES_MAX - r->nodes)
        return mistake(r, offset, "T003", "too many values, aliases counted as copies");
    r->nodes += more;
    return true;
}

// Adds a finished child to the node being read; the first one is the root.
static bool attach(struct reader *r, struct yaml_node *node, int height)
{
    if (r->depth == 0) {
        r->root = node;
        return true;
    }
    struct frame *f = &r->frames[r->depth - 1];
    if (height > f->height)
        f->height = height;
    return push_value(r, node);
}

static struct yaml_node *new_node(
    struct reader *r, enum yaml_kind kind, const yaml_event_t *event)
{
    size_t start = byte_of(r, event->start_mark.index);
    if (!count_nodes(r, 1, start))
        return NULL;
    struct yaml_node *node = arena_alloc(r->arena, sizeof(*node));
    if (!node) {
        out_of_memory(r);
        return NULL;
    }
    node->kind = kind;
    node->offset = start;
    node->end = byte_of(r, event->end_mark.index);
    node->text = "";
    place_of(r, start, &node->line, &node->col);
    return node;
}

static bool set_anchor(struct reader *r, const yaml_char_t *name, struct yaml_node *node,
    bool open, struct anchor **ret)
{
    *ret = NULL;
    if (!name)
        return true;
    struct anchor *a = arena_alloc(r->arena, sizeof(*a));
    if (!a)
        return out_of_memory(r);
    *a = (struct anchor){.node = node, .weight = 1, .open = open};
    if (map_set(&r->anchors, name, strlen((const char *)name), a) < 0)
        return out_of_memory(r);
    *ret = a;
    return true;
}

static bool is_null(const yaml_event_t *event)
{
    static const char *const NULLS[] = {"", "~", "null", "Null", "NULL"};
    if (event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE ||
        !event->data.scalar.plain_implicit)
        return false;
    const char *text = (const char *)event->data.scalar.value;
    for (size_t i = 0; i < sizeof(NULLS) / sizeof(NULLS[0]); i++)
        if (strcmp(text, NULLS[i]) == 0)
            return true;
    return false;
}

static enum yaml_style style_of(yaml_scalar_style_t style)
{
    switch (style) {
    case YAML_SINGLE_QUOTED_SCALAR_STYLE: return YAML_SINGLE;
    case YAML_DOUBLE_QUOTED_SCALAR_STYLE: return YAML_DOUBLE;
    case YAML_LITERAL_SCALAR_STYLE: return YAML_LITERAL;
    case YAML_FOLDED_SCALAR_STYLE: return YAML_FOLDED;
    case YAML_PLAIN_SCALAR_STYLE:
    case YAML_ANY_SCALAR_STYLE: break;
    }
    return YAML_PLAIN;
}

// The event's place includes an anchor and a tag; the node's is where the value starts.
static void skip_properties(struct reader *r, struct yaml_node *node)
{
    size_t i = node->offset;
    while (i < node->end && (r->text[i] == '&' || r->text[i] == '!')) {
        while (i < node->end && !strchr(" \t\r\n", r->text[i]))
            i++;
        for (bool again = true; again && i < node->end;) {
            while (i < node->end && strchr(" \t\r\n", r->text[i]))
                i++;
            again = i < node->end && r->text[i] == '#';
            while (again && i < node->end && r->text[i] != '\n')
                i++;
        }
    }
    node->offset = i;
    place_of(r, i, &node->line, &node->col);
}

// \/ in double quotes, which JSON has and Go's reader has not; NULL = none.
static const char *escaped_slash(const struct reader *r, const struct yaml_node *node)
{
    for (size_t i = node->offset; i + 1 < node->end; i++) {
        if (r->text[i] != '\\')
            continue;
        if (r->text[++i] == '/')
            return r->text + i - 1;
    }
    return NULL;
}

static bool on_scalar(struct reader *r, const yaml_event_t *event)
{
    // A key keeps its text even if it reads null.
    bool key = r->depth > 0 && r->frames[r->depth - 1].node->kind == YAML_MAP &&
               (r->n_values - r->frames[r->depth - 1].base) % 2 == 0;
    bool null = !key && is_null(event);
    struct yaml_node *node = new_node(r, null ? YAML_NULL : YAML_SCALAR, event);
    struct anchor *anchor;
    if (!node)
        return false;
    node->style = style_of(event->data.scalar.style);
    if (event->data.scalar.anchor || event->data.scalar.tag)
        skip_properties(r, node);
    // Go's reader ends an unquoted value there; what it would refuse must not load here alone.
    const char *question =
        node->style == YAML_PLAIN && r->depth > 0 && r->frames[r->depth - 1].flow
            ? memchr(r->text + node->offset, '?', node->end - node->offset)
            : NULL;
    const char *slash = node->style == YAML_DOUBLE ? escaped_slash(r, node) : NULL;
    if (slash)
        return mistake(r, (size_t)(slash - r->text), "T001", "unknown escape sequence: \\/");
    if (question)
        return mistake(r, (size_t)(question - r->text), "T001",
            "between brackets or braces a value with a question mark needs quotes");
    if (!null) {
        node->len = event->data.scalar.length;
        node->text = arena_strndup(r->arena, (const char *)event->data.scalar.value, node->len);
        if (!node->text)
            return out_of_memory(r);
    }
    return set_anchor(r, event->data.scalar.anchor, node, false, &anchor) && attach(r, node, 0);
}

static bool on_alias(struct reader *r, const yaml_event_t *event)
{
    const char *name = (const char *)event->data.alias.anchor;
    size_t at = byte_of(r, event->start_mark.index);
    const struct anchor *a = map_get(&r->anchors, name, strlen(name));
    if (!a)
        return mistake(r, at, "T004", "alias of an anchor that was not defined before");
    if (a->open)
        return mistake(r, at, "T004", "this alias would contain itself");
    if (r->depth + a->height >= DEPTH_MAX)
        return mistake(r, at, "T003", "nested too deeply");
    return count_nodes(r, a->weight, at) && attach(r, a->node, a->height);
}

static bool open_node(struct reader *r, enum yaml_kind kind, bool flow,
    const yaml_event_t *event, const yaml_char_t *anchor_name)
{
    if (r->depth == DEPTH_MAX)
        return mistake(r, byte_of(r, event->start_mark.index), "T003", "nested too deeply");
    size_t before = r->nodes;
    struct yaml_node *node = new_node(r, kind, event);
    struct anchor *anchor;
    if (!node || !set_anchor(r, anchor_name, node, true, &anchor))
        return false;
    r->frames[r->depth++] = (struct frame){
        .flow = flow, .node = node, .anchor = anchor, .base = r->n_values, .before = before};
    return true;
}

// --- mappings: duplicate keys and merges -------------------------------------------------------

#define FEW_KEYS 8

// The key of the same text among items[0..n), or NULL. index holds them all once there are many.
static struct yaml_node *find_key(
    struct yaml_node **keys, size_t n, const struct map *index, const struct yaml_node *key)
{
    if (n > FEW_KEYS)
        return map_get(index, key->text, key->len);
    for (size_t i = 0; i < n; i++)
        if (keys[i]->len == key->len && memcmp(keys[i]->text, key->text, key->len) == 0)
            return keys[i];
    return NULL;
}

static bool index_key(struct reader *r, struct yaml_node **keys, size_t n, struct map *index)
{
    // From the ninth on each is added; at the ninth all before it too.
    for (size_t i = n > FEW_KEYS + 1 ? n - 1 : 0; n > FEW_KEYS && i < n; i++)
        if (map_set(index, keys[i]->text, keys[i]->len, keys[i]) < 0)
            return out_of_memory(r);
    return true;
}

static bool is_merge(const struct yaml_node *key)
{
    return key->style == YAML_PLAIN && key->len == 2 && memcmp(key->text, "<<", 2) == 0;
}

struct mapping {
    struct yaml_node **keys, **items; // on the arena, with room for what is merged
    size_t n, cap;
    struct map index;
};

static bool add_pair(
    struct reader *r, struct mapping *m, struct yaml_node *key, struct yaml_node *value)
{
    if (m->n == m->cap) {
        size_t cap = m->cap ? m->cap * 2 : 8;
        struct yaml_node **both = arena_alloc(r->arena, 2 * cap * sizeof(struct yaml_node *));
        if (!both)
            return out_of_memory(r);
        if (m->n > 0) {
            memcpy(both, m->keys, m->n * sizeof(struct yaml_node *));
            memcpy(both + cap, m->items, m->n * sizeof(struct yaml_node *));
        }
        m->keys = both;
        m->items = both + cap;
        m->cap = cap;
    }
    m->keys[m->n] = key;
    m->items[m->n++] = value;
    return index_key(r, m->keys, m->n, &m->index);
}

// Adds the keys of one map that are not there yet: what is written out wins over what is merged.
static bool merge_map(struct reader *r, struct mapping *m, const struct yaml_node *from)
{
    if (!count_nodes(r, 2 * from->n, from->offset))
        return false;
    for (size_t i = 0; i < from->n; i++)
        if (!find_key(m->keys, m->n, &m->index, from->keys[i]) &&
            !add_pair(r, m, from->keys[i], from->items[i]))
            return false;
    return true;
}

static bool merge(
    struct reader *r, struct mapping *m, const struct yaml_node *key, struct yaml_node *value)
{
    static const char WRONG[] = "`<<` merges a map or a list of maps";
    if (value->kind == YAML_MAP)
        return merge_map(r, m, value);
    if (value->kind != YAML_SEQ)
        return mistake(r, key->offset, "T006", WRONG);
    for (size_t i = 0; i < value->n; i++) {
        if (value->items[i]->kind != YAML_MAP)
            return mistake(r, key->offset, "T006", WRONG);
        if (!merge_map(r, m, value->items[i]))
            return false;
    }
    return true;
}

// Written pairs first; duplicates are reported and left out, so that reading goes on.
static bool add_written(struct reader *r, struct mapping *m, struct yaml_node **pairs, size_t n)
{
    const struct yaml_node *merge_key = NULL;
    for (size_t i = 0; i + 1 < n; i += 2) {
        struct yaml_node *key = pairs[i];
        if (key->kind != YAML_SCALAR) {
            mistake(r, key->offset, "T005", "a key must be a single value");
            continue;
        }
        const struct yaml_node *first =
            is_merge(key) ? merge_key : find_key(m->keys, m->n, &m->index, key);
        if (first) {
            diags_add(r->diags, DIAG_ERROR, "T002", key->line, key->col,
                (int)(key->end - key->offset), NULL, "duplicate key `%s`, first at %d:%d",
                key->text, first->line, first->col);
            continue;
        }
        if (is_merge(key))
            merge_key = key;
        else if (!add_pair(r, m, key, pairs[i + 1]))
            return false;
    }
    return true;
}

static bool build_map(
    struct reader *r, struct yaml_node *node, struct yaml_node **pairs, size_t n)
{
    struct mapping m = {0};
    map_init(&m.index);
    bool ok = add_written(r, &m, pairs, n);
    for (size_t i = 0; ok && i + 1 < n; i += 2)
        if (pairs[i]->kind == YAML_SCALAR && is_merge(pairs[i]))
            ok = merge(r, &m, pairs[i], pairs[i + 1]);
    map_done(&m.index);
    node->keys = m.keys;
    node->items = m.items;
    node->n = m.n;
    return ok;
}

static bool build_seq(
    struct reader *r, struct yaml_node *node, struct yaml_node **items, size_t n)
{
    if (n == 0)
        return true;
    node->items = arena_alloc(r->arena, n * sizeof(struct yaml_node *));
    if (!node->items)
        return out_of_memory(r);
    memcpy(node->items, items, n * sizeof(struct yaml_node *));
    node->n = n;
    return true;
}

static bool close_node(struct reader *r, const yaml_event_t *event)
{
    struct frame f = r->frames[--r->depth];
    // NULL, not NULL + 0, while no value was ever pushed.
    struct yaml_node **children = r->values ? r->values + f.base : NULL;
    size_t n = r->n_values - f.base;
    bool ok = n == 0                     ? true
              : f.node->kind == YAML_MAP ? build_map(r, f.node, children, n)
                                         : build_seq(r, f.node, children, n);
    if (!ok)
        return false;
    f.node->end = byte_of(r, event->end_mark.index);
    r->n_values = f.base;
    if (f.anchor) {
        f.anchor->weight = r->nodes - f.before;
        f.anchor->height = f.height + 1;
        f.anchor->open = false;
    }
    return attach(r, f.node, f.height + 1);
}

// False at the end of the document or after a mistake that ends the reading.
static bool on_event(struct reader *r, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT: return on_scalar(r, event);
    case YAML_ALIAS_EVENT: return on_alias(r, event);
    case YAML_SEQUENCE_START_EVENT:
        return open_node(r, YAML_SEQ,
            event->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE, event,
            event->data.sequence_start.anchor);
    case YAML_MAPPING_START_EVENT:
        return open_node(r, YAML_MAP,
            event->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE, event,
            event->data.mapping_start.anchor);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: return close_node(r, event);
    case YAML_DOCUMENT_END_EVENT:
    case YAML_STREAM_END_EVENT: return false;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_DOCUMENT_START_EVENT: break;
    }
    return true;
}

// Only the first document is read, as Go's reader does. Where a line stands further left than the
// first one, it ends without a word, so what follows is told.
static void look_behind(struct reader *r)
{
    yaml_event_t event;
    bool more = true;
    size_t at = 0;
    for (int i = 0; i < 2 && more; i++) {
        if (!yaml_parser_parse(&r->parser, &event)) {
            at = byte_of(r, r->parser.problem_mark.index);
            break;
        }
        at = byte_of(r, event.start_mark.index);
        bool nothing = event.type == YAML_SCALAR_EVENT && is_null(&event);
        more = event.type != YAML_STREAM_END_EVENT && !nothing;
        yaml_event_delete(&event);
    }
    if (!more)
        return;
    int line, col;
    place_of(r, at, &line, &col);
    diags_add(r->diags, DIAG_WARNING, "T007", line, col, 1,
        "one file is one document, and its keys stand at one column",
        "nothing from here on is read: the document ended before");
}

static void read_document(struct reader *r)
{
    bool more = true, whole = false;
    while (more) {
        yaml_event_t event;
        if (!yaml_parser_parse(&r->parser, &event)) {
            syntax_mistake(r);
            return;
        }
        more = on_event(r, &event);
        whole = event.type == YAML_DOCUMENT_END_EVENT;
        yaml_event_delete(&event);
    }
    if (whole)
        look_behind(r);
}

static struct yaml_node *parse(
    const char *text, size_t len, struct arena *a, struct diags *d, bool keep)
{
    size_t errors_before = d->errors;
    struct reader *r = calloc(1, sizeof(*r));
    if (!r) {
        diags_add(d, DIAG_ERROR, "T003", 0, 0, 1, NULL, "out of memory while reading YAML");
        return NULL;
    }
    r->text = len > 0 ? text : "";
    r->len = len;
    r->arena = a;
    r->diags = d;
    map_init(&r->anchors);
    if (!index_lines(r) || !yaml_parser_initialize(&r->parser)) {
        out_of_memory(r);
    } else {
        // Said, not guessed: a file in UTF-16 is refused instead of being read with other offsets.
        yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING);
        // libyaml takes a byte order mark for a column, and ends the document at the next line.
        r->bom = len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3) ? 3 : 0;
        r->byte_at = r->bom;
        yaml_parser_set_input_string(
            &r->parser, (const unsigned char *)r->text + r->bom, len - r->bom);
        read_document(r);
        yaml_parser_delete(&r->parser);
    }
    struct yaml_node *root = r->root;
    if (!root && d->errors == errors_before) {
        root = arena_alloc(a, sizeof(*root));
        if (root)
            *root = (struct yaml_node){.kind = YAML_NULL, .line = 1, .col = 1, .text = ""};
        else
            out_of_memory(r);
    }
    map_done(&r->anchors);
    free(r->values);
    free(r->lines);
    free(r);
    return keep || d->errors == errors_before ? root : NULL;
}

struct yaml_node *yaml_parse(const char *text, size_t len, struct arena *a, struct diags *d)
{
    return parse(text, len, a, d, false);
}

struct yaml_node *yaml_parse_all(const char *text, size_t len, struct arena *a, struct diags *d)
{
    return parse(text, len, a, d, true);
}

const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key)
{
    size_t len = strlen(key);
    if (map->kind != YAML_MAP)
        return NULL;
    for (size_t i = 0; i < map->n; i++)
        if (map->keys[i]->len == len && memcmp(map->keys[i]->text, key, len) == 0)
            return map->items[i];
    return NULL;
}

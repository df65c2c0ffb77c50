// SPDX-License-Identifier: Apache-2.0
// links: agent wire base
/*
 * What a plugin prints, read in the format the first byte chooses, twice: whatever becomes of it, the text
 * for people is printable and the frames are taken whole.
 */
#include "agent/plugin_output.h"
#include "wire/name.h"
#include <stdlib.h>
#include <string.h>

#define NOW_MS 1800000000000LL

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool read_it(
    enum plugin_format f, struct intake *in, const char *s, size_t n, struct plugin_reading *r)
{
    if (f == PLUGIN_JSON)
        return plugin_read_json(in, s, n, r);
    if (f == PLUGIN_LINES)
        return plugin_read_lines(in, s, n, r);
    plugin_read_nagios(in, s, n, r);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct wire_label LABELS[] = {{"job", "plugin"}, {"plugin", "x"}};
    struct output *out = output_new();
    struct intake_options o = {
        .source = "exec:x", .labels = LABELS, .n_labels = 2, .series_limit = 20};
    struct intake *in = out ? intake_new(out, &o) : NULL;
    for (int64_t i = 1; in && size && i <= 2; i++) {
        struct plugin_reading r;
        intake_begin(in, NOW_MS + i);
        bool ok = read_it(data[0] % 3, in, (const char *)data + 1, size - 1, &r);
        intake_end(in, ok, NULL);
        if (r.status < -1 || r.status > 3 || strlen(r.text) > NAGIOS_TEXT_MAX)
            abort();
        const struct batch *b = output_take(out, (uint64_t)i, NOW_MS + i, 1);
        for (size_t k = 0; k < b->n_declares; k++)
            if (!wire_metric_ok(b->declares[k].name) ||
                wire_labels_fault(b->declares[k].labels, b->declares[k].n_labels))
                abort();
    }
    intake_free(in, 0);
    output_free(out);
    return 0;
}

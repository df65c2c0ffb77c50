// SPDX-License-Identifier: Apache-2.0
// Targets of probes that read a page of a service.
#include "agent/config_read.h"
#include "wire/name.h"
#include <sys/un.h>

#define PATH_MAX_ (sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1)

void config_page(struct config_reader *r, const struct yaml_node *n, struct probe_config *p)
{
    if (!wire_text_ok(n->text, 1, WIRE_VALUE_MAX) ||
        !config_url(r, n->text, &p->host, &p->port))
        config_bad(r, n, p->page->example, "`%.60s` is not an http or https URL", n->text);
}

void config_haproxy(struct config_reader *r, const struct yaml_node *n, struct probe_config *p)
{
    if (*n->text != '/') {
        config_page(r, n, p);
        return;
    }
    p->kind = PROBE_TALK;
    p->dialogue = &DIALOGUE_HAPROXY;
    p->host = config_keep(r, n->text, n->len);
    if (n->len > PATH_MAX_)
        config_bad(r, n, NULL, "a socket's path has at most %zu bytes", PATH_MAX_);
}

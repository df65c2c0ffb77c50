// SPDX-License-Identifier: Apache-2.0
#include "agent/unixdiag.h"
#include "agent/latency_name.h"
#include <errno.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <string.h>
#include <sys/socket.h>

size_t unixdiag_request(uint8_t buf[static UNIXDIAG_REQUEST_MAX], uint32_t states,
    uint16_t *ret_type, uint16_t *ret_flags)
{
    struct unix_diag_req request = {.sdiag_family = AF_UNIX,
        .udiag_states = states,
        .udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_RQLEN};

    _Static_assert(sizeof(request) <= UNIXDIAG_REQUEST_MAX, "the request fits");
    memcpy(buf, &request, sizeof(request));
    *ret_type = SOCK_DIAG_BY_FAMILY;
    *ret_flags = NLM_F_DUMP;
    return sizeof(request);
}

uint64_t unixdiag_hash(const uint8_t *name, size_t len)
{
    __u64 words[LATENCY_NAME_WORDS] = {0};

    if (len > LATENCY_NAME_MAX)
        len = LATENCY_NAME_MAX;
    memcpy(words, name, len);
    return latency_name_hash(words, (uint32_t)len);
}

static void name_text(char to[static UNIXDIAG_PATH_MAX], const uint8_t *name, size_t len)
{
    size_t at = 0;

    if (len > 0 && name[0] == '\0') {
        to[at++] = '@';
        name++;
        len--;
    }
    for (size_t i = 0; i < len && at < UNIXDIAG_PATH_MAX - 1; i++)
        to[at++] = name[i] > ' ' && name[i] < 0x7f ? (char)name[i] : '?';
    to[at] = '\0';
}

static void parse_name(const uint8_t *name, size_t len, struct unixdiag *s)
{
    if (len == 0)
        return;
    // A path ends at its NUL, which may or may not be sent with it; an abstract name is as long as it is.
    if (name[0] != '\0')
        len = strnlen((const char *)name, len);
    s->name_hash = unixdiag_hash(name, len);
    name_text(s->path, name, len);
}

int unixdiag_parse(const uint8_t *body, size_t len, struct unixdiag *ret)
{
    struct unix_diag_msg m;

    if (len < sizeof(m))
        return -EBADMSG;
    memcpy(&m, body, sizeof(m));
    if (m.udiag_family != AF_UNIX)
        return -EBADMSG;
    memset(ret, 0, sizeof(*ret));
    ret->cookie = (uint64_t)m.udiag_cookie[1] << 32 | m.udiag_cookie[0];
    ret->inode = m.udiag_ino;
    ret->type = m.udiag_type;
    ret->state = m.udiag_state;

    size_t at = NLMSG_ALIGN(sizeof(m));
    while (at < len && len - at >= NLA_HDRLEN) {
        struct nlattr head;
        struct unix_diag_rqlen queue;
        memcpy(&head, body + at, sizeof(head));
        if (head.nla_len < NLA_HDRLEN || head.nla_len > len - at)
            return -EBADMSG;
        const uint8_t *value = body + at + NLA_HDRLEN;
        size_t n = head.nla_len - NLA_HDRLEN;
        switch (head.nla_type & NLA_TYPE_MASK) {
        case UNIX_DIAG_NAME: parse_name(value, n, ret); break;
        case UNIX_DIAG_RQLEN:
            if (n >= sizeof(queue)) {
                memcpy(&queue, value, sizeof(queue));
                ret->waiting = queue.udiag_rqueue;
                ret->limit = queue.udiag_wqueue;
            }
            break;
        default: break;
        }
        at += NLA_ALIGN((size_t)head.nla_len);
    }
    return 0;
}

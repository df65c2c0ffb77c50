// SPDX-License-Identifier: Apache-2.0
#include "agent/identity.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

static bool ends(const char *s, size_t len, const char *tail, size_t *ret_stem)
{
    size_t n = strlen(tail);

    if (len <= n || memcmp(s + len - n, tail, n) != 0)
        return false;
    *ret_stem = len - n;
    return true;
}

static bool starts(const char *s, size_t len, const char *head)
{
    size_t n = strlen(head);
    return len > n && memcmp(s, head, n) == 0;
}

static bool is_hex(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!isxdigit((unsigned char)s[i]))
            return false;
    return len > 0;
}

// A container id is 64 hex digits; people and tools print its first 12.
static bool container_id(const char *s, size_t len, char *name)
{
    if (len != 64 || !is_hex(s, len))
        return false;
    snprintf(name, IDENTITY_NAME_MAX, "%.12s", s);
    return true;
}

static int hex_digit(char c)
{
    return c <= '9' ? c - '0' : (tolower((unsigned char)c) - 'a' + 10);
}

// systemd writes bytes that a unit name may not hold as \xNN.
static void unescape(const char *s, size_t len, char *name)
{
    size_t n = 0;

    for (size_t i = 0; i < len && n < IDENTITY_NAME_MAX - 1; i++) {
        if (len - i >= 4 && s[i] == '\\' && s[i + 1] == 'x' && is_hex(s + i + 2, 2)) {
            int byte = hex_digit(s[i + 2]) * 16 + hex_digit(s[i + 3]);
            name[n++] = byte < 0x20 || byte == 0x7f ? '?' : (char)byte;
            i += 3;
        } else {
            name[n++] = s[i];
        }
    }
    name[n] = '\0';
}

static bool scope_name(const char *s, size_t len, char *name)
{
    // docker-ID.scope, libpod-ID.scope, cri-containerd-ID.scope, crio-ID.scope, nerdctl-ID.scope
    if (len > 64 && s[len - 65] == '-' && container_id(s + len - 64, 64, name))
        return !starts(s, len, "libpod-conmon-") && !starts(s, len, "crio-conmon-");
    if (starts(s, len, "machine-")) {
        unescape(s + 8, len - 8, name);
        return name[0] != '\0';
    }
    return false;
}

// What one folder of the path says.
static bool part_name(const char *s, size_t len, char *name)
{
    size_t stem;

    if (ends(s, len, ".service", &stem)) {
        if (starts(s, stem, "user@")) // the manager of a login, not a service of this host
            return false;
        unescape(s, stem, name);
        return true;
    }
    if (ends(s, len, ".scope", &stem))
        return scope_name(s, stem, name);
    if (container_id(s, len, name)) // docker, containerd and kubernetes with cgroupfs
        return true;
    if (starts(s, len, "lxc.payload.")) {
        unescape(s + 12, len - 12, name);
        return true;
    }
    // containerd names them kubepods-...pod<uid>.slice:cri-containerd:<id> in some set-ups.
    if (len > 64 && s[len - 65] == ':')
        return container_id(s + len - 64, 64, name);
    return false;
}

bool identity_cgroup_name(const char *path, char name[static IDENTITY_NAME_MAX])
{
    bool found = false;
    char part[IDENTITY_NAME_MAX];

    // The deepest that says something: a unit inside a container is the unit, a container below
    // the unit of its engine is the container.
    while (*path) {
        size_t len = strcspn(path, "/");
        if (len > 0 && part_name(path, len, part) && part[0]) {
            memcpy(name, part, sizeof(part));
            found = true;
        }
        path += len;
        path += *path == '/';
    }
    return found;
}

bool identity_cgroup_line(const char *text, size_t len, char path[static IDENTITY_PATH_MAX])
{
    bool found = false, is_systemd = false;

    // Lines "ID:CONTROLLERS:/PATH". On hybrid hosts v2 ("0::") has the path too, but not in all.
    while (len > 0) {
        const char *line_end = memchr(text, '\n', len);
        size_t n = line_end ? (size_t)(line_end - text) : len;
        const char *first = memchr(text, ':', n);
        const char *second =
            first ? memchr(first + 1, ':', n - (size_t)(first + 1 - text)) : NULL;
        if (second) {
            size_t controllers = (size_t)(second - first - 1);
            size_t path_len = n - (size_t)(second + 1 - text);
            bool systemd = controllers == 12 && memcmp(first + 1, "name=systemd", 12) == 0;
            bool root = path_len == 1;
            if ((systemd || (controllers == 0 && (!is_systemd || !found))) &&
                !(root && found) && path_len < IDENTITY_PATH_MAX) {
                memcpy(path, second + 1, path_len);
                path[path_len] = '\0';
                found = true;
                is_systemd = systemd && !root;
            }
        }
        text += line_end ? n + 1 : n;
        len -= line_end ? n + 1 : n;
    }
    return found;
}

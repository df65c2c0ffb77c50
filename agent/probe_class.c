// SPDX-License-Identifier: Apache-2.0
#include "agent/probe_class.h"

const char *probe_class_name(enum probe_class c)
{
    static const char *const NAMES[PROBE_CLASSES] = {[CLASS_NONE] = "",
        [CLASS_REFUSED] = "refused",
        [CLASS_UNREACHABLE] = "unreachable",
        [CLASS_RESOLVE] = "resolve",
        [CLASS_TIMEOUT] = "timeout",
        [CLASS_CLOSED] = "closed",
        [CLASS_TLS] = "tls",
        [CLASS_CERTIFICATE] = "certificate",
        [CLASS_PROTOCOL] = "protocol",
        [CLASS_STATUS] = "status",
        [CLASS_CONTENT] = "content",
        [CLASS_LOGIN] = "login",
        [CLASS_OVERLOADED] = "overloaded",
        [CLASS_STARTING] = "starting",
        [CLASS_LOCAL] = "local"};
    return NAMES[c];
}

// SPDX-License-Identifier: Apache-2.0
/*
 * Why a probe failed, by what somebody would do about it. The names stand in the label `class` of
 * tocsin_probe_failures_total.
 */
#pragma once

enum probe_class {
    CLASS_NONE,
    CLASS_REFUSED,     // nobody listens
    CLASS_UNREACHABLE, // no way there: routes, firewalls
    CLASS_RESOLVE,     // its name says nothing
    CLASS_TIMEOUT,     // no answer in time
    CLASS_CLOSED,      // it hung up in the middle
    CLASS_TLS,         // no secure connection
    CLASS_CERTIFICATE, // expired, of another name, or nobody's we trust
    CLASS_PROTOCOL,    // an answer, but not of this protocol
    CLASS_STATUS,      // HTTP: another status
    CLASS_CONTENT,     // not what was expected in it
    CLASS_LOGIN,       // user or password refused
    CLASS_OVERLOADED,  // it says that it is full
    CLASS_STARTING,    // it says that it starts or stops
    CLASS_LOCAL,       // this agent's own trouble: descriptors, memory
    PROBE_CLASSES
};
const char *probe_class_name(enum probe_class c);

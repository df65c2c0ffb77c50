// SPDX-License-Identifier: Apache-2.0
// The names that Alertmanager's users call, so that their files work here: what they show is what
// Alertmanager shows; the mail is our own layout of the same facts.
#include "rules/template_set.h"

#define DEFINE(name, text) "{{ define \"" name "\" }}" text "{{ end }}\n"
#define SUBJECT            "{{ template \"__subject\" . }}"
#define ROW                "{{ .Name }} = {{ .Value }}<br />"

// clang-format off
static const char NAMES[] =
DEFINE("__alertmanager", "Alertmanager")
DEFINE("__alertmanagerURL", "{{ .ExternalURL }}/#/alerts?receiver={{ .Receiver | urlquery }}")
DEFINE("__subject",
    "[{{ .Status | toUpper }}{{ if eq .Status \"firing\" }}:{{ len .Alerts.Firing }}{{ end }}] "
    "{{ join \" \" .GroupLabels.SortedPairs.Values }} "
    "{{ if gt (len .CommonLabels) (len .GroupLabels) }}("
    "{{ with .CommonLabels.Remove .GroupLabels.Names }}{{ join \" \" .Values }}{{ end }})"
    "{{ end }}")
DEFINE("__description", "")
DEFINE("__text_alert_list",
    "{{ range . }}Labels:\n"
    "{{ range .Labels.SortedPairs }} - {{ .Name }} = {{ .Value }}\n{{ end }}"
    "Annotations:\n"
    "{{ range .Annotations.SortedPairs }} - {{ .Name }} = {{ .Value }}\n{{ end }}"
    "Source: {{ .GeneratorURL }}\n{{ end }}")
DEFINE("__text_alert_list_markdown",
    "{{ range . }}\nLabels:\n"
    "{{ range .Labels.SortedPairs }}  - {{ .Name }} = {{ .Value }}\n{{ end }}\n"
    "Annotations:\n"
    "{{ range .Annotations.SortedPairs }}  - {{ .Name }} = {{ .Value }}\n{{ end }}\n"
    "Source: {{ .GeneratorURL }}\n{{ end }}")
DEFINE("__tocsin_both",
    "{{ if gt (len .Alerts.Firing) 0 }}Alerts Firing:\n"
    "{{ template \"__text_alert_list\" .Alerts.Firing }}{{ end }}\n"
    "{{ if gt (len .Alerts.Resolved) 0 }}Alerts Resolved:\n"
    "{{ template \"__text_alert_list\" .Alerts.Resolved }}{{ end }}\n")
DEFINE("__tocsin_markdown",
    "{{ if gt (len .Alerts.Firing) 0 }}Alerts Firing:\n"
    "{{ template \"__text_alert_list_markdown\" .Alerts.Firing }}{{ end }}"
    "{{ if gt (len .Alerts.Resolved) 0 }}\nAlerts Resolved:\n"
    "{{ template \"__text_alert_list_markdown\" .Alerts.Resolved }}{{ end }}")

DEFINE("slack.default.title", SUBJECT)
DEFINE("slack.default.username", "{{ template \"__alertmanager\" . }}")
DEFINE("slack.default.fallback",
    "{{ template \"slack.default.title\" . }} | {{ template \"slack.default.titlelink\" . }}")
DEFINE("slack.default.callbackid", "")
DEFINE("slack.default.pretext", "")
DEFINE("slack.default.titlelink", "{{ template \"__alertmanagerURL\" . }}")
DEFINE("slack.default.iconemoji", "")
DEFINE("slack.default.iconurl", "")
DEFINE("slack.default.text", "")
DEFINE("slack.default.footer", "")

DEFINE("pagerduty.default.description", SUBJECT)
DEFINE("pagerduty.default.client", "{{ template \"__alertmanager\" . }}")
DEFINE("pagerduty.default.clientURL", "{{ template \"__alertmanagerURL\" . }}")
DEFINE("pagerduty.default.instances", "{{ template \"__text_alert_list\" . }}")

DEFINE("opsgenie.default.message", SUBJECT)
DEFINE("opsgenie.default.description",
    "{{ join \" \" .CommonAnnotations.SortedPairs.Values }}\n{{ template \"__tocsin_both\" . }}")
DEFINE("opsgenie.default.source", "{{ template \"__alertmanagerURL\" . }}")

DEFINE("telegram.default.message", "{{ template \"__tocsin_both\" . }}")
DEFINE("discord.default.content", "")
DEFINE("discord.default.title", SUBJECT)
DEFINE("discord.default.message", "{{ template \"__tocsin_markdown\" . }}")
DEFINE("msteams.default.summary", SUBJECT)
DEFINE("msteams.default.title", SUBJECT)
DEFINE("msteams.default.text", "{{ template \"__tocsin_markdown\" . }}")
DEFINE("msteamsv2.default.title", SUBJECT)
DEFINE("msteamsv2.default.text", "{{ template \"__tocsin_markdown\" . }}")

DEFINE("email.default.subject", SUBJECT);
static const char MAIL[] =
DEFINE("__tocsin_mail",
    "{{ range . }}<p><b>Labels</b><br />{{ range .Labels.SortedPairs }}" ROW "{{ end }}"
    "{{ if gt (len .Annotations) 0 }}<b>Annotations</b><br />"
    "{{ range .Annotations.SortedPairs }}" ROW "{{ end }}{{ end }}"
    "<a href=\"{{ .GeneratorURL }}\">Source</a></p>\n{{ end }}")
DEFINE("email.default.html",
    "<!DOCTYPE html>\n<html><head><title>{{ template \"__subject\" . }}</title></head>\n"
    "<body style=\"font-family: sans-serif; font-size: 14px;\">\n"
    "<h2>{{ len .Alerts }} alert{{ if gt (len .Alerts) 1 }}s{{ end }} for "
    "{{ range .GroupLabels.SortedPairs }}{{ .Name }}={{ .Value }} {{ end }}</h2>\n"
    "<p><a href=\"{{ template \"__alertmanagerURL\" . }}\">"
    "View in {{ template \"__alertmanager\" . }}</a></p>\n"
    "{{ with .Alerts.Firing }}<h3>[{{ len . }}] Firing</h3>\n"
    "{{ template \"__tocsin_mail\" . }}{{ end }}"
    "{{ with .Alerts.Resolved }}<h3>[{{ len . }}] Resolved</h3>\n"
    "{{ template \"__tocsin_mail\" . }}{{ end }}"
    "<p><a href=\"{{ .ExternalURL }}\">Sent by {{ template \"__alertmanager\" . }}</a></p>\n"
    "</body></html>\n");
// clang-format on

const char *const TEMPLATE_DEFAULTS[] = {NAMES, MAIL, NULL};

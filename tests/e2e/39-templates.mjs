// SPDX-License-Identifier: Apache-2.0
// Templates of messages: what they print is what amtool prints, where that is installed, and a
// collector sends what its configuration says, also when a template fails.

import { execFile, spawnSync } from "node:child_process";
import { createServer } from "node:http";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { World, bin, check, fetchText, run, until } from "./world.mjs";

const w = new World();

const kv = (extra) => ({ alertname: "Down", job: 'a<b>&"c"', zone: "eu", ...extra });
const data = w.put(
  "data.json",
  JSON.stringify({
    receiver: "team",
    status: "firing",
    externalURL: "http://c:7311/x?a=b",
    groupLabels: { alertname: "Down", zone: "eu" },
    commonLabels: kv({}),
    commonAnnotations: { summary: "it's + \"down\"\n<b>é🔥</b>", runbook: "https://r/?q=1&x=%20y z" },
    alerts: [
      {
        status: "firing",
        labels: kv({ instance: "i1" }),
        annotations: { summary: "one" },
        startsAt: "2026-11-25T04:20:01.12Z",
        endsAt: "0001-01-01T00:00:00Z",
        generatorURL: "javascript:alert(1)",
        fingerprint: "00ab",
      },
      {
        status: "resolved",
        labels: kv({ instance: "i2" }),
        annotations: {},
        startsAt: "2026-02-03T14:05:06Z",
        endsAt: "2026-02-03T15:05:06Z",
        generatorURL: "https://g/a b",
        fingerprint: "00cd",
      },
    ],
  }),
);
const files = w.put(
  "a.tmpl",
  `{{ define "list" }}{{ range . }}- {{ .Labels.instance }}{{ if .Annotations.summary }}: {{ .Annotations.summary }}{{ end }}
{{ end }}{{ end }}
{{- define "title" -}} [{{ .Status | toUpper }}{{ if eq .Status "firing" }}:{{ .Alerts.Firing | len }}{{ end }}] {{ .GroupLabels.SortedPairs.Values | join " " }} {{ if gt (len .CommonLabels) (len .GroupLabels) }}({{ with .CommonLabels.Remove .GroupLabels.Names }}{{ .Values | join " " }}{{ end }}){{ end }}{{ end }}
{{ define "twice" }}{{ template "title" . }}{{ template "title" . }}{{ end }}`,
);
const TEXTS = [
  "{{ . }}",
  '{{ template "title" . }}',
  '{{ template "twice" . }}|{{ template "list" .Alerts }}|{{ template "list" .Alerts.Resolved }}',
  "{{ .Receiver }} {{ .Status }} {{ .ExternalURL }} {{ .GroupLabels }} {{ .CommonLabels.none }}|{{ .Alerts.Firing }}",
  "{{ range .Alerts }}{{ .StartsAt }} {{ .EndsAt }} {{ .Fingerprint }} {{ .GeneratorURL }};{{ end }}",
  '{{ range .Alerts }}{{ .StartsAt.Format "Mon Monday Jan January 1 01 2 02 _2 06 2006 15 3 03 4 04 5 05 PM pm -0700 -07:00 -07 Z0700 Z07:00 MST .000 .999 002 Mon, 02 Jan 2006" }};{{ end }}',
  '{{ (index .Alerts 0).StartsAt.Format "2006-01-02T15:04:05Z07:00" }} {{ with index .Alerts 1 }}{{ .StartsAt.Unix }} {{ .StartsAt.Year }} {{ .StartsAt.Month }} {{ .StartsAt.Weekday }} {{ .StartsAt.YearDay }} {{ .EndsAt.Sub .StartsAt }} {{ .EndsAt.After .StartsAt }} {{ (.EndsAt.Sub .StartsAt).Minutes }}{{ end }}',
  "{{ (index .Alerts 0).EndsAt.IsZero }} {{ len .Alerts }} {{ len .CommonLabels }} {{ index .CommonLabels \"job\" }}",
  "{{ range $i, $a := .Alerts }}{{ if $i }}, {{ end }}{{ $i }}:{{ $a.Labels.instance }}{{ else }}none{{ end }}",
  "{{ range $k, $v := .CommonLabels }}{{ $k }}={{ $v }};{{ end }}{{ range .CommonLabels.SortedPairs }}{{ .Name }}={{ .Value }};{{ end }}",
  '{{ .CommonLabels.Names }} {{ .CommonLabels.Values | join "," }} {{ .CommonLabels.SortedPairs }} {{ .CommonLabels.SortedPairs.Names }} {{ (.CommonLabels.Remove (stringSlice "job" "x")).Names }}',
  '{{ toUpper "aé" }} {{ toLower "AÉ" }} {{ title "hello wORLD foo-bar a.b don\'t x_y 1st a:b" }} {{ match "^a.c$" "abc" }} {{ reReplaceAll "(.)b" "${1}x" "abcb" }}',
  '{{ printf "%s %q %v %d %5.2f %-5s| %05d %x %t %T" "a" "b\\"" .Status 5 1.5 "x" 42 255 true 1 }} {{ print 1 2 "a" }} {{ println "x" }}',
  '{{ if and (eq .Status "firing") (or false (gt (len .Alerts) 1)) }}yes{{ else if .Status }}maybe{{ else }}no{{ end }} {{ not true }} {{ ne 1 2 }} {{ le 1 1 }}',
  '{{ with $x := .CommonLabels.job }}{{ $x }} {{ . }}{{ end }}{{ with .CommonLabels.nope }}a{{ else }}b{{ end }}{{ $y := 1 }}{{ range .Alerts }}{{ $y = len .Labels }}{{ end }}{{ $y }}',
  '{{ urlquery "a b&c" }} {{ html "<a>" }} {{ slice "abcdef" 1 3 }} {{ (slice .Alerts 1).Resolved | len }}',
  '{{ block "here" .Alerts }}<{{ len . }}>{{ end }}{{ define "late" }}{{ $ }}{{ end }}{{ template "late" .Status }}',
  '{{- /* gone */ -}} a {{- " b " -}} c {{ "x" | printf "%s-%s" "y" }} {{ `raw\\n` }} {{ \'a\' }} {{ 0x1f }} {{ 1e3 }} {{ nil | printf "%v" }}',
  "{{ range .Alerts }}{{ if eq .Status \"resolved\" }}{{ break }}{{ end }}{{ .Labels.instance }}{{ end }}{{ range .Alerts }}{{ if eq .Status \"firing\" }}{{ continue }}{{ end }}{{ .Labels.instance }}{{ end }}",
  "{{ .Alerts.Firing | len | printf \"%03d\" }} {{ .CommonAnnotations.SortedPairs.Values | join \" \" }} {{ .Status | toUpper | toLower | title }}",
  '{{ eq .Status "a" "b" "firing" }} {{ len "é🔥" }} {{ index "abc" 1 }} {{ (index .Alerts 0).Labels.SortedPairs.Values }}',
];
const HTML = [
  ...TEXTS.slice(1, 3),
  "<p>{{ .CommonAnnotations.summary }}</p><p title=\"{{ .CommonAnnotations.summary }}\">{{ .CommonLabels.job }}</p>",
  "<a href=\"{{ .CommonAnnotations.runbook }}\">{{ safeHtml \"<b>x</b>\" }}</a><a href='{{ .ExternalURL }}#/alerts'>",
  '{{ range .Alerts }}<a href="{{ .GeneratorURL }}">{{ .Labels.instance }}</a>{{ end }}',
  '<a href="https://h/?q={{ .CommonLabels.job }}&x={{ .CommonLabels.zone }}">x</a><img src=\'/{{ .CommonLabels.job }}.png\'>',
  '<div style="color: {{ .CommonLabels.zone }}; width: {{ len .Alerts }}px">{{ .Status }}</div><div style="x: {{ .CommonLabels.job }}">',
  "<p title={{ .CommonLabels.job }} class=x{{ .Status }}>a</p><title>{{ .CommonLabels.job }}</title><textarea>{{ .CommonLabels.job }}</textarea>",
  '{{ if eq .Status "firing" }}<b class="a">{{ else }}<b class="c">{{ end }}{{ .CommonLabels.job }}</b><br/>{{ .CommonLabels.job | printf "%s+" }}',
];

const tool = spawnSync("amtool", ["--version"]);
const tocsin = (text, as) => spawnSync(join(bin, "tocsin"), ["template", "render", text, "--templates", files, "--data", data, "--as", as], { encoding: "utf8" });
const amtool = (text, as) =>
  spawnSync("amtool", ["template", "render", `--template.glob=${files}`, `--template.text=${text}`, `--template.type=${as}`, `--template.data=${data}`], { encoding: "utf8" });
const trimmed = (s) => s.replace(/\n$/, "");
function compare(texts, as) {
  const wrong = [];
  for (const text of texts) {
    const theirs = amtool(text, as);
    const ours = tocsin(text, as);
    if (ours.status !== theirs.status || trimmed(ours.stdout) !== trimmed(theirs.stdout))
      wrong.push(`${text}\n    ours   ${JSON.stringify(ours.stdout + ours.stderr)}\n    amtool ${JSON.stringify(theirs.stdout + theirs.stderr)}`);
  }
  check(wrong.length === 0, `${wrong.length} of ${texts.length} differ:\n  ${wrong.join("\n  ")}`);
}

const asked = [];
const server = createServer((q, r) => {
  const chunks = [];
  q.on("data", (d) => chunks.push(d));
  q.on("end", () => {
    asked.push({ path: q.url, text: Buffer.concat(chunks).toString() });
    r.end("ok");
  });
});
const http = await new Promise((r) => server.listen(0, "127.0.0.1", () => r(server.address().port)));
const rules = w.put(
  "rules.yaml",
  `groups:
  - name: g
    interval: 1s
    rules:
      - alert: Odd
        expr: vector(1)
        labels: {severity: page, team: ops}
        annotations: {summary: "a \\"quoted\\" <line>\\nand é🔥"}
`,
);
mkdirSync(join(w.dir, "templates"));
w.put("templates/slack.tmpl", '{{ define "slack.default.title" }}{{ .Status }}: {{ .GroupLabels.alertname }}{{ end }}');

await run([
  [
    `texts print what amtool prints${tool.error ? " (skipped: there is no amtool)" : ""}`,
    async () => {
      if (!tool.error) compare(TEXTS, "text");
    },
  ],
  [
    `values in HTML are escaped as amtool does${tool.error ? " (skipped: there is no amtool)" : ""}`,
    async () => {
      if (!tool.error) compare(HTML, "html");
    },
  ],
  [
    "a mistake is told with its file, line and column",
    async () => {
      const bad = w.put("bad.tmpl", '{{ define "x" }}\n  {{ .Lables }}{{ end }}');
      const r = spawnSync(join(bin, "tocsin"), ["template", "render", '{{ template "x" . }}', "--templates", bad], { encoding: "utf8" });
      check(r.status === 1 && r.stderr.includes("bad.tmpl:2:7: no field Lables"), r.stderr);
      const config = w.put(
        "bad.yaml",
        `route: {receiver: r}\nreceivers:\n  - name: r\n    slack_configs:\n      - api_url: http://127.0.0.1:1/\n        text: |\n          {{ range .Alerts }}\n          {{ .Sumary }}{{ end }}\n`,
      );
      const c = spawnSync(join(bin, "tocsin-collector"), ["--check", "--config", config], { encoding: "utf8" });
      check(c.status === 78 && c.stderr.includes("bad.yaml:8:15") && c.stderr.includes("no field Sumary"), c.stderr);
    },
  ],
  [
    "a collector sends what the templates say, and its own words where one fails",
    async () => {
      const alertmanager = w.put(
        "alertmanager.yml",
        `templates: ['templates/*.tmpl']
route: {receiver: all, group_by: [alertname]}
receivers:
  - name: all
    slack_configs: [{api_url: "http://127.0.0.1:${http}/slack", channel: '#{{ .CommonLabels.team }}'}]
    discord_configs: [{webhook_url: "http://127.0.0.1:${http}/discord", title: '{{ (index .Alerts.Resolved 0).Status }}'}]
    webhook_configs:
      - url: "http://127.0.0.1:${http}/body"
        body: |
          {"text": "{{ .CommonAnnotations.summary }} {{ template "slack.default.title" . }}",
           "labels": {{ .CommonLabels }}, "n": {{ len .Alerts }}}
`,
      );
      const collector = await w.collector({ rules: [rules], route: "", extra: `alertmanager_file: ${alertmanager}\n` });
      for (const path of ["/slack", "/discord", "/body"]) await until(path, () => asked.some((a) => a.path === path));
      const of = (path) => JSON.parse(asked.find((a) => a.path === path).text);
      check(of("/slack").channel === "#ops" && of("/slack").attachments[0].title === "firing: Odd", JSON.stringify(of("/slack")));
      check(of("/body").text === 'a "quoted" <line>\nand é🔥 firing: Odd' && of("/body").labels.team === "ops" && of("/body").n === 1, JSON.stringify(of("/body")));
      check(of("/discord").embeds[0].title.startsWith("[FIRING:1] Odd"), JSON.stringify(of("/discord")));
      check(/event=message_template_failed program=tocsin-collector receiver="all\/discord0" error="`title`/.test(w.log(collector)), "the log tells");
      const metrics = (await fetchText(`${w.url}/metrics`)).text;
      check(/tocsin_notify_template_failures_total\{receiver="all\/discord0"\} 1/.test(metrics), "it is counted");
    },
  ],
  [
    "a reload reads the files anew, and refuses one with a mistake",
    async () => {
      const file = (text) => w.put("templates/slack.tmpl", `{{ define "slack.default.title" }}${text}{{ end }}`);
      const reload = () => fetchText(`${w.url}/-/reload`, { method: "POST" });
      file("{{ .Stat }}");
      check((await reload()).status >= 400, "a mistake is refused");
      file("new {{ .GroupLabels.alertname }}");
      check((await reload()).status === 200, "the next is taken");
      // The receiver is of this process: it must not wait for the command.
      const r = await promisify(execFile)(join(bin, "tocsin"), ["hooks", "test", "all", "--url", w.url], { timeout: 20000 });
      const titles = asked.filter((a) => a.path === "/slack").map((a) => JSON.parse(a.text).attachments[0].title);
      check(titles.includes("new TocsinTest"), `${r.stdout}${r.stderr} ${titles}`);
    },
  ],
]);
server.close();
server.closeAllConnections();
await w.close();

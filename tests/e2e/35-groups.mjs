// SPDX-License-Identifier: Apache-2.0
// GET /api/v2/alerts/groups beside Debian's Alertmanager: the same routing tree, the same alerts, the same
// silence, and the same text but for times, addresses and ids.

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { World, check, fetchText, freePort, run, until } from "./world.mjs";

const THEIRS = "/usr/bin/prometheus-alertmanager";
const w = new World();
const hook = await w.receiver();
const ALERTS = [
  { alertname: "A", zone: "eu", job: "b", instance: "2" },
  { alertname: "A", zone: "eu", job: "b", instance: "1" },
  { alertname: "A", zone: "us", job: "a", instance: "9" },
  { alertname: "A", zone: "eu" },
  { alertname: "B", zone: "eu", team: "web", instance: "1" },
  { alertname: "B", zone: "us", team: "web" },
  { alertname: "C", team: "db", severity: "page" },
  { alertname: "Source", zone: "us" },
];
const url = `http://127.0.0.1:${hook}/any`;
const tree = `route:
  receiver: default
  group_by: [zone]
  routes:
    - {receiver: web, matchers: [team=web], group_by: [alertname, zone], continue: true}
    - {receiver: db, matchers: [team=~"db|web"], group_by: ['...']}
    - {receiver: nobody, matchers: [alertname=Source], group_by: []}
receivers:
  - {name: default, webhook_configs: [{url: "${url}"}]}
  - {name: web, webhook_configs: [{url: "${url}"}]}
  - {name: db, webhook_configs: [{url: "${url}"}]}
  - {name: nobody, webhook_configs: [{url: "${url}"}]}
inhibit_rules:
  - {source_matchers: [alertname=Source], target_matchers: [alertname=A], equal: [zone]}
`;
const rules = w.put(
  "rules.yaml",
  `groups:
  - name: drill
    interval: 1s
    rules:
${ALERTS.map(({ alertname, ...labels }) => `      - {alert: ${alertname}, expr: 'vector(1)', labels: ${JSON.stringify(labels)}, annotations: {summary: "it is ${alertname}"}}`).join("\n")}
`,
);
let theirs;
const amtool = (base, ...args) => execFileSync("amtool", [`--alertmanager.url=${base}`, ...args], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
const groups = async (base, query = "") => JSON.parse((await fetchText(`${base}/api/v2/alerts/groups${query}`)).text);
const alert = (a) => ({
  labels: a.labels,
  annotations: a.annotations,
  fingerprint: a.fingerprint,
  receivers: a.receivers,
  state: a.status.state,
  silenced: a.status.silencedBy.length,
  inhibited: a.status.inhibitedBy.length,
});
const bare = (list) => JSON.stringify(list.map((g) => ({ labels: Object.entries(g.labels).sort(), receiver: g.receiver, alerts: g.alerts.map(alert).map((a) => ({ ...a, labels: Object.entries(a.labels).sort() })) })), null, 1);
const both = async (query) => {
  const [ours, its] = [bare(await groups(w.url, query)), bare(await groups(theirs, query))];
  check(ours === its, `${query}\nours ${ours}\ntheirs ${its}`);
  return JSON.parse(ours);
};

if (!existsSync(THEIRS)) {
  console.log("skipped: needs Debian 12's prometheus-alertmanager");
  console.log("0 passed, 0 failed");
  process.exit(0);
}
await run([
  [
    "the same alerts are in the same groups, in the same order",
    async () => {
      await w.collector({ rules: [rules], route: tree });
      const api = await freePort();
      theirs = `http://127.0.0.1:${api}`;
      mkdirSync(join(w.dir, "am"));
      const am = w.spawn("alertmanager", THEIRS, [`--config.file=${w.put("theirs.yml", tree)}`, `--storage.path=${join(w.dir, "am")}`,
        `--web.listen-address=127.0.0.1:${api}`, "--cluster.listen-address="]);
      await until("Alertmanager", async () => (await fetchText(`${theirs}/-/ready`)).status === 200).catch((e) => {
        throw new Error(`${e.message}\n${w.log(am)}`);
      });
      const body = ALERTS.map((labels) => ({ labels, annotations: { summary: `it is ${labels.alertname}` } }));
      const r = await fetchText(`${theirs}/api/v2/alerts`, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });
      check(r.status === 200, r.text);
      const all = async (base) => (await groups(base)).flatMap((g) => g.alerts).length === 10;
      await until("all alerts here", () => all(w.url));
      await until("all alerts there", () => all(theirs));
      const list = await both("");
      check(list.length === 8, `${list.length} groups`);
    },
  ],
  [
    "with filters too, with a silence and an inhibition",
    async () => {
      for (const base of [w.url, theirs]) amtool(base, "silence", "add", "alertname=B", "zone=us", "--duration=1h", "--comment=x", "--author=ann");
      for (const base of [w.url, theirs])
        await until("the silence", async () => (await groups(base)).flatMap((g) => g.alerts).some((a) => a.status.silencedBy.length));
      for (const q of ["", "?active=false", "?silenced=false", "?inhibited=false", "?active=false&silenced=false", "?receiver=web", "?receiver=w.*|db", "?receiver=eb",
        `?filter=${encodeURIComponent('zone="eu"')}`, `?filter=${encodeURIComponent('alertname=~"A|B"')}&filter=${encodeURIComponent("zone!=us")}`, "?receiver=none"])
        await both(q);
      check((await groups(w.url, "?receiver=none")).length === 0, "a receiver there is not");
      for (const base of [w.url, theirs]) check((await fetchText(`${base}/api/v2/alerts/groups?filter=a`)).status === 400, "no matcher");
    },
  ],
]);
await w.close();

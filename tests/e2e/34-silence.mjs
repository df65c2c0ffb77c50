// SPDX-License-Identifier: Apache-2.0
// Silences and inhibition as people use them: amtool against the collector, and what the receiver hears
// when a mute ends, is made while an alert fires, and survives kill -9.

import { execFileSync } from "node:child_process";
import { createServer } from "node:net";
import { join } from "node:path";
import { World, bin, check, fetchText, freePort, run, sleep, until } from "./world.mjs";

const w = new World();
const port = await freePort();
const other = await freePort();
let server;
const up = () => (server = createServer((s) => s.destroy()).listen(port, "127.0.0.1"));
const down = () => new Promise((r) => server.close(r));
const rules = w.put(
  "rules.yaml",
  `groups:
  - name: drill
    interval: 1s
    rules:
      - {alert: Now, expr: 'probe_success{probe="p"} == 0', labels: {severity: page}}
      - {alert: Detail, expr: 'probe_success{probe="p"} == 0', labels: {severity: info}}
      - {alert: Always, expr: 'probe_success{probe="q"} == 0', labels: {severity: page}}
`,
);
const extra = `inhibit_rules:
  - source_matchers: [alertname=Now]
    target_matchers: [alertname=Detail]
    equal: [instance]
`;
let collector = await w.collector({ rules: [rules], extra });
const amtool = (...args) => execFileSync("amtool", [`--alertmanager.url=${w.url}`, ...args], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
const heard = (name) => w.heard(name);
const v2 = async (path) => JSON.parse((await fetchText(`${w.url}/api/v2/${path}`)).text);

await run([
  [
    "amtool lists what fires, with its receiver and state",
    async () => {
      up();
      await w.agent({ config: `probes:\n  - {name: p, tcp: "127.0.0.1:${port}"}\n  - {name: q, tcp: "127.0.0.1:${other}"}\n` });
      await until("Always", () => heard("Always") === "firing");
      check(/Always/.test(amtool("alert", "query")), amtool("alert", "query"));
      const a = (await v2("alerts")).find((x) => x.labels.alertname === "Always");
      check(a.status.state === "active" && a.receivers[0].name === "default", JSON.stringify(a));
      check(a.generatorURL.startsWith(w.url) && a.fingerprint.length === 16, JSON.stringify(a));
      check((await v2("receivers"))[0].name === "default", "receivers");
    },
  ],
  [
    "a silence holds back an alert, and when it is expired the alert is said",
    async () => {
      const id = amtool("silence", "add", "alertname=~Now|Detail", "--duration=1h", "--comment=swap", "--author=ann").trim();
      check(/^[0-9a-f-]{36}$/.test(id), `amtool printed ${id}`);
      check(amtool("silence", "query").includes(id), "silence query");
      await down();
      await until("Now to fire", async () => (await v2("alerts")).some((a) => a.labels.alertname === "Now" && a.status.silencedBy.includes(id)), 5000);
      await sleep(1500);
      check(heard("Now") === "", `silenced, and heard: ${heard("Now")}`);
      amtool("silence", "expire", id);
      await until("Now", () => heard("Now") === "firing", 3000);
      check(!amtool("silence", "query").includes(id) && amtool("silence", "query", "--expired").includes(id), "expired");
    },
  ],
  [
    "an inhibited alert is not said while its source fires",
    async () => {
      await sleep(1500);
      check(heard("Detail") === "", `inhibited, and heard: ${heard("Detail")}`);
      const d = (await v2("alerts")).find((a) => a.labels.alertname === "Detail");
      check(d.status.state === "suppressed" && d.status.inhibitedBy.length === 1, JSON.stringify(d));
    },
  ],
  [
    "an alert whose end was silenced is said to be over when the silence ends",
    async () => {
      const id = amtool("silence", "add", "alertname=Now", "--duration=1h", "--comment=x", "--author=ann").trim();
      up();
      await until("Now to be over", async () => !(await v2("alerts")).some((a) => a.labels.alertname === "Now"), 5000);
      await sleep(1000);
      check(heard("Now") === "firing", `heard ${heard("Now")}`);
      amtool("silence", "expire", id);
      await until("resolved", () => heard("Now") === "firing resolved", 3000);
    },
  ],
  [
    "a silence outlives kill -9, and ends by itself",
    async () => {
      w.hooks.length = 0;
      const id = amtool("silence", "add", "alertname=Now", "--duration=10s", "--comment=x", "--author=ann").trim();
      await sleep(200);
      collector.kill("SIGKILL");
      await collector.gone;
      await down();
      const killed = Date.now();
      collector = await w.collector({ rules: [rules], extra });
      check(amtool("silence", "query").includes(id), "the silence is gone");
      await until("Now to fire", async () => (await v2("alerts")).some((a) => a.labels.alertname === "Now" && a.status.silencedBy.includes(id)), 8000);
      check(heard("Now") === "", "it was said though it is silenced");
      await until("Now", () => heard("Now") === "firing", 12000);
      check(Date.now() - killed > 7000, "the silence ended early");
    },
  ],
  [
    "tocsin silence: preview, add, list, expire",
    async () => {
      const cli = (...args) => execFileSync(join(bin, "tocsin"), ["--url", w.url, ...args], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
      check(/^1 alert that fires now would be silenced:\n  Always \{/.test(cli("silence", "preview", "alertname=Always")), cli("silence", "preview", "alertname=Always"));
      const id = cli("silence", "add", 'alertname=~"Al.*"', "severity!=info", "--for", "1h", "--comment", "swap", "--by", "ann").trim();
      check(/^[0-9a-f-]{36}$/.test(id), id);
      const list = cli("silence", "list");
      check(list.includes(id) && list.includes('alertname=~"Al.*", severity!="info"') && list.includes("swap"), list);
      cli("silence", "expire", id);
      check(!cli("silence", "list").includes(id) && cli("silence", "list", "--expired").includes(id), "expired");
      const refused = (...args) => {
        try {
          cli("silence", ...args);
        } catch (e) {
          return `${e.status} ${e.stderr}`;
        }
        return "0";
      };
      check(/^2 .*--for/.test(refused("add", "a=b", "--comment", "x")), refused("add", "a=b", "--comment", "x"));
      check(/^2 .*no matcher/.test(refused("add", "a", "--for", "1h", "--comment", "x")), refused("add", "a", "--for", "1h", "--comment", "x"));
      check(/^1 .*everything/.test(refused("add", "a=~.*", "--for", "1h", "--comment", "x")), refused("add", "a=~.*", "--for", "1h", "--comment", "x"));
      check(/^1 .*no such silence/.test(refused("expire", "nothing")), refused("expire", "nothing"));
    },
  ],
  [
    "one that ends when it is quiet: not while it matches, through kill -9, and amtool sees a silence",
    async () => {
      const cli = (...args) => execFileSync(join(bin, "tocsin"), ["--url", w.url, ...args], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
      const id = cli("silence", "add", "alertname=Now", "--for", "1h", "--until-quiet", "3s", "--comment", "until it is mended", "--by", "ann").trim();
      const state = async () => (await v2(`silence/${id}`)).status.state;
      check((await v2(`silence/${id}`)).untilQuiet === "3s", JSON.stringify(await v2(`silence/${id}`)));
      check(/or until quiet for 3(\.0\d*)? s/.test(cli("silence", "list")), cli("silence", "list"));
      check(amtool("silence", "query").includes(id), "amtool");
      amtool("silence", "update", id, "--duration=2h");
      check((await v2(`silence/${id}`)).untilQuiet === "3s", "amtool took it away");
      await sleep(4000); // longer than it waits
      check((await state()) === "active", "it ended while Now fires");
      collector.kill("SIGKILL");
      await collector.gone;
      collector = await w.collector({ rules: [rules], extra });
      check((await state()) === "active" && (await v2(`silence/${id}`)).untilQuiet === "3s", "it is gone");
      up();
      await until("Now to be over", async () => !(await v2("alerts")).some((a) => a.labels.alertname === "Now"), 8000);
      const over = Date.now();
      await until("the silence to end", async () => (await state()) === "expired", 8000);
      check(Date.now() - over > 2000, `ended ${Date.now() - over} ms after the alert`);
    },
  ],
  [
    "what cannot be is refused with a reason",
    async () => {
      const post = (o) => fetchText(`${w.url}/api/v2/silences`, { method: "POST", body: JSON.stringify(o), headers: { "Content-Type": "application/json" } });
      const good = { matchers: [{ name: "a", value: "b", isRegex: false, isEqual: true }], startsAt: new Date().toISOString(), endsAt: new Date(Date.now() + 60000).toISOString(), createdBy: "x", comment: "y" };
      check((await post(good)).status === 200, "a good one");
      for (const [bad, why] of [
        [{ ...good, matchers: [{ name: "a", value: ".*", isRegex: true }] }, /everything/],
        [{ ...good, matchers: [] }, /everything/],
        [{ ...good, matchers: [{ name: "a", value: "(", isRegex: true }] }, /missing/],
        [{ ...good, endsAt: "soon" }, /RFC 3339/],
        [{ ...good, comment: "" }, /comment/],
        [{ ...good, id: "no-such" }, /no silence/],
        [{ ...good, untilQuiet: "soon" }, /untilQuiet/],
        [7, /object/],
      ]) {
        const r = await post(bad);
        check(r.status >= 400 && r.status < 500 && why.test(r.text), `${JSON.stringify(bad)}: ${r.status} ${r.text}`);
      }
      check((await fetchText(`${w.url}/api/v2/alerts`, { method: "POST", body: "[]" })).status === 405, "posted alerts");
      check((await fetchText(`${w.url}/api/v2/silences`, { method: "POST", body: "{}", headers: { Origin: "http://evil.example" } })).status === 403, "a foreign origin");
    },
  ],
]);
if (process.env.SHOW_LOG) console.log(w.log(collector));
server.close();
await w.close();

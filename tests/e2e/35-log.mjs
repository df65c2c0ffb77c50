// SPDX-License-Identifier: Apache-2.0
// The log of alerting as people read it: what an alert did, who silenced what, in order, once, and over
// kill -9.

import { spawnSync } from "node:child_process";
import { createServer } from "node:net";
import { join } from "node:path";
import { World, bin, check, fetchText, freePort, run, until } from "./world.mjs";

const w = new World();
const port = await freePort();
let server;
const up = () => new Promise((r) => (server = createServer((s) => s.destroy()).listen(port, "127.0.0.1", r)));
const down = () => new Promise((r) => server.close(r));
const rules = w.put(
  "rules.yaml",
  `groups:
  - name: drill
    interval: 1s
    rules:
      - {alert: Down, expr: 'probe_success{probe="p"} == 0', for: 1s, labels: {severity: page}}
`,
);
let collector = await w.collector({ rules: [rules] });
const cli = (...args) => spawnSync(join(bin, "tocsin"), [...args, "--url", w.url], { encoding: "utf8", env: { ...process.env, NO_COLOR: "1", USER: "ann" } });
const log = (...args) => JSON.parse(cli("alerts", "log", "--json", ...args).stdout);
const explain = (...args) => JSON.parse(cli("alerts", "explain", "--json", ...args).stdout);
const kinds = (...args) => log(...args).map((e) => e.kind).reverse().join(" ");
const page = async (query) => JSON.parse((await fetchText(`${w.url}/api/v1/alerts/log?${query}`)).text).data;

await run([
  [
    "an alert's life is in the log in order, with its times and why nobody heard",
    async () => {
      await up();
      await w.agent({ config: `probes:\n  - {name: p, tcp: "127.0.0.1:${port}"}\n` });
      await until("the probe", async () => (await w.query('probe_success{probe="p"} == 1')).length === 1);
      await down();
      await until("Down", () => w.heard("Down") === "firing");
      check(kinds("alertname=Down") === "pending firing", kinds("alertname=Down"));
      const told = explain("alertname=Down")[0];
      const next = told.receivers[0];
      check(told.state === "firing" && next.told === "firing" && next.reason === "repeat_interval" && next.exact, JSON.stringify(told));
      check(Date.parse(next.at) - Date.parse(next.since) === 4 * 3600e3, JSON.stringify(next));
      check(/next at .*because repeat_interval 4h since last sent/.test(cli("alerts", "explain", told.fingerprint).stdout), cli("alerts", "explain", told.fingerprint).stdout);
      check(cli("alerts", "explain", "alertname=Other").status === 1, "explain of nothing");
      const id = cli("silence", "add", "alertname=Down", "--for", "1h", "--comment", "swap").stdout.trim();
      await until("the silence", () => explain("alertname=Down")[0].receivers[0].reason === "quiet");
      check(explain("alertname=Down")[0].silences[0].id === id, JSON.stringify(explain("alertname=Down")));
      await up();
      await until("the end", () => kinds("alertname=Down") === "pending firing resolved");
      const held = explain("alertname=Down")[0];
      check(held.state === "resolved" && held.receivers[0].reason === "muted" && held.receivers[0].at === held.silences[0].until, JSON.stringify(held));
      const [end, fired] = log("alertname=Down");
      check(end.mutedBy.join() === "silence" && fired.mutedBy.length === 0, JSON.stringify([end, fired]));
      check(end.fingerprint === fired.fingerprint && end.episode === fired.episode, JSON.stringify(end));
      check(Date.parse(fired.causeAt) <= Date.parse(fired.at) && Date.parse(fired.at) <= Date.parse(end.at), JSON.stringify(fired));
      check(cli("silence", "expire", id).status === 0, "expire");
      await until("the silence's end", () => kinds() === "pending firing silence_made resolved silence_ended");
      const made = log("--kind", "silence_made")[0];
      check(made.silence === id && made.by === "ann" && made.comment === "swap" && made.matchers.includes("Down"), JSON.stringify(made));
    },
  ],
  [
    "pages, kinds and times choose; what is asked wrongly is said",
    async () => {
      const all = log();
      let next = "";
      const seen = [];
      do {
        const p = await page(`limit=2${next ? `&before=${next}` : ""}`);
        seen.push(...p.events);
        next = p.next;
      } while (next);
      check(JSON.stringify(seen) === JSON.stringify(all), JSON.stringify(seen));
      check((await page("kind=firing&count=true")).count === 1, "count");
      check(/in the last 24 h it would have silenced 1 alert\n/.test(cli("silence", "preview", "alertname=Down").stdout), cli("silence", "preview", "alertname=Down").stdout);
      check(/would have silenced 0 alerts\n/.test(cli("silence", "preview", "alertname=Other").stdout), "other");
      check(log("--since", "1ms").length === 0, "since");
      check(/nothing is in the log/.test(cli("alerts", "log", "alertname=Other").stdout), "nothing");
      check(/Down/.test(cli("alerts", "log").stdout) && / resolved /.test(cli("alerts", "log").stdout), cli("alerts", "log").stdout);
      check(cli("alerts", "log", "--since", "x").status === 2, "--since x");
      check(cli("alerts", "log", "=x").status === 1, "no matcher");
      check(cli("alerts", "log", "--help").status === 0, "--help");
    },
  ],
  [
    "after kill -9 the log goes on, and nothing is in it twice",
    async () => {
      await down();
      await until("Down again", () => log("--kind", "firing").length === 2);
      check(cli("alerts", "ack", "alertname=Down", "--for", "1h", "--note", "mine").status === 0, "ack");
      await until("the acknowledgement", () => explain("alertname=Down")[0].acknowledged?.by === "ann");
      await until("its place in the log", () => log("--kind", "acknowledged").some((e) => e.by === "ann" && e.labels.alertname === "Down"));
      const before = log();
      collector.kill("SIGKILL");
      await new Promise((r) => collector.once("exit", r));
      collector = await w.collector({ rules: [rules] });
      await until("the log", () => log().length >= before.length);
      check(JSON.stringify(log().slice(-before.length)) === JSON.stringify(before), JSON.stringify(log()));
      await up();
      await until("the end", () => log("--kind", "resolved").length === 2);
      const ids = log().map((e) => BigInt(e.id));
      check(ids.every((x, i) => !i || x < ids[i - 1]), ids.join(" "));
      check(kinds("alertname=Down") === "pending firing resolved pending firing acknowledged resolved", kinds("alertname=Down"));
    },
  ],
]);
server.close();
await w.close();

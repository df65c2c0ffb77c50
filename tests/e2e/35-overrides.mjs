// SPDX-License-Identifier: Apache-2.0
// `depends_on` and `flap` with real programs: who is told what, when the reason ends, over kill -9 and
// a reload.

import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { Ours } from "../drills/rig.mjs";
import { bin, check, fetchText, run, until } from "./world.mjs";

const rules = `groups:
  - name: drill
    interval: 1s
    rules:
      - {alert: Down, expr: 'down > 0'}
      - {alert: Slow, expr: 'slow > 0'}
      - {alert: Swing, expr: 'swing > 0', annotations: {summary: it swings}}
`;
const arrival = ["Down", "Slow", "Swing"].map((n) => `  - {rule: drill/${n}, set: {evaluate: arrival}}\n`).join("");
const depends = "  - {rule: drill/Slow, set: {depends_on: [drill/Down]}}\n";
const flap = "  - {rule: drill/Swing, set: {flap: {window: 15s, max: 2}}}\n";

const w = new Ours();
const port = await w.receiver();
const put = (text) => w.put("overrides.yaml", `overrides:\n${arrival}${text}`);
w.options = {
  rules: [w.put("rules.yaml", rules), put(depends + flap)],
  route: `route: {receiver: r, group_by: ['...'], group_wait: 0s}\nreceivers: [{name: r, webhook_configs: [{url: "http://127.0.0.1:${port}/"}]}]\n`,
};
await w.again();
const a = w.feed("host-a");
const b = w.feed("host-b");

const v2 = async (name, host) =>
  JSON.parse((await fetchText(`${w.url}/api/v2/alerts`)).text).find((x) => x.labels.alertname === name && x.labels.instance === host);
/** What was told of an alert, in order. */
const told = (name, host) => w.hooks.flatMap((h) => h.body.alerts).filter((x) => x.labels.alertname === name && x.labels.instance === host);
const way = (name, host) => told(name, host).map((x) => x.status).join(" ");
const hears = (name, host, wanted, timeoutMs = 15000) => until(`${name} on ${host}: ${wanted}`, () => way(name, host) === wanted, timeoutMs).catch((e) => {
  throw new Error(`${e.message}; heard: ${way(name, host)}`);
});
const fires = (name, host) => until(`${name} to fire on ${host}`, () => v2(name, host), 15000);
const ends = (name, host) => until(`${name} to end on ${host}`, async () => !(await v2(name, host)), 15000);
const reload = async (text) => {
  const before = applied();
  put(text);
  w.process.kill("SIGHUP");
  await until("the reload", () => applied() !== before, 10000);
};
const applied = () => w.log(w.process).match(/event=reload/g)?.length ?? 0;

await run([
  [
    "an alert is not told while the one it depends on fires on its host, told when that ends",
    async () => {
      await b.send({ down: 0, slow: 1, swing: 0 });
      await a.send({ down: 0, slow: 0, swing: 0 });
      await hears("Slow", "host-b", "firing");
      await a.send({ down: 1, slow: 1 }); // in one frame
      await hears("Down", "host-a", "firing");
      const muted = await fires("Slow", "host-a");
      check(muted.status.state === "suppressed" && muted.status.inhibitedBy.join() === "depends_on", JSON.stringify(muted.status));
      const listed = execFileSync(join(bin, "tocsin"), ["--url", w.url, "alerts"], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
      check(/firing, not told: depends_on +Slow .*host-a/.test(listed) && /firing +Slow .*host-b/.test(listed), listed);
      check((await v2("Slow", "host-b")).status.state === "active", "host-b is muted by host-a");
      check(way("Slow", "host-a") === "", "it was told though it is muted");
      await a.send({ down: 0 });
      await hears("Slow", "host-a", "firing");
      await hears("Down", "host-a", "firing resolved");
    },
  ],
  [
    "an end that was muted is told then; what began and ended meanwhile is nobody's business",
    async () => {
      await a.send({ down: 1 });
      await hears("Down", "host-a", "firing resolved firing");
      await a.send({ slow: 0 });
      await ends("Slow", "host-a");
      check(way("Slow", "host-a") === "firing", way("Slow", "host-a"));
      await a.send({ slow: 1 });
      await fires("Slow", "host-a");
      await a.send({ slow: 0 });
      await ends("Slow", "host-a");
      await a.send({ down: 0 });
      await hears("Slow", "host-a", "firing resolved");
      await hears("Down", "host-a", "firing resolved firing resolved");
    },
  ],
  [
    "kill -9 forgets neither: muted before, muted after, told once",
    async () => {
      await a.send({ down: 1, slow: 1 });
      await fires("Slow", "host-a");
      await hears("Down", "host-a", "firing resolved firing resolved firing");
      await w.crash();
      await w.again();
      const muted = await fires("Slow", "host-a");
      check(muted.status.inhibitedBy.join() === "depends_on", JSON.stringify(muted.status));
      await a.send({ down: 0 });
      await hears("Slow", "host-a", "firing resolved firing");
      check(way("Slow", "host-b") === "firing", `Slow on host-b: ${way("Slow", "host-b")}`);
    },
  ],
  [
    "a reload that takes depends_on away tells what it held back; one that goes in a circle is refused",
    async () => {
      await a.send({ slow: 0 });
      await hears("Slow", "host-a", "firing resolved firing resolved");
      await a.send({ down: 1, slow: 1 });
      await until("Slow to be muted", async () => (await v2("Slow", "host-a"))?.status.state === "suppressed", 15000);
      await reload(flap);
      await hears("Slow", "host-a", "firing resolved firing resolved firing");
      const bad = w.put("circle.yaml", `overrides:\n${depends}  - {rule: drill/Down, set: {depends_on: [Slow]}}\n`);
      let said = "";
      try {
        execFileSync(join(bin, "tocsin"), ["rules", "check", w.options.rules[0], bad], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
      } catch (e) {
        said = e.stdout;
      }
      check(/T023.*drill\/Down -> drill\/Slow -> drill\/Down[^]*circle\.yaml:3:/.test(said), said);
      await a.send({ down: 0, slow: 0 });
      await hears("Slow", "host-a", "firing resolved firing resolved firing resolved");
    },
  ],
  [
    "an alert that swings says so once, then what is true when it is calm",
    async () => {
      for (let i = 0; i < 4; i++) {
        await a.send({ swing: 1 });
        await fires("Swing", "host-a");
        await a.send({ swing: 0 });
        await ends("Swing", "host-a");
      }
      await a.send({ swing: 1 });
      const last = await fires("Swing", "host-a");
      check(last.status.state === "suppressed" && last.status.mutedBy.join() === "flap", JSON.stringify(last.status));
      const pairs = "firing resolved firing resolved firing";
      await hears("Swing", "host-a", pairs);
      const marks = told("Swing", "host-a").map((x) => x.annotations.flapping ?? "");
      check(marks.slice(0, 4).join("") === "" && /more than 2 times in 15s/.test(marks[4]), JSON.stringify(marks));
      await hears("Swing", "host-a", `${pairs} resolved firing`, 25000);
      const now = told("Swing", "host-a").at(-1);
      check(now.startsAt === last.startsAt && !now.annotations.flapping && now.annotations.summary === "it swings", JSON.stringify(now));
      check((await v2("Swing", "host-a")).status.state === "active", "still muted");
    },
  ],
]);
if (process.env.SHOW_LOG) console.log(w.log(w.process));
await w.close();

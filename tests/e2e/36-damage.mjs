// SPDX-License-Identifier: Apache-2.0
// The journal is damaged between kill -9 and the next start (DAMAGES, 4): a bit flipped or the end cut
// off, in alerts.db or its write-ahead log. Each time the collector starts, the alert fires on, and
// when something is lost a log line, a metric and StorageDegraded say so.

import { existsSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { World, check, fetchText, run, until } from "./world.mjs";

const damages = Number(process.env.DAMAGES ?? 4);
const w = new World();
const rules = w.put("rules.yaml", "groups:\n  - name: g\n    interval: 1s\n    rules:\n      - {alert: Up, expr: 'up == 1', labels: {severity: page}}\n");
const alerts = async () => JSON.parse((await fetchText(`${w.url}/api/v1/alerts`)).text).data.alerts;
const fires = async (name) => (await alerts()).some((a) => a.labels.alertname === name && a.state === "firing");
const lost = async () =>
  [...(await fetchText(`${w.url}/metrics`)).text.matchAll(/^tocsin_collector_journal_(missing_transactions|begun_anew|damaged_rows)\S* (\d+)/gm)].reduce((n, m) => n + Number(m[2]), 0);

function hurt(i) {
  const file = ["alerts.db-wal", "alerts.db"].map((n) => join(w.dir, "collector", n)).filter((f) => existsSync(f) && statSync(f).size > 0)[i % 2];
  if (!file) return;
  const size = statSync(file).size;
  if (i % 4 < 2) return truncateSync(file, Math.floor(Math.random() * size));
  const bytes = readFileSync(file);
  bytes[Math.floor(Math.random() * size)] ^= 1 << Math.floor(Math.random() * 8);
  writeFileSync(file, bytes);
}

await run([
  [
    `${damages} damaged journals: it starts, says what it lost, and invents nothing`,
    async () => {
      let collector = await w.collector({ rules: [rules] });
      await w.agent({});
      let said = 0;
      for (let i = 0; i < damages; i++) {
        await until("the alert", () => fires("Up"), 20000);
        await until("the page", () => w.hooks.some((h) => h.body.alerts.some((a) => a.labels.alertname === "Up")));
        collector.kill("SIGKILL");
        await collector.gone;
        hurt(i);
        collector = await w.collector({ rules: [rules] });
        await until("the alert again", () => fires("Up"), 20000);
        if (!(await lost())) continue;
        said++;
        check(/event=journal(_damaged|_begun_anew)? /.test(w.log(collector)), "nothing in the log");
        await until("StorageDegraded", () => fires("StorageDegraded"), 10000);
      }
      console.log(`      ${said} of ${damages} lost something`);
      const heard = w.hooks.flatMap((h) => h.body.alerts).filter((a) => !["Up", "StorageDegraded"].includes(a.labels.alertname));
      check(heard.length === 0, JSON.stringify(heard[0]));
      check(said > 0, "no damage was noticed");
    },
  ],
]);
if (process.env.SHOW_LOG) console.log(w.log([...w.children][0]));
await w.close();

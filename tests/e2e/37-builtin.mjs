// SPDX-License-Identifier: Apache-2.0
// What goes wrong in the collector itself is an alert: a rule that cannot be evaluated, a receiver
// nothing gets through to, a state directory that cannot be written.

import { mkdirSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { World, check, fetchText, run, until } from "./world.mjs";

const w = new World();
const rules = w.put(
  "rules.yaml",
  `groups:
  - name: broken
    interval: 1s
    rules:
      - {alert: Many, expr: 'up + on() tocsin_collector_series > 0'}
      - {record: two, expr: 'label_replace(tocsin_receiver_queued, "receiver", "", "receiver", ".*") * 0 + on() group_left up'}
`,
);
const firing = async (name) => JSON.parse((await fetchText(`${w.url}/api/v1/alerts`)).text).data.alerts.filter((a) => a.labels.alertname === name && a.state === "firing");

await run([
  [
    "a rule that cannot be evaluated pages, and the page names it",
    async () => {
      await w.collector({ rules: [rules] });
      await w.agent({});
      await w.agent({ name: "second", host: "second" }); // two `up`: many-to-many
      await until("RuleError", () => w.hooks.some((h) => h.body.alerts.some((a) => a.labels.alertname === "RuleError" && a.labels.rule === "Many")), 20000);
      const a = w.hooks.flatMap((h) => h.body.alerts).find((x) => x.labels.rule === "Many");
      check(a.labels.rule_group === "broken" && /broken\/Many/.test(a.annotations.summary), JSON.stringify(a));
    },
  ],
  [
    "it is over when the rule is mended",
    async () => {
      w.put("rules.yaml", "groups:\n  - name: broken\n    interval: 1s\n    rules:\n      - {alert: Many, expr: 'up < 0'}\n");
      [...w.children].find((c) => c.title === "collector").kill("SIGHUP");
      await until("resolved", () => w.hooks.some((h) => h.body.alerts.some((a) => a.labels.rule === "Many" && a.status === "resolved")), 15000);
    },
  ],
  [
    "a receiver nothing gets through to",
    async () => {
      w.receiverStatus = 500;
      w.put("rules.yaml", "groups:\n  - name: broken\n    interval: 1s\n    rules:\n      - {alert: Now, expr: 'up == 1'}\n");
      [...w.children].find((c) => c.title === "collector").kill("SIGHUP");
      const a = await until("DeliveryFailing", async () => (await firing("DeliveryFailing"))[0], 60000, 500);
      check(a.labels.receiver === "default", JSON.stringify(a));
      w.receiverStatus = 200;
      await until("it works again", async () => (await firing("DeliveryFailing")).length === 0, 20000, 200);
    },
  ],
  [
    "a full disk does not hold a page back, and is an alert",
    async () => {
      if (process.getuid() !== 0) return console.log("      not root: no tmpfs");
      const full = new World();
      const state = join(full.dir, "collector");
      mkdirSync(state);
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=400k", "tmpfs", state]);
      try {
        full.put("rules.yaml", "groups:\n  - name: g\n    interval: 1s\n    rules:\n      - {alert: Up, expr: 'up == 1', labels: {severity: page}}\n");
        await full.collector({ rules: [join(full.dir, "rules.yaml")] });
        execFileSync("sh", ["-c", `dd if=/dev/zero of=${state}/fill bs=1k 2>/dev/null; true`]);
        await full.agent({});
        await until("the page", () => full.hooks.some((h) => h.body.alerts.some((a) => a.labels.alertname === "Up")), 10000);
        await until("StorageDegraded", () => full.hooks.some((h) => h.body.alerts.some((a) => a.labels.alertname === "StorageDegraded" && a.status === "firing")), 10000);
        execFileSync("rm", [`${state}/fill`]);
        await until("it is written again", () => full.hooks.some((h) => h.body.alerts.some((a) => a.labels.alertname === "StorageDegraded" && a.status === "resolved")), 15000);
      } finally {
        await full.close().catch(() => {});
        execFileSync("umount", ["-l", state]);
      }
    },
  ],
]);
await w.close();

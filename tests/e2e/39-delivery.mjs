// SPDX-License-Identifier: Apache-2.0
// What is broken around the collector does not delay a page: a receiver that hangs, a disk whose fsync
// takes two seconds. (RUNS pages each way, 40)

import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { Ours, hungServer, quantile, says } from "../drills/rig.mjs";
import { check, now, root, run, sleep } from "./world.mjs";

const runs = Number(process.env.RUNS ?? 40);
const pageOf = (n) => (h) => h.body.alerts.some((a) => a.labels.n === String(n) && a.status === "firing");

await run([
  [
    "one receiver of three hangs: the other two hear as early as without it",
    async () => {
      const w = new Ours();
      const hung = await hungServer();
      const good = (name, port) => `  - {name: ${name}, webhook_configs: [{url: "http://127.0.0.1:${port}/${name}"}]}\n`;
      const to = (name, rule) => `    - {receiver: ${name}, continue: true, matchers: [alertname="${rule}"]}\n`;
      // The same alerts twice: to three that answer, and to two that answer and one that hangs.
      await w.start({
        rules: { Plain: "plain > 0", Beside: "beside > 0" },
        route: `route:
  receiver: none
  group_by: ['...']
  routes:
${["one", "two", "three"].map((r) => to(r, "Plain")).join("")}${["hung", "one", "two"].map((r) => to(r, "Beside")).join("")}receivers:
  - {name: none}
${["one", "two", "three"].map((r) => good(r, "{port}")).join("")}${good("hung", hung.port)}`,
      });
      const f = w.feed();
      f.fill("plain", "n", 0, runs, 0);
      f.fill("beside", "n", 0, runs, 0);
      await f.send();
      await sleep(500);
      const took = { plain: [], beside: [] };
      for (let i = 0; i < 2 * runs; i++) {
        const series = i % 2 ? "beside" : "plain";
        const n = Math.floor(i / 2);
        const at = now();
        const both = ["/one", "/two"].map((path) => w.hook((h) => h.path === path && pageOf(n)(h), at, 5000));
        f.send({ [`${series}{n="${n}"}`]: 1 });
        const hooks = await Promise.all(both);
        check(hooks.every(Boolean), `${series} ${n} was not told`);
        took[series].push(Math.max(...hooks.map((h) => h.at)) - at);
        await sleep(110);
      }
      const [plain, beside] = [quantile(took.plain, 0.5), quantile(took.beside, 0.5)];
      console.log(`      median ${plain.toFixed(2)} ms, beside a hung one ${beside.toFixed(2)} ms, ratio ${(beside / plain).toFixed(2)}`);
      hung.close();
      await w.close();
      // A tenth, or what a busy machine's clock cannot tell apart.
      check(beside <= plain * 1.1 || beside - plain < 2, `${plain} ms became ${beside} ms`);
    },
  ],
  [
    "fsync takes 2 s: pages leave within 150 ms, say that they are not durable, and it is an alert",
    async () => {
      const w = new Ours();
      const shim = join(w.dir, "slow_fsync.so");
      execFileSync("cc", ["-shared", "-fPIC", "-O1", "-o", shim, join(root, "tests/e2e/slow_fsync.c"), "-ldl"]);
      const slow = join(w.dir, "slow");
      await w.start({ rules: { P: { expr: "p > 0", labels: { severity: "page" } } }, env: { LD_PRELOAD: shim, ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ""}:verify_asan_link_order=0`, SLOW_FSYNC_MS: "2000", SLOW_FSYNC_WHILE: slow } });
      const f = w.feed();
      f.fill("p", "n", 0, runs, 0);
      await f.send();
      await sleep(1000);
      const page = async (n) => {
        const at = now();
        f.send({ [`p{n="${n}"}`]: 1 });
        const h = await w.hook(pageOf(n), at, 5000);
        check(h, `page ${n} was not told`);
        return { took: h.at - at, durable: h.headers["tocsin-durable"] !== "false" };
      };
      check((await page(0)).durable, "marked without a reason");
      w.put("slow", "");
      const from = now();
      const pages = [];
      for (let n = 1; n < runs; n++) {
        pages.push(await page(n));
        await sleep(100 + Math.random() * 300);
      }
      const worst = Math.max(...pages.map((p) => p.took));
      console.log(`      ${pages.length} pages: median ${quantile(pages.map((p) => p.took), 0.5).toFixed(0)} ms, worst ${worst.toFixed(0)} ms`);
      check(worst < 150, `a page took ${worst} ms`);
      const wrong = pages.filter((p) => p.durable).length;
      check(wrong === 0, `${wrong} of ${pages.length} pages claim to be durable`);
      check(await w.hook(says("StorageDegraded", "firing"), from, 5000), "no StorageDegraded");
      rmSync(slow);
      check(await w.hook(says("StorageDegraded", "resolved"), now(), 30000), "StorageDegraded does not end");
      check((await page(runs)).durable, "still marked when the disk is quick again");
      await w.close();
    },
  ],
]);

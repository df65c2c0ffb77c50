// SPDX-License-Identifier: Apache-2.0
// A state directory that may not be written, or not even read: the collector starts all the same, pages
// go out and say that they are not durable, StorageDegraded says why, and it is over once the
// directory is given back. As root the collector runs as nobody here.

import { chmodSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { Ours, fetchText, now, says, sleep, until } from "../drills/rig.mjs";
import { check, run } from "./world.mjs";

const pageOf = (n) => (h) => h.body.alerts.some((a) => a.labels.n === String(n) && a.status === "firing");

class Unprivileged extends Ours {
  spawn(name, command, args, options) {
    if (process.getuid() !== 0) return super.spawn(name, command, args, options);
    return super.spawn(name, "setpriv", ["--reuid=65534", "--regid=65534", "--clear-groups", command, ...args], options);
  }
}

const w = new Unprivileged();
const dir = join(w.dir, "collector");
mkdirSync(dir);
const mode = (m) => chmodSync(dir, m);
const ok = async () => /^tocsin_collector_journal_ok 1/m.test((await fetchText(`${w.url}/metrics`)).text);
let feed;
const page = async (n) => {
  const at = now();
  feed.send({ [`p{n="${n}"}`]: 1 });
  const h = await w.hook(pageOf(n), at, 10000);
  check(h, `page ${n} was not told`);
  return h.headers["tocsin-durable"] !== "false";
};
const given = async () => {
  const at = now();
  mode(0o777);
  check(await w.hook(says("StorageDegraded", "resolved"), at, 15000), "StorageDegraded does not end");
};

await run([
  [
    "may not be written: it starts, says so, and writes once it may",
    async () => {
      mode(0o555);
      await w.start({
        rules: { P: { expr: "p > 0", labels: { severity: "page" } } },
        route: "route: {receiver: r, group_by: ['...']}\nreceivers: [{name: r, webhook_configs: [{url: \"http://127.0.0.1:{port}/\"}]}]\n",
      });
      feed = w.feed();
      feed.fill("p", "n", 0, 4, 0);
      await feed.send();
      check(await w.hook(says("StorageDegraded", "firing"), 0, 10000), "no StorageDegraded");
      check(!(await page(0)), "page 0 claims to be durable");
      check(/event=journal.*alerts\.db/.test(w.log(w.process)), w.log(w.process));
      await given();
      check(await page(1), "page 1 is not durable");
    },
  ],
  [
    "may not be written at the next start: what is in it is read, nothing is told again",
    async () => {
      const told = () => w.hooks.flatMap((h) => h.body.alerts).filter((a) => a.labels.alertname === "P").map((a) => `${a.labels.n} ${a.status}`).join(", ");
      await until("the journal", ok);
      await sleep(200); // that it was told is written too
      await w.crash();
      mode(0o555);
      await w.again();
      check((await w.alerts("P")).length === 2, JSON.stringify(await w.alerts("P")));
      await page(2);
      check(told() === "0 firing, 1 firing, 2 firing", told());
      mode(0o777);
      await until("the journal", ok, 15000);
    },
  ],
  [
    "may not even be read: it starts, says so, pages go out",
    async () => {
      await w.crash();
      mode(0o000);
      const at = now();
      await w.again();
      check(await w.hook(says("StorageDegraded", "firing"), at, 10000), "no StorageDegraded");
      check(!(await page(3)), "page 3 claims to be durable");
      check(/Permission denied|unable to open/.test(w.log(w.process)), w.log(w.process));
      mode(0o777);
      await until("the journal", ok, 15000);
    },
  ],
]);
if (process.env.SHOW_LOG) console.log(w.log(w.process));
await w.close();

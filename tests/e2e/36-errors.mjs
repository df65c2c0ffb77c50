// SPDX-License-Identifier: Apache-2.0
// Writes of alerts.db fail at random (ROUNDS, 3: ten, forty and all of a hundred) while alerts begin
// and end. Pages leave on time and say when they are not durable, StorageDegraded comes and goes; then
// the receiver is away, the disk is well again, and the collector is killed with kill -9: each
// alert's last state arrives, nothing that was not, the same content never under a second key.
//
//     ROUNDS=100 SEED=7 node tests/e2e/36-errors.mjs

import { execFileSync, spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { Ours, fetchText, now, quantile, says, sleep, told, until } from "../drills/rig.mjs";
import { bin, check, root, run } from "./world.mjs";

const rounds = Number(process.env.ROUNDS ?? 3);
const seed = Number(process.env.SEED ?? Date.now() % 1e6);
const series = 20;
let state = seed;
const random = (n) => {
  state = (state * 1103515245 + 12345) % 2147483648;
  return Math.floor((state / 2147483648) * n);
};

const w = new Ours();
const shim = join(w.dir, "bad_disk.so");
const bad = join(w.dir, "bad");
const metric = async (name) => Number((await fetchText(`${w.url}/metrics`)).text.match(new RegExp(`^tocsin_collector_journal_${name} (\\d+)`, "m"))?.[1]);
const on = new Set();
let feed;
const busy = new Map(); // what is to be told, and by which turn: one that waits in vain is not the newest's end
const turn = (n) => {
  const v = on.delete(n) ? 0 : 1;
  if (v) on.add(n);
  const at = now();
  const heard = w.hook((h) => h.body.alerts.some((a) => a.labels.n === String(n) && a.status === (v ? "firing" : "resolved")), at, 5000);
  feed.send({ [`p{n="${n}"}`]: v });
  busy.set(n, heard);
  heard.then(() => busy.get(n) === heard && busy.delete(n));
  return heard.then((h) => h && { status: v, took: h.at - at, durable: h.headers["tocsin-durable"] !== "false" });
};
const degraded = (since) => w.hook(says("StorageDegraded", "firing"), since, 15000);
// Where few writes fail it may have ended, and begun again, before the disk is well.
const last = () => w.hooks.flatMap((h) => h.body.alerts).filter((a) => a.labels.alertname === "StorageDegraded").at(-1)?.status;

async function round(percent) {
  const from = now();
  w.put("bad", String(percent));
  const pages = [];
  for (let i = 0; pages.length < 40 || (!told(w, "StorageDegraded", from).length && i < 300); i++) {
    const n = random(series);
    if (!busy.has(n)) pages.push(turn(n));
    await sleep(30 + random(60));
  }
  const got = await Promise.all(pages);
  check(got.every(Boolean), `${got.filter((p) => !p).length} of ${got.length} pages were not told`);
  const took = got.filter((p) => p.status).map((p) => p.took); // an end is said once a second
  const marked = got.filter((p) => !p.durable).length;
  console.log(`      ${percent} of 100 fail: ${got.length} pages, median ${quantile(took, 0.5).toFixed(0)} ms, worst ${Math.max(...took).toFixed(0)} ms, ${marked} not durable`);
  check(Math.max(...took) < 150, `a page took ${Math.max(...took)} ms`);
  check(marked > 0, "none says that it is not durable");
  check(percent < 100 || marked === got.length, `${got.length - marked} claim to be durable`);
  check(await degraded(from), "no StorageDegraded");
  rmSync(bad);
  await until("StorageDegraded to end", async () => (await metric("ok")) === 1 && last() === "resolved", 15000);
  const fine = await turn(random(series));
  check(fine?.durable, "still marked when the disk is well");

  // What is decided on a bad disk for a receiver that is away is owed after a crash on a good one.
  w.receiverStatus = 503;
  w.put("bad", String(percent));
  for (let i = 0; i < 10; i++) {
    turn(random(series));
    await sleep(random(200));
  }
  rmSync(bad);
  await until("the journal", async () => (await metric("ok")) === 1, 10000);
  await w.crash();
  w.receiverStatus = 200;
  await w.again();
  for (const name of ["missing_transactions", "begun_anew", "damaged_rows"]) check((await metric(name)) === 0, `${name} is ${await metric(name)}`);
}

await run([
  [
    `${rounds} rounds of write errors, each with a kill, seed ${seed}`,
    async () => {
      execFileSync("cc", ["-shared", "-fPIC", "-O1", "-o", shim, join(root, "tests/e2e/bad_disk.c"), "-ldl"]);
      await w.start({
        rules: { P: { expr: "p > 0", labels: { severity: "page" } } },
        route: "route: {receiver: r, group_by: ['...']}\nreceivers: [{name: r, webhook_configs: [{url: \"http://127.0.0.1:{port}/\"}]}]\n",
        env: { LD_PRELOAD: shim, ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ""}:verify_asan_link_order=0`, BAD_DISK: bad, BAD_DISK_SEED: String(seed) },
      });
      feed = w.feed();
      feed.fill("p", "n", 0, series, 0);
      await feed.send();
      for (let i = 0; i < rounds; i++) await round([10, 40, 100][i % 3]);
      feed.fill("p", "n", 0, series, 0);
      feed.send(); // the answer to what went when it was killed never comes
      await until("no alert to be active", async () => (await w.alerts("P")).length === 0);
      const queued = async () => JSON.parse((await fetchText(`${w.url}/api/v1/status/tocsin`)).text).data.receivers.reduce((n, r) => n + r.queued, 0);
      await until("the queue to be empty", async () => (await queued()) === 0, 20000);
      const log = JSON.parse(spawnSync(join(bin, "tocsin"), ["alerts", "log", "--json", "--limit", "1000", "--url", w.url], { encoding: "utf8" }).stdout);
      await sleep(300);

      const ways = new Map(); // episode -> its states in order
      const keys = new Map(); // what a message says -> its keys
      for (const h of w.hooks) {
        const content = JSON.stringify(h.body.alerts.map((a) => [a.fingerprint, a.status, a.startsAt]));
        keys.set(content, (keys.get(content) ?? new Set()).add(h.headers["idempotency-key"]));
        for (const a of h.body.alerts) {
          const id = `${a.labels.alertname} ${a.labels.n ?? ""} ${a.startsAt}`;
          if (ways.get(id)?.at(-1) !== a.status) ways.set(id, [...(ways.get(id) ?? []), a.status]);
        }
      }
      const odd = [...ways].filter(([, way]) => way.join(" ") !== "firing resolved");
      const twice = [...keys].filter(([, k]) => k.size > 1);
      console.log(`      ${ways.size} episodes, ${w.hooks.length} messages`);
      check(odd.length === 0, `${odd.length} of ${ways.size}: ${JSON.stringify(odd.slice(0, 5))}`);
      check(twice.length === 0, `${twice.length} contents under two keys: ${twice[0]?.[0]}`);
      const lines = log.map((e) => JSON.stringify(e.episode ? [e.episode, e.kind] : e));
      check(lines.length >= Math.min(1000, ways.size * 2) && new Set(lines).size === lines.length, `${lines.length} lines of the log, ${new Set(lines).size} differ`);
      check([...ways.keys()].every((k) => /^(P|StorageDegraded) /.test(k)), `invented: ${[...ways.keys()].filter((k) => !/^(P|StorageDegraded) /.test(k))}`);
    },
  ],
]);
if (process.env.SHOW_LOG) console.log(w.log(w.process));
await w.close();

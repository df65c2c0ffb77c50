// SPDX-License-Identifier: Apache-2.0
// A receiver refuses, so another is told after `after`: through kill -9, reloads that change or remove the
// fallback, and (KILLS, 6) a row of kills at odd moments. Nothing is told twice, and whoever was told a
// beginning hears the end.

import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Ours, fetchText, now, sleep, until } from "../drills/rig.mjs";
import { check, run } from "./world.mjs";

const kills = Number(process.env.KILLS ?? 6);
const after = 2000;

/** A receiver of its own, with what it took and how often it was asked. */
async function receiver() {
  const r = { status: 200, took: [], tries: 0 };
  const server = createServer((q, a) => {
    const chunks = [];
    q.on("data", (d) => chunks.push(d));
    q.on("end", () => {
      r.tries++;
      const at = now();
      a.writeHead(r.status).end();
      if (r.status === 200) r.took.push({ at, headers: q.headers, body: JSON.parse(Buffer.concat(chunks)) });
    });
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  r.url = `http://127.0.0.1:${server.address().port}/`;
  r.close = () => {
    server.closeAllConnections();
    server.close();
  };
  // What it heard of an alert, message by message; one that came again with its key is the same one.
  r.heard = (name) => {
    const seen = new Set();
    return r.took
      .filter((m) => !seen.has(m.headers["idempotency-key"]) && seen.add(m.headers["idempotency-key"]))
      .flatMap((m) => (m.body.data ?? m.body).alerts)
      .filter((a) => a.labels.alertname === name)
      .map((a) => `${a.status} ${a.startsAt}`);
  };
  r.states = (name) => r.heard(name).map((s) => s.split(" ")[0]).join(" ");
  return r;
}

async function world(fallbacks) {
  const w = new Ours();
  for (const name of ["x", "y", "z"]) w[name] = await receiver();
  const all = ["x", "y", "z"].map((name) => `  - {name: ${name}, webhook_configs: [{url: "${w[name].url}"${name === "z" ? ", format: standard" : ""}}]}\n`).join("");
  const file = w.put("alertmanager.yml", `route: {receiver: x, group_by: ['...']}\nreceivers:\n${all}`);
  await w.start({ rules: { P: "p > 0" }, route: `alertmanager_file: ${file}\n`, extra: fallbacks });
  w.reload = async (text) => {
    const whole = readFileSync(join(w.dir, "collector.yaml"), "utf8");
    w.put("collector.yaml", whole.slice(0, whole.indexOf("fallbacks:")) + text);
    return fetchText(`${w.url}/-/reload`, { method: "POST" });
  };
  const close = w.close.bind(w);
  w.close = async () => {
    await close();
    for (const name of ["x", "y", "z"]) w[name].close();
  };
  return w;
}
const yes = (to) => `fallbacks:\n  - {receiver: x, to: ${to}, after: ${after}ms}\n`;
const hears = (r, what, ms = 15000) =>
  until(`"${what}"`, () => r.states("P") === what, ms).catch((e) => {
    throw new Error(`${e.message}; heard "${r.states("P")}"`);
  });

await run([
  [
    "another is told when it is time, once, through kill -9; both hear the end",
    async () => {
      const w = await world(yes("y"));
      const f = w.feed();
      await f.send({ p: 0 });
      w.x.status = 503;
      await f.send({ p: 1 });
      await until("the first try", () => w.x.tries > 0);
      const from = now();
      await hears(w.y, "firing");
      const took = w.y.took[0].at - from;
      console.log(`      told ${(took / 1000).toFixed(2)} s after the first refusal`);
      check(took > after - 300, `told after ${took} ms`);
      check(w.y.took[0].headers["tocsin-fallback-for"] === "x", JSON.stringify(w.y.took[0].headers));
      check(w.y.took[0].body.receiver === "y" && Object.keys(w.y.took[0].body).join() === "receiver,status,alerts,groupLabels,commonLabels,commonAnnotations,externalURL,version,groupKey,truncatedAlerts", "not Alertmanager's body");
      check(/event=fallback .*receiver="x" to="y" alerts=1/.test(w.log(w.process)), `not in the log: ${w.log(w.process)}`);
      check(/^tocsin_receiver_fallback_alerts_total\{receiver="x"\} 1$/m.test((await fetchText(`${w.url}/metrics`)).text), "not in the metrics");
      const why = JSON.parse((await fetchText(`${w.url}/api/v1/alerts/explain`)).text).data.alerts.find((a) => a.labels.alertname === "P");
      check(why.receivers.map((r) => `${r.receiver} ${r.fallbackFor} ${r.told}`).join() === "x undefined firing,y x firing", JSON.stringify(why));
      const tries = w.x.tries;
      await w.crash();
      await w.again();
      await until("another try", () => w.x.tries > tries);
      await sleep(after + 1000); // had it forgotten, it would tell again by now
      check(w.y.states("P") === "firing" && w.y.took.length === 1, `told again: ${w.y.states("P")}`);
      await f.send({ p: 0 });
      await hears(w.y, "firing resolved");
      check(w.y.took.every((m) => m.headers["tocsin-fallback-for"] === "x"), "the end is not marked");
      w.x.status = 200;
      await hears(w.x, "firing resolved");
      check(!w.x.took.some((m) => m.headers["tocsin-fallback-for"]), "marked at its own receiver");
      check(w.y.took.length === 2, "told twice");
      await w.close();
    },
  ],
  [
    "a reload names another, and removes it; a mistake is refused",
    async () => {
      const w = await world(yes("y"));
      const f = w.feed();
      w.x.status = 503;
      await f.send({ p: 1 });
      await hears(w.y, "firing");
      const a = await w.reload(yes("nobody"));
      check(a.status !== 200 && /collector.yaml:\d+:\d+/.test(a.text) && /no receiver `nobody`/.test(a.text), a.text);
      check((await w.reload(yes("y"))).status === 200, "the same again");
      check((await w.reload(yes("z"))).status === 200, "another");
      await hears(w.z, "firing");
      check(w.z.took[0].body.data.fallbackFor === "x", JSON.stringify(w.z.took[0].body));
      check((await w.reload("fallbacks: []\n")).status === 200, "none");
      await f.send({ p: 0 });
      await hears(w.y, "firing resolved");
      await hears(w.z, "firing resolved");
      await f.send({ p: 1 });
      w.x.status = 200;
      await hears(w.x, "firing resolved firing");
      check(w.y.took.length === 2 && w.z.took.length === 2, "told twice");
      await w.close();
    },
  ],
  [
    `${kills} kills at odd moments`,
    async () => {
      const w = await world(yes("y"));
      const f = w.feed();
      let fires = 0;
      for (let i = 0; i < kills; i++) {
        w.x.status = i % 3 === 2 ? 200 : 503;
        await f.send({ p: (fires = 1 - fires) });
        if (!i) await until("the other", () => w.y.took.length > 0);
        await sleep(Math.random() * (i % 2 ? 1000 : after + 2000)); // any moment is one to be killed at
        await w.crash();
        await w.again();
      }
      await f.send({ p: 0 });
      await until("the end", async () => (await w.alerts("P")).length === 0, 15000);
      w.x.status = 200;
      const ways = (r) => {
        const by = new Map();
        for (const s of r.heard("P")) by.set(s.split(" ")[1], `${by.get(s.split(" ")[1]) ?? ""} ${s.split(" ")[0]}`);
        return by;
      };
      const over = (r) => [...ways(r).values()].every((s) => s === " firing resolved");
      await until("the end of all at both", () => ways(w.x).size > 0 && over(w.x) && over(w.y), 20000).catch((e) => {
        throw new Error(`${e.message}: x ${JSON.stringify([...ways(w.x)])} y ${JSON.stringify([...ways(w.y)])}`);
      });
      check(ways(w.y).size > 0, "the other was never told");
      check([...ways(w.y).keys()].every((start) => ways(w.x).has(start)), "told what is not true");
      console.log(`      ${ways(w.x).size} episodes, ${ways(w.y).size} of them told to the other`);
      await w.close();
    },
  ],
]);

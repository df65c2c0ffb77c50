// SPDX-License-Identifier: Apache-2.0
// Rules are read anew (RELOADS times, 40) in a storm, each time with edits that are no business of
// the alerts: other rules come and go, comments, order of groups. Nothing is told twice, no episode is cut
// in two, and no `for` begins anew.

import { Ours, fetchText, now, sleep, until } from "../drills/rig.mjs";
import { check, run } from "./world.mjs";

const reloads = Number(process.env.RELOADS ?? 40);
const wide = 50; // series of the storm
const kept = `  - name: kept
    interval: 1s
    rules:
      - {alert: Standing, expr: 'standing > 0', labels: {severity: page}}
      - {alert: Held, expr: 'held > 0', for: 5s}
      - {alert: Storm, expr: 'storm > 0', annotations: {summary: 'series {{ $labels.n }}'}}
`;
const edited = (i) => {
  const other = `  - name: other${i % 3}
    rules:
      - {alert: Other${i}, expr: 'vector(0) > ${i + 1}', for: ${i + 1}s}
      - {record: r${i % 5}, expr: 'sum(storm) + ${i}'}
`;
  const comment = `# edit ${i}\n`.repeat((i % 4) + 1);
  return `${comment}groups:\n${i % 2 ? other + kept : kept + other}`;
};

await run([
  [
    `${reloads} reloads in a storm`,
    async () => {
      const w = new Ours();
      w.put("rules.yaml", "groups: []\n");
      await w.start({ rules: { Standing: "standing > 0" }, arrival: false, route: `route: {receiver: r, group_by: ['...']}\nreceivers: [{name: r, webhook_configs: [{url: "http://127.0.0.1:{port}/"}]}]\n` });
      const reload = async (i) => {
        const before = await applied();
        w.put("rules.yaml", edited(i));
        w.process.kill("SIGHUP");
        await until("the reload", async () => (await applied()) !== before, 5000, 5);
      };
      const applied = async () => JSON.parse((await fetchText(`${w.url}/api/v1/rules`)).text).data.groups.map((g) => g.rules.map((r) => r.name + r.query)).join();
      await reload(0);
      const f = w.feed();
      f.fill("storm", "n", 0, wide, 0);
      await f.send({ standing: 1, held: 0 });
      await until("Standing", () => w.hooks.length === 1, 5000);
      const begun = now();
      await f.send({ held: 1 });
      let storming = true;
      const storm = (async () => {
        while (storming) {
          await f.send({ [`storm{n="${Math.floor(Math.random() * wide)}"}`]: Math.random() < 0.5 ? 1 : 0 });
          await sleep(20);
        }
      })();
      for (let i = 1; i <= reloads; i++) {
        await reload(i);
        await sleep(Math.random() * 250);
      }
      const took = now() - begun;
      storming = false;
      await storm;
      f.fill("storm", "n", 0, wide, 0);
      await f.send();
      const left = async () => JSON.parse((await fetchText(`${w.url}/api/v1/alerts`)).text).data.alerts.filter((a) => a.labels.alertname === "Storm").length;
      await until("the storm to end", async () => (await left()) === 0, 10000);
      await until("Held", () => w.hooks.some((h) => h.body.alerts[0].labels.alertname === "Held"), 10000);
      await sleep(1000);

      const ways = new Map(); // one alert a message
      for (const h of w.hooks) for (const a of h.body.alerts) {
        const id = `${a.labels.alertname} ${a.labels.n ?? ""} ${a.startsAt}`;
        ways.set(id, [...(ways.get(id) ?? []), a.status]);
      }
      const bad = [...ways].filter(([id, way]) => way.join(" ") !== (id.startsWith("Storm") ? "firing resolved" : "firing"));
      const held = w.hooks.find((h) => h.body.alerts[0].labels.alertname === "Held");
      console.log(`      ${reloads} reloads in ${(took / 1000).toFixed(1)} s, ${ways.size} episodes, ${w.hooks.length} messages; Held after ${((held.at - begun) / 1000).toFixed(2)} s`);
      await w.close();
      check(ways.size > Math.min(20, reloads / 2), "there was no storm");
      check(bad.length === 0, `${bad.length}: ${JSON.stringify(bad.slice(0, 5))}`);
      check([...ways.keys()].filter((k) => !k.startsWith("Storm")).length === 2, `an alert began anew: ${[...ways.keys()]}`);
      check(held.at - begun >= 4900 && held.at - begun < 7000, `for: 5s took ${held.at - begun} ms`);
    },
  ],
]);

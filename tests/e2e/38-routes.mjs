// SPDX-License-Identifier: Apache-2.0
// Routes, receivers and their secrets are read anew while alerts fire: renamed, moved, another URL, a
// rotated secret, another grouping, a broken file, and (RELOADS, 60) a storm in which receivers come
// and go. Nothing is told twice, nothing is lost, and who was told a beginning is told the end.

import { createHmac } from "node:crypto";
import { chmodSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Ours, fetchText, now, sleep, until } from "../drills/rig.mjs";
import { check, freePort, run } from "./world.mjs";

const reloads = Number(process.env.RELOADS ?? 60);
const hook = (port, path) => `webhook_configs: [{url: "http://127.0.0.1:${port}${path}"}]`;

async function world({ rules = { P: { expr: "p > 0", labels: { severity: "page" } } }, route, receivers }) {
  const w = new Ours();
  const port = await w.receiver();
  w.text = (r, s) => `route: ${r}\nreceivers:\n${Object.entries(s).map(([name, to]) => `  - name: ${name}\n    ${to}\n`).join("")}`;
  await w.start({ rules, route: w.text(route, receivers(port)) });
  const whole = readFileSync(join(w.dir, "collector.yaml"), "utf8");
  const head = whole.slice(0, whole.indexOf("route:"));
  w.reload = async (r, s, more = "") => {
    w.put("collector.yaml", head + w.text(r, s(port)) + more);
    const a = await fetchText(`${w.url}/-/reload`, { method: "POST" });
    return a;
  };
  w.told = (name) => w.hooks.flatMap((h) => h.body.alerts.filter((a) => a.labels.alertname === name).map((a) => `${h.path} ${a.status}`));
  w.hears = (path, status, name = "P") => until(`${path} ${status}`, () => w.told(name).includes(`${path} ${status}`), 10000);
  w.same = (what, name = "P") => check(w.told(name).join(", ") === what, `told: ${w.told(name).join(", ")}\n  not: ${what}`);
  return w;
}
const ok = (a) => check(a.status === 200, `${a.status}: ${a.text}`);
const toA = { route: "{receiver: a, group_by: ['...']}", receivers: (p) => ({ a: hook(p, "/a") }) };

await run([
  [
    "a renamed receiver is told what fires, and the end; the one that is gone is left alone",
    async () => {
      const w = await world(toA);
      const f = w.feed();
      await f.send({ p: 1 });
      await w.hears("/a", "firing");
      ok(await w.reload("{receiver: b}", (p) => ({ b: hook(p, "/b") })));
      await w.hears("/b", "firing");
      await f.send({ p: 0 });
      await w.hears("/b", "resolved");
      w.same("/a firing, /b firing, /b resolved");
      const status = JSON.parse((await fetchText(`${w.url}/api/v1/status/tocsin`)).text).data;
      check(status.receivers.map((r) => r.name).join() === "b", JSON.stringify(status.receivers));
      await w.close();
    },
  ],
  [
    "another URL: nothing is told again, what comes next goes there",
    async () => {
      const w = await world(toA);
      const f = w.feed();
      await f.send({ p: 1 });
      await w.hears("/a", "firing");
      ok(await w.reload("{receiver: a}", (p) => ({ a: hook(p, "/other") })));
      await f.send({ p: 0 });
      await w.hears("/other", "resolved");
      w.same("/a firing, /other resolved");
      await w.close();
    },
  ],
  [
    "a receiver that hangs gets another URL: what is queued goes there at once",
    async () => {
      const w = await world({ route: "{receiver: a}", receivers: () => ({ a: hook(1, "/a") }) }); // nobody listens on port 1
      const f = w.feed();
      await f.send({ p: 1 });
      await until("the failure", () => /alert_delivery_failed/.test(w.log(w.process)), 10000);
      ok(await w.reload("{receiver: a}", (p) => ({ a: hook(p, "/a") })));
      await w.hears("/a", "firing");
      await w.close();
    },
  ],
  [
    "a rotated secret signs from the reload on",
    async () => {
      const w = new Ours();
      const keys = ["first key of twenty-four bytes", "other key of twenty-four bytes"].map((k) => Buffer.from(k));
      const secret = (k) => {
        const file = w.put("secret", `whsec_${k.toString("base64")}\n`);
        chmodSync(file, 0o600);
        return file;
      };
      const file = secret(keys[0]);
      await w.start({ rules: { P: "p > 0" }, route: `route: {receiver: a}\nreceivers: [{name: a, webhook_configs: [{url: "http://127.0.0.1:{port}/a", secret_file: ${file}}]}]\n` });
      const f = w.feed();
      const signed = (h, k) => {
        const text = `${h.headers["webhook-id"]}.${h.headers["webhook-timestamp"]}.${JSON.stringify(h.body)}`;
        return h.headers["webhook-signature"] === `v1,${createHmac("sha256", k).update(text).digest("base64")}`;
      };
      await f.send({ p: 1 });
      const one = await w.hook(() => true, 0, 10000);
      check(signed(one, keys[0]), "not signed with the first key");
      secret(keys[1]);
      w.process.kill("SIGHUP");
      await until("the reload", () => /event=reloaded/.test(w.log(w.process)), 5000);
      const at = now();
      await f.send({ p: 0 });
      const two = await w.hook(() => true, at, 10000);
      check(signed(two, keys[1]), "not signed with the new key");
      check(w.hooks.length === 2, `${w.hooks.length} messages`);
      await w.close();
    },
  ],
  [
    "an alert that is routed elsewhere is told there; who knew of it hears its end",
    async () => {
      const both = (p) => ({ a: hook(p, "/a"), b: hook(p, "/b") });
      const w = await world({ route: "{receiver: a, routes: [{receiver: b, matchers: [x=\"y\"]}]}", receivers: both });
      const f = w.feed();
      await f.send({ p: 1 });
      await w.hears("/a", "firing");
      ok(await w.reload("{receiver: a, routes: [{receiver: b, matchers: [severity=\"page\"]}]}", both));
      await w.hears("/b", "firing");
      ok(await w.reload("{receiver: a, routes: [{receiver: b, matchers: [x=\"y\"]}]}", both)); // and back: a knows
      ok(await w.reload("{receiver: b}", both));
      await f.send({ p: 0 });
      await w.hears("/a", "resolved");
      await w.hears("/b", "resolved");
      check(w.told("P").sort().join(", ") === "/a firing, /a resolved, /b firing, /b resolved", w.told("P").join(", "));
      await w.close();
    },
  ],
  [
    "other matchers and another grouping of the same receiver: nothing is told again, the end is told once",
    async () => {
      const w = await world({ ...toA, route: "{receiver: none, routes: [{receiver: a, matchers: [severity=\"page\"], group_by: [alertname]}]}", receivers: (p) => ({ none: "webhook_configs: []", a: hook(p, "/a") }) });
      const s = (p) => ({ none: "webhook_configs: []", a: hook(p, "/a") });
      const f = w.feed();
      await f.send({ p: 1 });
      await w.hears("/a", "firing");
      ok(await w.reload("{receiver: none, routes: [{receiver: a, matchers: [severity=\"page\"], group_by: ['...']}]}", s));
      ok(await w.reload("{receiver: none, routes: [{receiver: a, matchers: [severity=~\"page|critical\"], group_by: [severity]}]}", s));
      ok(await w.reload("{receiver: a}", s));
      await f.send({ p: 0 });
      await w.hears("/a", "resolved");
      w.same("/a firing, /a resolved");
      await w.close();
    },
  ],
  [
    "what began and ended while a receiver was away is told to the one that comes in its place, also after kill -9",
    async () => {
      const dead = await freePort();
      const w = await world({ route: "{receiver: a}", receivers: () => ({ a: hook(dead, "/a") }) });
      const f = w.feed();
      const queued = async () => JSON.parse((await fetchText(`${w.url}/api/v1/status/tocsin`)).text).data.receivers.reduce((n, r) => n + r.queued, 0);
      await f.send({ p: 1 });
      await until("the firing to be queued", async () => (await queued()) === 1, 10000);
      await f.send({ p: 0 });
      await until("both to be queued", async () => (await queued()) === 2, 10000);
      ok(await w.reload("{receiver: b}", () => ({ b: hook(dead, "/b") }))); // still away
      check((await queued()) === 2, `${await queued()} are queued`);
      check(/event=alerts_rerouted .*moved=2 dropped=0/.test(w.log(w.process)), w.log(w.process));
      await sleep(200); // the journal's commit
      await w.crash();
      w.options.route = w.text("{receiver: b}", { b: hook(dead, "/b") });
      await w.again();
      ok(await w.reload("{receiver: c}", (p) => ({ c: hook(p, "/c") })));
      await w.hears("/c", "resolved");
      w.same("/c firing, /c resolved");
      await w.close();
    },
  ],
  [
    "a broken file changes nothing, is an alert, a banner and an answer; a setting that needs a restart is named",
    async () => {
      const w = await world(toA);
      const f = w.feed();
      const bad = await w.reload("{receiver: nobody}", (p) => ({ a: hook(p, "/x") }));
      check(bad.status === 500 && /there is no receiver `nobody`/.test(bad.text) && /collector.yaml:\d+:\d+/.test(bad.text), `${bad.status} ${bad.text}`);
      await w.hears("/a", "firing", "ConfigRejected");
      await f.send({ p: 1 });
      await w.hears("/a", "firing");
      check((await fetchText(`${w.url}/-/reload`)).status === 405, "GET reloads");
      check((await fetchText(`${w.url}/-/reload`, { method: "POST", headers: { origin: "http://evil.example" } })).status === 403, "a foreign page reloads");
      const gone = await w.reload("{receiver: a}", () => ({ a: "webhook_configs: [{url_file: /nowhere/url}]" }));
      check(gone.status === 500 && /\/nowhere\/url/.test(gone.text), gone.text);
      const good = await w.reload(toA.route, toA.receivers, "retention: 20m\n");
      check(good.status === 200 && /after a restart: retention/.test(good.text), good.text);
      await w.hears("/a", "resolved", "ConfigRejected");
      await f.send({ p: 0 });
      await w.hears("/a", "resolved");
      w.same("/a firing, /a resolved");
      await w.close();
    },
  ],
  [
    "inhibition and times are those of the new file, over what fires already",
    async () => {
      const rules = { Source: "s > 0", P: "p > 0" };
      const w = await world({ ...toA, rules });
      const f = w.feed();
      await f.send({ s: 1, p: 0 });
      await w.hears("/a", "firing", "Source");
      ok(await w.reload(toA.route, toA.receivers, "inhibit_rules: [{source_matchers: [alertname=\"Source\"], target_matchers: [alertname=\"P\"]}]\n"));
      await f.send({ p: 1 });
      await until("P", async () => (await w.alerts("P")).length === 1);
      ok(await w.reload("{receiver: none, routes: [{receiver: a, group_by: ['...'], active_time_intervals: [never]}]}", (p) => ({ ...toA.receivers(p), none: "webhook_configs: []" }), "time_intervals: [{name: never, time_intervals: [{years: ['1999']}]}]\n"));
      await sleep(300);
      w.same("");
      ok(await w.reload(toA.route, toA.receivers));
      await w.hears("/a", "firing");
      w.same("/a firing");
      w.same("/a firing", "Source");
      await w.close();
    },
  ],
  [
    `${reloads} reloads in a storm, in which receivers come and go`,
    async () => {
      const series = 40;
      const w = await world({ rules: { Storm: "storm > 0", Standing: "standing > 0" }, route: "{receiver: a, group_by: ['...']}", receivers: (p) => ({ a: hook(p, "/a"), b: hook(p, "/b") }) });
      const f = w.feed();
      f.fill("storm", "n", 0, series, 0);
      await f.send({ standing: 1 });
      await until("Standing", () => w.told("Standing").length === 1);
      let storming = true;
      const storm = (async () => {
        while (storming) {
          await f.send({ [`storm{n="${Math.floor(Math.random() * series)}"}`]: Math.random() < 0.5 ? 1 : 0 });
          await sleep(10);
        }
      })();
      const all = (i) => (p) => ({ a: hook(p, "/a"), b: hook(p, "/b"), ...(i % 2 ? { [`c${i}`]: hook(p, `/c${i}`) } : {}) });
      const routes = (i) =>
        [
          `{receiver: a, group_by: ['...'], repeat_interval: ${i + 10}m}`,
          `{receiver: a, group_by: ['...'], routes: [{receiver: b, matchers: ['n=~"[0-9]"']}]}`,
          `{receiver: b, group_by: ['...']}`,
          `{receiver: a, group_by: ['...'], routes: [{receiver: c${i}, matchers: ['n=~"1."']}]}`,
        ][i % 4];
      const begun = now();
      for (let i = 1; i <= reloads; i++) {
        w.receiverDelay = i % 3 ? 0 : 30;
        ok(await w.reload(routes(i), all(i)));
        await sleep(Math.random() * 60);
      }
      const took = now() - begun;
      storming = false;
      await storm;
      w.receiverDelay = 0;
      f.fill("storm", "n", 0, series, 0);
      await f.send();
      ok(await w.reload("{receiver: a, group_by: ['...']}", (p) => ({ a: hook(p, "/a"), b: hook(p, "/b") })));
      await until("the storm to end", async () => (await w.alerts("Storm")).length === 0, 10000);
      await sleep(1000);
      const ways = new Map(); // receiver, episode -> what it heard
      for (const h of w.hooks) for (const a of h.body.alerts) {
        const id = `${h.path} ${a.labels.alertname} ${a.labels.n ?? ""} ${a.startsAt}`;
        ways.set(id, [...(ways.get(id) ?? []), a.status]);
      }
      const standing = [...ways].filter(([id]) => id.includes("Standing"));
      const lasting = [...ways].filter(([id]) => /^\/[ab] Storm/.test(id));
      const bad = lasting.filter(([, way]) => way.join(" ") !== "firing resolved");
      const twice = [...ways].filter(([, way]) => way.filter((s) => s === "firing").length > 1);
      console.log(`      ${reloads} reloads in ${(took / 1000).toFixed(1)} s, ${ways.size} pairs of receiver and episode, ${w.hooks.length} messages`);
      const log = w.log(w.process);
      await w.close();
      check(ways.size > Math.min(reloads / 2, 60), `there was no storm: ${ways.size}`);
      check(bad.length === 0, `${bad.length} of ${lasting.length}: ${JSON.stringify(bad.slice(0, 5))}`);
      check(twice.length === 0, `told twice: ${JSON.stringify(twice.slice(0, 5))}`);
      check(standing.every(([, way]) => way.join() === "firing"), `standing: ${JSON.stringify(standing)}`);
      check(!/dropped=[1-9]/.test(log), "something was dropped");
    },
  ],
]);

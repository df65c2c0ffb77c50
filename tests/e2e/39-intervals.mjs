// SPDX-License-Identifier: Apache-2.0
// One alertmanager.yml for Debian's Alertmanager and for us: a route and a webhook per time interval, all
// around the present moment. The same webhooks must be called, and the same must stay silent.

import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { World, check, fetchText, freePort, run, sleep, until } from "./world.mjs";

const THEIRS = "/usr/bin/prometheus-alertmanager";
const ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Pacific/Chatham", "Africa/Casablanca"];

// Not in the two minutes around one at which something may change.
const edge = () => {
  const m = new Date().getUTCMinutes() % 15;
  return m >= 13;
};
while (edge()) await sleep(1000);

const now = new Date();
const local = (zone, name, options) => new Intl.DateTimeFormat("en-GB", { timeZone: zone, ...options }).formatToParts(now).find((p) => p.type === name).value;
const clock = (minutes) => `${String(Math.floor(minutes / 60)).padStart(2, "0")}:${String(minutes % 60).padStart(2, "0")}`;
const specs = [];
for (const zone of ZONES) {
  const part = (name, options) => Number(local(zone, name, options));
  const day = part("day", { day: "numeric" });
  const month = part("month", { month: "numeric" });
  const year = part("year", { year: "numeric" });
  const weekday = local(zone, "weekday", { weekday: "long" }).toLowerCase();
  const at = part("hour", { hour: "2-digit", hourCycle: "h23" }) * 60 + part("minute", { minute: "2-digit" });
  const last = new Date(Date.UTC(year, month, 0)).getUTCDate();
  const times = (a, b) => `times: [{start_time: '${clock(Math.max(0, a))}', end_time: '${clock(Math.min(1440, b))}'}]`;
  for (const s of [
    times(at - 90, at + 90),
    at > 5 ? times(0, at - 2) : times(at + 10, 1440),
    at < 1430 ? times(at + 5, 1440) : times(0, 5),
    `weekdays: ['${weekday}']`,
    `weekdays: ['sunday:saturday']`,
    `weekdays: ['${weekday === "sunday" ? "monday:saturday" : "sunday"}']`,
    `days_of_month: ['${day}']`,
    `days_of_month: ['${day - last - 1}']`,
    `days_of_month: ['${day > 15 ? "1:15" : "16:31"}']`,
    `months: ['${month}']`,
    `years: ['${year}']`,
    `years: ['${year + 1}:${year + 3}']`,
    `weekdays: ['${weekday}'], ${times(at - 60, at + 60)}, days_of_month: ['1:-1'], months: ['january:december']`,
  ])
    specs.push(`{${s}, location: ${zone}}`);
}
specs.push("{}", "{times: []}", "{weekdays: []}");

const w = new World();
const port = await w.receiver();
const file = (base) => `route:
  receiver: nobody
  routes:
${specs.map((_, i) => `    - {receiver: m${i}, matchers: [alertname=A${i}], group_wait: 0s, mute_time_intervals: [t${i}], continue: true}\n    - {receiver: a${i}, matchers: [alertname=A${i}], group_wait: 0s, active_time_intervals: [t${i}], continue: true}`).join("\n")}
receivers:
  - name: nobody
${specs.map((_, i) => ["m", "a"].map((k) => `  - {name: ${k}${i}, webhook_configs: [{url: "http://127.0.0.1:${port}/${base}/${k}${i}"}]}`).join("\n")).join("\n")}
time_intervals:
${specs.map((s, i) => `  - {name: t${i}, time_intervals: [${s}]}`).join("\n")}
`;
const called = (base) => new Set(w.hooks.filter((h) => h.path.startsWith(`/${base}/`)).map((h) => h.path.split("/")[2]));
/** Until nothing new has come for a second. */
const settled = async (base) => {
  await until(`a webhook of ${base}`, () => called(base).size > 0);
  for (let before = -1; before !== called(base).size; await sleep(1000)) before = called(base).size;
};

await run([
  [
    `${specs.length} intervals mute and wake the same routes as Alertmanager 0.25`,
    async () => {
      if (!existsSync(THEIRS)) return console.log("skipped: needs Debian 12's prometheus-alertmanager");
      const api = await freePort();
      mkdirSync(join(w.dir, "am"));
      const am = w.spawn("alertmanager", THEIRS, [`--config.file=${w.put("theirs.yml", file("theirs"))}`, `--storage.path=${join(w.dir, "am")}`,
        `--web.listen-address=127.0.0.1:${api}`, "--cluster.listen-address="]);
      await until("Alertmanager", async () => (await fetchText(`http://127.0.0.1:${api}/-/ready`)).status === 200).catch((e) => {
        throw new Error(`${e.message}\n${w.log(am)}`);
      });
      await fetchText(`http://127.0.0.1:${api}/api/v2/alerts`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(specs.map((_, i) => ({ labels: { alertname: `A${i}` } }))) });
      const rules = w.put("rules.yaml", `groups: [{name: g, rules: [${specs.map((_, i) => `{alert: A${i}, expr: vector(1)}`).join(", ")}]}]\n`);
      await w.collector({ rules: [rules], route: "", extra: `alertmanager_file: ${w.put("ours.yml", file("ours"))}\n` });
      await settled("theirs");
      await settled("ours");
      const theirs = called("theirs");
      const ours = called("ours");
      const differ = specs.flatMap((s, i) => ["m", "a"].filter((k) => theirs.has(k + i) !== ours.has(k + i)).map((k) => `${k} ${s}: theirs ${theirs.has(k + i)}, ours ${ours.has(k + i)}`));
      check(differ.length === 0, `${now.toISOString()}\n${differ.join("\n")}`);
      check(theirs.size === specs.length, `each interval holds or not: ${theirs.size} of ${specs.length}`);
    },
  ],
]);
await w.close();

// SPDX-License-Identifier: Apache-2.0
// What was sent, what was not taken, and sending it again: a receiver that refuses three times leaves a
// dead letter and an alert about it, through kill -9; the replay has the same key and body; the log, a
// test and secrets.

import { execFile } from "node:child_process";
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { World, bin, check, fetchText, run, until } from "./world.mjs";

const w = new World();
const got = []; // {path, key, headers, text}, whatever it was answered
const answers = { "/ops": [200, "ok"], "/meta": [200, ""], "/pd": [202, "{}"], "/gone": [200, ""] };
const server = createServer((q, r) => {
  const chunks = [];
  q.on("data", (d) => chunks.push(d));
  q.on("end", () => {
    const [status, text] = answers[q.url] ?? [404, ""];
    got.push({ path: q.url, key: q.headers["idempotency-key"], headers: q.headers, text: Buffer.concat(chunks).toString(), status });
    r.writeHead(status).end(text);
  });
});
await new Promise((r) => server.listen(0, "127.0.0.1", r));
const at = (path) => `http://127.0.0.1:${server.address().port}${path}`;
const secret = w.put("routing_key", "R0UTINGKEYR0UTINGKEYR0UTINGKEYR0", 0o600);
const rules = (ops, pd, gone) =>
  w.put(
    "rules.yaml",
    `groups:
  - name: g
    interval: 1s
    rules:
      - {alert: Ops, expr: 'up{job="node"} == ${ops}', labels: {severity: page, to: ops}}
      - {alert: Pd, expr: 'up{job="node"} == ${pd}', labels: {severity: page, to: pd}}
      - {alert: Gone, expr: 'up{job="node"} == ${gone}', labels: {severity: page, to: gone}}
`,
  );
const route = `route:
  receiver: meta
  routes:
    - {receiver: ops, matchers: [to="ops"]}
    - {receiver: pd, matchers: [to="pd"]}
    - {receiver: gone, matchers: [to="gone"]}
receivers:
  - {name: meta, webhook_configs: [{url: "${at("/meta")}"}]}
  - {name: ops, webhook_configs: [{url: "${at("/ops")}"}]}
  - {name: pd, pagerduty_configs: [{url: "${at("/pd")}", routing_key_file: ${secret}}]}
  - {name: gone, webhook_configs: [{url: "${at("/gone")}"}]}
`;
const start = () => w.collector({ rules: [join(w.dir, "rules.yaml")], route });
let collector;

/** tocsin ARGS: {code, out, err}. */
const tocsin = (...args) =>
  new Promise((resolve) =>
    execFile(join(bin, "tocsin"), [...args, "--url", w.url], { env: { ...process.env, NO_COLOR: "1" } }, (e, out, err) => resolve({ code: e?.code ?? 0, out, err })),
  );
const api = async (path) => JSON.parse((await fetchText(`${w.url}/api/v1/hooks${path}`)).text).data;
const letters = async (receiver) => (await api(`/letters?receiver=${receiver}`)).letters;
const says = (name, status) => (h) => h.path === "/meta" && JSON.parse(h.text).alerts.some((a) => a.labels.alertname === name && a.status === status);
const reload = async (...states) => {
  rules(...states);
  collector.kill("SIGHUP");
};

let letter;
await run([
  [
    "400 three times is a dead letter, kept whole, and an alert",
    async () => {
      rules(2, 2, 2);
      answers["/ops"] = [400, "no such channel"];
      collector = await start();
      await w.agent({});
      await reload(1, 2, 2);
      [letter] = await until("the letter", async () => (await letters("ops")).length === 1 && (await letters("ops")));
      check(got.filter((h) => h.path === "/ops").length === 3, `${got.length} tries`);
      check(letter.tries === 3 && letter.status === 400 && /no such channel/.test(letter.why), JSON.stringify(letter));
      check(letter.key === got.find((h) => h.path === "/ops").key, "another key");
      check(letter.outOfDate === 0 && letter.alerts[0].now === "firing", JSON.stringify(letter));
      await until("DeadLetter", () => got.some(says("DeadLetter", "firing")), 15000);
    },
  ],
  [
    "the log has the message with its tries and the answer, and whoever asks sees the whole of it",
    async () => {
      const rows = JSON.parse((await tocsin("hooks", "log", "--receiver", "ops", "--failed", "--json")).out);
      check(rows.length === 1 && rows[0].id === letter.id, JSON.stringify(rows));
      const r = rows[0];
      check(r.outcome === "failed" && r.tries === 3 && r.status === 400 && r.answer === "no such channel", JSON.stringify(r));
      check(Date.parse(r.firstAt) <= Date.parse(r.lastAt) && r.alerts[0].alertname === "Ops", JSON.stringify(r));
      const shown = await tocsin("hooks", "show", String(letter.id));
      check(shown.code === 0 && shown.out.includes(`Idempotency-Key: ${letter.key}`) && shown.out.includes("Ops") && /127.0.0.1:\d+\/\*\*\*/.test(shown.out), shown.out);
      const ls = await tocsin("hooks", "ls");
      check(/ops +webhook .* 0\.0%/.test(ls.out) && /1 dead letter: /.test(ls.out), ls.out);
      check((await tocsin("hooks", "log", "--receiver", "nobody")).out === "nothing was sent\n", "rows of nobody");
      check((await tocsin("hooks", "show", "99999999")).code === 1, "a message that is not there");
    },
  ],
  [
    "kill -9: it is still there, once, and the same content given up again takes its place",
    async () => {
      const before = got.length;
      collector.kill("SIGKILL");
      await collector.gone;
      collector = await start();
      // The alert still fires and nobody was told: it is tried again, and given up again.
      await until("three more tries", () => got.slice(before).filter((h) => h.path === "/ops").length >= 3, 15000);
      const now = await until("one letter", async () => {
        const all = await letters("ops");
        return all.length === 1 && all[0].id !== letter.id && all;
      });
      check(now[0].key === letter.key, "the same content has another key");
      [letter] = now;
    },
  ],
  [
    "while the receiver still refuses a replay fails, says so, and the letter stays",
    async () => {
      const r = await tocsin("hooks", "replay", String(letter.id));
      check(r.code === 1 && /FAIL +ops +letter \d+ +status 400/.test(r.out) && /no such channel/.test(r.out), `${r.code} ${r.out} ${r.err}`);
      check((await letters("ops")).length === 1, "the letter is gone");
    },
  ],
  [
    "after the receiver is mended the replay has the same key and body, the alert about it ends, and the end of the alert is told",
    async () => {
      answers["/ops"] = [200, "thanks"];
      const original = got.find((h) => h.path === "/ops");
      const before = got.length;
      const r = await tocsin("hooks", "replay", "--failed", "ops");
      check(r.code === 0 && /ok +ops +letter \d+ +status 200/.test(r.out) && /answer: thanks/.test(r.out), `${r.code} ${r.out} ${r.err}`);
      const sent = got.slice(before).filter((h) => h.path === "/ops");
      check(sent.length === 1 && sent[0].key === original.key && sent[0].key === letter.key, `${sent.length} messages`);
      check(sent[0].text === original.text, `the body changed: ${sent[0].text}`);
      check((await letters("ops")).length === 0, "the letter is still there");
      const rows = JSON.parse((await tocsin("hooks", "log", "--receiver", "ops", "--json")).out);
      check(rows[0].kind === "replay" && rows[0].outcome === "sent" && rows[0].of === letter.id, JSON.stringify(rows[0]));
      await until("DeadLetter to end", () => got.some(says("DeadLetter", "resolved")), 15000);
      // A crash now must not forget what the replay has told.
      collector.kill("SIGKILL");
      await collector.gone;
      const again = got.length;
      collector = await start();
      await reload(2, 2, 2);
      const over = await until("the end", () => got.slice(again).find((h) => h.path === "/ops"), 15000);
      check(JSON.parse(over.text).alerts[0].status === "resolved", over.text);
    },
  ],
  [
    "a dead letter of an alert that is over is skipped and named, sent only when told to, or dismissed",
    async () => {
      answers["/ops"] = [400, ""];
      await reload(1, 2, 2);
      await until("the letter", async () => (await letters("ops")).length === 1);
      await reload(2, 2, 2);
      const [l] = await until("it is out of date", async () => {
        const all = await letters("ops");
        return all[0].outOfDate === 1 && all;
      });
      answers["/ops"] = [200, ""];
      const before = got.length;
      const r = await tocsin("hooks", "replay", "--failed", "ops");
      check(r.code === 1 && r.out.includes(`skip  letter ${l.id}: an alert is not as it says any more`), r.out);
      check(got.slice(before).every((h) => h.path !== "/ops"), "it was sent");
      check(/1 not so any more/.test((await tocsin("hooks", "letters")).out), (await tocsin("hooks", "letters")).out);
      const forced = await tocsin("hooks", "replay", String(l.id), "--anyway");
      check(forced.code === 0 && got.slice(before).filter((h) => h.key === l.key).length === 1, forced.out);
      answers["/ops"] = [400, ""];
      await reload(1, 2, 2);
      await until("another", async () => (await letters("ops")).length === 1);
      check((await tocsin("hooks", "dismiss", "--failed", "ops")).out === "1 dismissed\n", "not dismissed");
      check((await letters("ops")).length === 0, "still there");
      answers["/ops"] = [200, ""];
    },
  ],
  [
    "a test goes the receiver's own way, firing and over, and is nowhere an alert",
    async () => {
      const before = got.length;
      const r = await tocsin("hooks", "test", "pd");
      check(r.code === 0 && (r.out.match(/ok +pd +status 202 in [\d.]+ ms/g) ?? []).length === 2, `${r.out} ${r.err}`);
      const events = got.slice(before).filter((h) => h.path === "/pd").map((h) => JSON.parse(h.text));
      check(events.map((e) => e.event_action).join(" ") === "trigger resolve", JSON.stringify(events));
      check(events[0].dedup_key === events[1].dedup_key && events[0].routing_key.startsWith("R0UTING"), JSON.stringify(events));
      const alerts = JSON.parse((await fetchText(`${w.url}/api/v1/alerts`)).text).data.alerts;
      check(!alerts.some((a) => a.labels.alertname === "TocsinTest"), "it is an alert");
      answers["/pd"] = [403, "who are you, R0UTINGKEYR0UTINGKEYR0UTINGKEYR0?"];
      const refused = await tocsin("hooks", "test", "pd");
      check(refused.code === 1 && /status 403/.test(refused.out) && /who are you, \*\*\*\?/.test(refused.out), refused.out);
      check((await tocsin("hooks", "test", "nobody")).code === 1, "a receiver that is not there");
    },
  ],
  [
    "no secret is kept or shown, and a replay has it again",
    async () => {
      await reload(2, 1, 2);
      const [l] = await until("the letter", async () => (await letters("pd")).length === 1 && (await letters("pd")));
      const whole = await fetchText(`${w.url}/api/v1/hooks/letter?id=${l.id}`);
      const log = await fetchText(`${w.url}/api/v1/hooks/log?id=${l.id}`);
      const shown = await tocsin("hooks", "show", String(l.id));
      for (const text of [whole.text, log.text, shown.out]) check(text.includes("***") && !text.includes("R0UTING"), text);
      collector.kill("SIGKILL");
      await collector.gone;
      for (const f of ["alerts.db", "alerts.db-wal"]) check(!readFileSync(join(w.dir, "collector", f)).includes("R0UTING"), `the key is in ${f}`);
      answers["/pd"] = [202, "{}"];
      const before = got.length;
      collector = await start();
      // Told anew after the restart: the letter is settled by that.
      await until("it is told", () => got.slice(before).some((h) => h.path === "/pd"), 15000);
      check(got.slice(before).find((h) => h.path === "/pd").key === l.key, "another key");
      await until("the letter is settled", async () => (await letters("pd")).length === 0);
    },
  ],
  [
    "410: what waits and what comes are letters, and a test that gets through brings the receiver back",
    async () => {
      answers["/gone"] = [410, ""];
      await reload(2, 1, 1);
      await until("the letter", async () => (await letters("gone")).length === 1);
      const gone = async () => (await api("")).hooks.find((h) => h.receiver === "gone").gone;
      check(await gone(), "not gone");
      answers["/gone"] = [200, ""];
      check((await tocsin("hooks", "test", "gone")).code === 0, "the test");
      check(!(await gone()), "still gone");
      check((await tocsin("hooks", "replay", "--failed", "gone")).code === 0, "the replay");
      const before = got.length;
      await reload(2, 1, 2);
      const over = await until("the end", () => got.slice(before).find((h) => h.path === "/gone"), 15000);
      check(JSON.parse(over.text).alerts[0].status === "resolved", over.text);
    },
  ],
]);
if (process.exitCode && process.env.SHOW_LOG) console.log(w.log(collector));
server.closeAllConnections();
server.close();
await w.close();

// SPDX-License-Identifier: Apache-2.0
// An alert has the agent of its host run an action of that agent's own list: a crashed service comes
// back, what does not help backs off and pages, and nothing is run twice or that is not listed.

import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { World, bin, check, fetchText, freePort, now, root, run, tree, until } from "./world.mjs";

const w = new World();
const port = await freePort();
const redisDir = w.dir;
const redis = ["--bind", "127.0.0.1", "--dir", redisDir, "--save", "", "--daemonize", "yes", "--pidfile", join(w.dir, "redis.pid")];
const ran = (name) => (existsSync(join(w.dir, name)) ? readFileSync(join(w.dir, name), "utf8").trim().split("\n").filter(Boolean) : []);
const script = (name, text) => w.put(name, `#!/bin/sh\n${text}\n`, 0o755);
const page = (name, action) => (h) =>
  h.path === "/tocsin" && h.body.alerts.some((a) => a.status === "firing" && a.labels.alertname === name && a.labels.action === action && a.labels.instance === "first");
const gaveUp = async (action, ms = 60000) => {
  const h = await w.hook(page("RepairGaveUp", action), 0, ms);
  check(h, `RepairGaveUp of ${action}\n${w.log(collector)}\n${w.log(agent)}`);
  return h.body.alerts.find((a) => a.labels.action === action && a.labels.instance === "first");
};
const status = async () => JSON.parse((await fetchText(`${w.url}/api/v1/status/tocsin`)).text).data.repairs;
const metric = async (name) => Number((await fetchText(`${w.url}/metrics`)).text.match(new RegExp(`^tocsin_repair_${name} (\\d+)$`, "m"))?.[1]);

const always = (alert, host, labels = "") => `      - {alert: ${alert}, expr: 'up{job="node",instance="${host}"} == 1', labels: {${labels}}}`;
const rules = w.put(
  "rules.yaml",
  `groups:
  - name: repairs
    interval: 1s
    rules:
${always("Fails", "first")}
${always("Unlisted", "first")}
${always("Odd", "first", `service: 'a; touch ${w.dir}/odd'`)}
${always("NoExecutor", "second")}
${always("Small", "small")}
      - {alert: Slow, expr: 'probe_success{probe="switch"} == 0'}
`,
);
const route = (hookPort) => `route:
  receiver: default
  routes:
    - {matchers: ['alertname="ServiceCrashed"', 'port="${port}"', instance="first"], receiver: redis, continue: true}
    - {matchers: [alertname="Fails"], receiver: fails}
    - {matchers: [alertname="Unlisted"], receiver: unlisted}
    - {matchers: [alertname="Odd"], receiver: odd}
    - {matchers: [alertname="NoExecutor"], receiver: noexecutor}
    - {matchers: [alertname="Slow"], receiver: slow}
    - {matchers: [alertname="Small"], receiver: small}
    - {receiver: default}
receivers:
  - name: default
    webhook_configs: [{url: "http://127.0.0.1:${hookPort}/tocsin"}]
  - name: redis
    repair_configs: [{action: start-redis, parameters: [port]}]
  - name: fails
    repair_configs: [{action: fails, retry: 1s, give_up_after: 3}]
  - name: unlisted
    repair_configs: [{action: reboot}]
  - name: odd
    repair_configs: [{action: odd, parameters: [service]}]
  - name: noexecutor
    repair_configs: [{action: fails}]
  - name: small
    repair_configs: [{action: who}]
  - name: slow
    repair_configs: [{action: slow, retry: 2m}]
`;
const repairs = `probes:
  - {name: switch, tcp: "127.0.0.1:${await freePort()}", every: 250ms}
repairs:
  - name: start-redis
    command: [/usr/bin/redis-server, --port, "{port}", ${redis.map((x) => JSON.stringify(x)).join(", ")}]
    parameters: {port: "[0-9]{1,5}"}
  - {name: fails, command: ["${script("fails.sh", `date +%s%3N >>${w.dir}/fails; echo "no such luck" >&2; exit 4`)}"]}
  - {name: later, command: ["${script("later.sh", `echo x >>${w.dir}/later`)}"]}
  - {name: odd, command: ["${script("odd.sh", `touch ${w.dir}/odd`)}", "{service}"], parameters: {service: "[a-z]+"}}
  - {name: slow, command: ["${script("slow.sh", `echo $$ >>${w.dir}/slow; while [ ! -e ${w.dir}/go ]; do sleep 0.1; done; echo "went on"`)}"], timeout: 2m}
`;

let collector;
let agent;
const start = async () => {
  const hookPort = await w.receiver();
  collector = await w.collector({
    rules: [rules, join(root, "rules/stock/starter.yaml"), join(root, "rules/stock/starter.overrides.yaml")],
    route: route(hookPort),
  });
};
const redisPid = () => Number(readFileSync(join(w.dir, "redis.pid"), "utf8"));
const answers = () => {
  try {
    return execFileSync("redis-cli", ["-p", String(port), "ping"], { stdio: "pipe" }).toString().includes("PONG");
  } catch {
    return false;
  }
};

await run([
  [
    "a crashed service is started again by its agent, and the alert ends",
    async () => {
      execFileSync("redis-server", ["--port", String(port), ...redis]);
      await until("redis", answers);
      await start();
      agent = await w.agent({ host: "first", config: repairs });
      await w.agent({ name: "second", host: "second" });
      await until("redis is seen", async () => (await w.query(`tocsin_service_listening{port="${port}"} == 1`)).length > 0);
      // One that was never up for 10 s ends without an alert.
      await until("it is settled", async () => (await w.query(`tocsin_service_listening{port="${port}",instance="first"} offset 11s == 1`)).length > 0, 40000, 200);
      const begun = now();
      for (const pid of tree(redisPid())) process.kill(pid, "SIGKILL");
      await until("redis is back", answers, 20000, 5);
      const back = now() - begun;
      const asked = w.log(collector).match(/^(\S+) .*event=repair_asked .*action=start-redis/m);
      const ran = w.log(agent).match(/^(\S+) .*event=repair_started .*action=start-redis/m);
      check(asked && ran, `${w.log(collector)}\n${w.log(agent)}`);
      console.log(`      killed -> answers again ${back.toFixed(0)} ms, asked -> started ${new Date(ran[1]) - new Date(asked[1])} ms`);
      const over = await w.hook((h) => h.path === "/tocsin" && h.body.alerts.some((a) => a.labels.alertname === "ServiceCrashed" && a.labels.port === String(port) && a.labels.instance === "first" && a.status === "resolved"), begun, 30000);
      check(over, `ServiceCrashed is over\n${w.log(collector)}`);
      await until("it is counted", async () => (await metric("succeeded_total")) >= 1);
    },
  ],
  [
    "what fails backs off, gives up and pages",
    async () => {
      const a = await gaveUp("fails");
      check(a.labels.instance === "first" && a.labels.alert === "Fails" && a.labels.severity === "page", JSON.stringify(a.labels));
      const at = ran("fails").map(Number);
      check(at.length === 3, `${at.length} attempts`);
      check(at[1] - at[0] >= 1000 && at[2] - at[1] >= 2000, `after ${at[1] - at[0]} and ${at[2] - at[1]} ms`);
      const row = (await status()).find((r) => r.alert === "Fails");
      check(row.state === "gave up" && row.why === "attempts" && row.code === 4 && row.output === "no such luck\n" && row.attempts === 3, JSON.stringify(row));
      check(/event=repair_gave_up .*action=fails/.test(w.log(collector)), "it is logged");
      check((await metric("gave_up_total")) >= 1 && (await metric("failed_total")) >= 3, "it is counted");
    },
  ],
  [
    "an action that is not listed, a value that does not match, an agent without a list: refused, and a page",
    async () => {
      await gaveUp("reboot");
      await gaveUp("odd");
      check(!existsSync(join(w.dir, "odd")), "nothing was run");
      const h = await w.hook((x) => x.body.alerts.some((a) => a.labels.alertname === "RepairGaveUp" && a.labels.instance === "second"), 0, 30000);
      check(h, "an agent without repairs");
      const why = Object.fromEntries((await status()).map((r) => [r.alert, [r.why, r.reason]]));
      check(why.Unlisted[0] === "not listed" && why.Odd[0] === "bad parameter" && why.NoExecutor[0] === "no executor", JSON.stringify(why));
    },
  ],
  [
    "an agent with capabilities hands none of them to its actions, and needs none to run them",
    async () => {
      if (process.getuid() !== 0) return console.log("      not root: capabilities cannot be given");
      const state = join(w.dir, "small");
      mkdirSync(state);
      chownSync(state, 65534, 65534);
      const config = w.put(
        "small.yaml",
        `collector: http://127.0.0.1:${w.ingestPort}
state_dir: ${state}
host: small
repairs:
  - {name: who, command: [/bin/grep, -E, "^(Uid|CapEff|CapAmb|NoNewPrivs):", /proc/self/status]}
`,
      );
      const caps = "-all,+net_admin,+sys_ptrace,+dac_read_search"; // as the unit gives them
      w.spawn("small", "/usr/bin/setpriv", ["--reuid=65534", "--regid=65534", "--clear-groups", `--inh-caps=${caps}`, `--ambient-caps=${caps}`, "--no-new-privs", join(bin, "tocsin-agent"), "--config", config]);
      const row = await until("the action", async () => (await status()).find((r) => r.alert === "Small" && r.state === "well"), 30000);
      check(/Uid:\t65534\t65534/.test(row.output) && /CapEff:\t0+\n/.test(row.output) && /CapAmb:\t0+\n/.test(row.output) && /NoNewPrivs:\t1/.test(row.output), row.output);
    },
  ],
  [
    "repairs in a file that others may write are refused, those over plain http are warned of",
    async () => {
      const text = 'collector: http://mon.example.net\nrepairs:\n  - {name: x, command: [/bin/true]}\n';
      const checked = (mode) => {
        const file = w.put("mode.yaml", text);
        chmodSync(file, mode);
        return spawnSync(join(bin, "tocsin-agent"), ["--config", file, "--check"], { encoding: "utf8" });
      };
      const loose = checked(0o664);
      check(loose.status === 78 && /others than its owner may write it \(mode 664\)/.test(loose.stderr), loose.stderr);
      const tight = checked(0o644);
      check(tight.status === 0 && /1 repairs\n.*plain http/.test(tight.stdout) && /x +ok/.test(tight.stdout), tight.stdout + tight.stderr);
    },
  ],
  [
    "tocsin status shows what became of repairs",
    async () => {
      const text = execFileSync(join(bin, "tocsin"), ["status", "--url", w.url]).toString();
      check(/fails +first +Fails +gave up +3 +attempts +exited 4: no such luck/.test(text), text);
      check(/reboot +first +Unlisted +gave up +1 +not listed +not listed: no action reboot in this agent's `repairs`/.test(text), text);
    },
  ],
  [
    "kill -9 of the collector between request and result, then of the agent: run once",
    async () => {
      await until("the action runs", () => ran("slow").length === 1, 60000);
      collector.kill("SIGKILL");
      await collector.gone;
      await start();
      await until("it is known to run", async () => (await status()).some((r) => r.alert === "Slow" && r.state === "running"), 60000);
      check(ran("slow").length === 1, "it was not run again");
      agent.kill("SIGKILL");
      await agent.gone;
      w.put("go", "");
      await until("the action goes on without its agent", () => !existsSync(`/proc/${ran("slow")[0]}`), 20000);
      agent = await w.agent({ host: "first", config: repairs });
      const row = await until("the result arrives", async () => (await status()).find((r) => r.alert === "Slow" && r.state === "well"), 60000);
      check(row.outcome === "exited" && row.code === 0 && row.attempts === 1, JSON.stringify(row));
      check(ran("slow").length === 1, `run ${ran("slow").length} times`);
    },
  ],
  [
    "what had given up stays so over the restart, and nothing was tried again",
    async () => {
      const row = (await status()).find((r) => r.alert === "Fails");
      check(row?.state === "gave up", JSON.stringify(row));
      check(ran("fails").length === 3, `${ran("fails").length} attempts`);
      // A restart tells nobody that it is over, also not when all has been looked at again.
      await until("it fires on", async () => JSON.parse((await fetchText(`${w.url}/api/v1/alerts`)).text).data.alerts.some((a) => a.labels.alertname === "RepairGaveUp" && a.labels.alert === "Fails" && a.state === "firing"), 20000);
      const ended = w.hooks.flatMap((h) => h.body.alerts).filter((a) => a.labels.alertname === "RepairGaveUp" && a.labels.alert === "Fails" && a.status === "resolved");
      check(ended.length === 0, JSON.stringify(ended));
    },
  ],
  [
    "a reload takes a repair away and gives another: the one ends, the other begins",
    async () => {
      const file = join(w.dir, "collector.yaml");
      const text = readFileSync(file, "utf8");
      w.put(
        "collector.yaml",
        text
          .replace('    - {matchers: [alertname="Fails"], receiver: fails}\n', "")
          .replace("repair_configs: [{action: reboot}]", "repair_configs: [{action: reboot}, {action: later}]"),
      );
      check(text !== readFileSync(file, "utf8"), "the configuration is another");
      collector.kill("SIGHUP");
      await until("the new one is done", async () => (await status()).some((r) => r.action === "later" && r.state === "well"), 30000);
      check(ran("later").length === 1, `run ${ran("later").length} times`);
      const rows = await status();
      check(!rows.some((r) => r.alert === "Fails"), "what is routed elsewhere is nobody's repair");
      check(rows.some((r) => r.action === "reboot" && r.state === "gave up"), "what stayed has stayed");
      await until("its page is over", async () => !(await w.query('tocsin_repair_gave_up{alert="Fails"}')).length, 10000);
    },
  ],
]);
try {
  process.kill(redisPid(), "SIGTERM");
} catch {
  // it is gone
}
await w.close();

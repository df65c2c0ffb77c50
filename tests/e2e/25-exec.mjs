// SPDX-License-Identifier: Apache-2.0
// Plugins: Debian's monitoring-plugins unchanged, JSON, what hangs, floods, forks and changes its mind;
// no zombie, no descriptor left, and a change of status that leaves at once.

import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { World, bin, check, freePort, now, run, tree, until } from "./world.mjs";

const w = new World();
const plugins = "/usr/lib/nagios/plugins";
let agent;
let web;
const value = async (expr) => Number((await w.query(expr))[0]?.value[1]);
const state = w.put("state", "0 all is well\n");
const script = (name, text) => w.put(name, `#!/bin/sh\n${text}\n`, 0o755);
const exec = (name, command, more = "", every = "500ms") => `  - {name: ${name}, command: [${command.map((x) => JSON.stringify(String(x))).join(", ")}], every: ${every}${more}}\n`;
const fds = (pid) => readdirSync(`/proc/${pid}/fd`).length;
const status = (name, want) => until(`${name} to be ${want}`, async () => (await value(`tocsin_plugin_status{plugin="${name}"}`)) === want, 20000);
const data = (name, label, suffix = "") => value(`tocsin_plugin_perfdata${suffix}{plugin="${name}",label="${label}"}`);

const config = (extra = "") =>
  "exec:\n" +
  exec("load", [`${plugins}/check_load`, "-w", "900,900,900", "-c", "999,999,999"]) +
  exec("disk", [`${plugins}/check_disk`, "-w", "1%", "-c", "0%", "-p", "/"]) +
  exec("procs", [`${plugins}/check_procs`, "-w", "1:100000", "-c", "1:200000"]) +
  exec("tcp", [`${plugins}/check_tcp`, "-H", "127.0.0.1", "-p", web.port]) +
  exec("http", [`${plugins}/check_http`, "-H", "127.0.0.1", "-p", web.port, "-u", "/"]) +
  exec("warned", [`${plugins}/check_procs`, "-w", "100000:", "-c", "1:"]) +
  exec("dummy", [`${plugins}/check_dummy`, "3", "no idea"]) +
  exec("turn", [script("turn", `read -r code text <${state}; echo "$text|since=5ms;10;20"; exit $code`)], "", "100ms") +
  exec("json", [script("json", `echo '{"status": "warning", "text": "grows", "metrics": [{"name": "mail_queue", "value": 31, "labels": {"queue": "out", "job": "mine"}}, {"name": "mail_sent_total", "value": 80121, "type": "counter"}, {"name": "9bad", "value": 1}]}'`)], ", format: json") +
  exec("lines", [script("lines", `echo '# TYPE backups_total counter'; echo 'backups_total{where="here"} 12'; echo 'backup_age_seconds 3600'`)], ", format: lines") +
  exec("nolines", [script("nolines", "echo 'a b c'")], ", format: lines") +
  exec("nojson", [script("nojson", "echo hello")], ", format: json") +
  exec("hangs", [script("hangs", "trap '' TERM; sleep 600 & sleep 600")], ", timeout: 200ms") +
  exec("floods", [script("floods", "yes | head -c 2000000")]) +
  exec("leaves", [script("leaves", "sleep 600 & exit 0")]) +
  exec("who", [script("who", `echo "$TOCSIN_PLUGIN $LC_ALL $EXTRA $HOME|fds=$(ls /proc/self/fd | wc -l) env=$(env | wc -l)"`)], ", env: {EXTRA: x}") +
  exec("missing", ["/no/such/plugin"]) +
  extra;

await run([
  [
    "monitoring-plugins run unchanged: status and performance data in base units",
    async () => {
      for (const p of ["check_load", "check_disk", "check_procs", "check_tcp", "check_http", "check_dummy"])
        check(spawnSync(join(plugins, p), ["-V"]).error === undefined, `${p} is not there: monitoring-plugins-basic`);
      web = await w.nginx({ body: "hello" });
      await w.collector({ rules: [w.put("rules.yaml", "groups: []\n")] });
      agent = await w.agent({ config: config() });
      for (const name of ["load", "disk", "procs", "tcp", "http"]) await status(name, 0);
      await status("warned", 1);
      await status("dummy", 3);
      const disk = Number(spawnSync("df", ["-B1", "--output=size", "/"], { encoding: "utf8" }).stdout.split("\n")[1]);
      const max = await until("the size of /", () => value('tocsin_plugin_perfdata_limit{plugin="disk",label="/",limit="max"}'));
      check(Math.abs(max / disk - 1) < 0.1, `check_disk says / has ${max} bytes, df ${disk}`);
      check((await data("disk", "/", "_bytes")) > 0, "bytes used");
      check((await data("procs", "procs")) > 3, "processes");
      check((await data("load", "load15")) > 0, "load");
      const time = await data("http", "time", "_seconds");
      check(time > 0 && time < 5, `check_http took ${time} s`);
      check((await data("http", "size", "_bytes")) > 100, "size of the answer");
      check((await value('tocsin_plugin_perfdata_limit{plugin="warned",limit="warning_low"}')) === 100000, "a range's low end");
      check((await value('tocsin_plugin_duration_seconds{plugin="http"}')) > 0, "duration");
      check((await value('tocsin_plugin_unreadable_total{plugin="disk"}')) === 0, "all was read");
    },
  ],
  [
    "JSON and lines, with labels and an own status; what is neither is no verdict",
    async () => {
      await status("json", 1);
      check((await value('mail_queue{queue="out",job="plugin",exported_job="mine"}')) === 31, "mail_queue");
      check((await value("mail_sent_total")) === 80121, "mail_sent_total");
      check((await value('tocsin_plugin_unreadable_total{plugin="json"}')) > 0, "a bad name is counted");
      await status("lines", 0);
      check((await value('backups_total{where="here",plugin="lines"}')) === 12, "backups_total");
      check((await value("backup_age_seconds")) === 3600, "backup_age_seconds");
      await status("nolines", 3);
      await status("nojson", 3);
      check((await value('tocsin_plugin_failures_total{plugin="nojson"}')) > 0, "counted");
    },
  ],
  [
    "hanging, flooding, forking and missing ones are told, and hold nobody up",
    async () => {
      for (const name of ["hangs", "floods", "missing"]) await status(name, 3);
      await until("a timeout", async () => (await value('tocsin_plugin_timeouts_total{plugin="hangs"}')) > 0);
      await until("a turn that was skipped", async () => (await value('tocsin_plugin_skipped_total{plugin="hangs"}')) > 0);
      check((await value('tocsin_plugin_failures_total{plugin="floods"}')) > 0, "the flood is a failure");
      await status("leaves", 0);
      // Only those of the hanging one may run for long.
      const mine = () => tree(agent.pid).length;
      await until("nothing left by plugins", () => mine() < 12);
      await until("what a plugin sees", async () => (await data("who", "env")) >= 0);
      check((await data("who", "fds")) <= 5, `a plugin has ${await data("who", "fds")} descriptors`);
      check((await data("who", "env")) <= 7, `a plugin has ${await data("who", "env")} variables`);
      check((await value('tocsin_agent_tick_lateness_seconds')) < 0.5, "the agent is on time");
    },
  ],
  [
    "a change of status leaves at once, with the values that came with it",
    async () => {
      await status("turn", 0);
      check((await data("turn", "since", "_seconds")) === 0.005, "5 ms");
      check((await value('tocsin_plugin_perfdata_limit{plugin="turn",limit="critical_high"}')) === 0.02, "20 ms");
      const took = [];
      for (let i = 0; i < 7; i++) {
        const want = i % 2 ? 0 : 2;
        const at = now();
        writeFileSync(state, `${want} turned\n`);
        await until(`status ${want}`, async () => (await value('tocsin_plugin_status{plugin="turn"}')) === want, 5000, 5);
        took.push(now() - at);
      }
      // 100 ms to the next turn, and a process; waiting for the frame of the second half of them would take longer.
      const median = took.sort((a, b) => a - b)[3];
      check(median < 450, `told after ${took.map((t) => t.toFixed(0))} ms`);
    },
  ],
  [
    "no zombie and no descriptor is left after hundreds of runs",
    async () => {
      const before = fds(agent.pid);
      const runs = async () => (await value("sum(tocsin_agent_intake_series)"));
      await until("more runs", async () => (await value('increase(tocsin_plugin_skipped_total{plugin="hangs"}[1m])')) >= 8 && (await runs()) > 0, 60000);
      const zombies = tree(agent.pid).filter((pid) => {
        try {
          return / Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\)/, ""));
        } catch {
          return false;
        }
      });
      check(zombies.length <= 1, `zombies: ${zombies}`); // one may be seen in the instant of its end
      check(fds(agent.pid) <= before + 12, `descriptors ${before}, now ${fds(agent.pid)}`);
    },
  ],
  [
    "a reload ends what is gone, and begins what is new",
    async () => {
      const text = readFileSync(join(w.dir, "agent.yaml"), "utf8");
      writeFileSync(join(w.dir, "agent.yaml"), text.replace(/ {2}- \{name: hangs.*\n/, "").replace(/ {2}- \{name: json.*\n/, "") + exec("new", [`${plugins}/check_dummy`, "2", "new"]));
      agent.kill("SIGHUP");
      await status("new", 2);
      check((await w.query('tocsin_plugin_status{plugin="hangs"}')).length === 0, "hangs is gone");
      check((await w.query("mail_queue")).length === 0, "mail_queue is gone");
      check((await value('tocsin_plugin_status{plugin="load"}')) === 0, "load goes on");
      await until("the hanging one to be reaped", () => !tree(agent.pid).some((pid) => readCmd(pid).includes("hangs")));
    },
  ],
  [
    "who may write the file says what runs: others may not; and doctor says what cannot",
    async () => {
      const open = w.put("open.yaml", readFileSync(join(w.dir, "agent.yaml"), "utf8"), 0o666);
      spawnSync("chmod", ["666", open]);
      const refused = spawnSync(join(bin, "tocsin-agent"), ["--config", open, "--check"], { encoding: "utf8" });
      check(refused.status === 78 && /exec/.test(refused.stderr) && /chmod go-w/.test(refused.stderr), refused.stderr);
      const doctor = spawnSync(join(bin, "tocsin-agent"), ["--config", join(w.dir, "agent.yaml"), "--doctor"], { encoding: "utf8" });
      check(/missing\s+NO .*No such file/.test(doctor.stdout), doctor.stdout);
      check(/load\s+ok .*check_load/.test(doctor.stdout), doctor.stdout);
    },
  ],
]);
function readCmd(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return "";
  }
}
await w.close();

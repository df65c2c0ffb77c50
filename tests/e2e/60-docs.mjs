// SPDX-License-Identifier: Apache-2.0
// What the documents show is true: every YAML block of the README is a file its program takes, every
// command of ours it names exists, the default configurations and the units are whole.

import { spawnSync } from "node:child_process";
import { readFileSync, readdirSync, existsSync } from "node:fs";
import { join } from "node:path";
import { World, bin, check, root, run } from "./world.mjs";

const w = new World();
const readme = readFileSync(join(root, "README.md"), "utf8");
const blocks = (lang) => [...readme.matchAll(new RegExp("```" + lang + "\\n([\\s\\S]*?)```", "g"))].map((m) => m[1]);
const exec = (program, ...args) => {
  const r = spawnSync(program, args, { encoding: "utf8" });
  check(r.status === 0, `${program} ${args.join(" ")}: exit ${r.status}\n${r.stdout}${r.stderr}`);
  return r.stdout + r.stderr;
};
const tocsin = join(bin, "tocsin");
const token = w.put("token", "a-token-of-this-test\n", 0o600);
const here = (yaml) => yaml.replaceAll("/etc/tocsin/token", token);

const cases = [];
let rules = "";
for (const [i, yaml] of blocks("yaml").entries()) {
  if (/^groups:/m.test(yaml)) {
    rules = w.put("rules/mine.yaml", yaml);
    cases.push(["the README's rule file passes promtool and our check", () => (exec("promtool", "check", "rules", rules), exec(tocsin, "rules", "check", rules))]);
  } else if (/^overrides:/m.test(yaml)) {
    const file = w.put("rules/mine.overrides.yaml", yaml);
    cases.push(["the README's overrides apply to its rule", () => exec(tocsin, "rules", "check", rules, file)]);
  } else if (/^probes:|^repairs:|^exec:|^scrape_configs:|^collector:/m.test(yaml)) {
    const file = w.put(`agent-${i}.yaml`, here(yaml));
    cases.push([`the README's agent configuration ${i} is taken`, () => exec(join(bin, "tocsin-agent"), "--config", file, "--check")]);
  } else if (/^listen:|^route:/m.test(yaml)) {
    const file = w.put(`collector-${i}.yaml`, here(yaml));
    cases.push([`the README's collector configuration ${i} is taken`, () => exec(join(bin, "tocsin-collector"), "--config", file, "--check")]);
  } else {
    cases.push([`README block ${i} is of a known kind`, () => check(false, yaml)]);
  }
}
check(cases.length >= 5, "the README's blocks were found");

const shell = blocks("sh").join("\n");
for (const verb of new Set([...shell.matchAll(/build\/none\/tocsin ([a-z]+(?: [a-z]+)?)/g)].map((m) => m[1]))) {
  cases.push([`tocsin ${verb} exists`, () => exec(tocsin, ...verb.split(" ").filter((x) => !["run"].includes(x)), "--help")]);
}
for (const script of new Set([...shell.matchAll(/sh (packaging\/[a-z.-]+)/g)].map((m) => m[1]))) {
  cases.push([`${script} exists and is a shell script`, () => exec("sh", "-n", join(root, script))]);
}
cases.push(
  ["LIMITS.md has the numbers of the source, and names metrics there are", () => {
    const text = readFileSync(join(root, "LIMITS.md"), "utf8");
    const rows = [...text.matchAll(/^\| .*? \| (\d+) \| `(\S+)` ([A-Z_]+) \|/gm)];
    check(rows.length >= 25, `${rows.length} rows`);
    for (const [, bound, file, name] of rows) {
      const define = readFileSync(join(root, file), "utf8").match(new RegExp(`#define ${name}[ \\\\\n]+(.*)`));
      check(define, `${file} has no ${name}`);
      const [, a, , shift] = define[1].match(/^\(?(\d+)(u?)(?: << (\d+))?/);
      check(Number(a) * 2 ** Number(shift ?? 0) === Number(bound), `${name} is ${define[1]}, LIMITS.md says ${bound}`);
    }
    const sources = ["agent", "collector"].flatMap((d) => readdirSync(join(root, d)).filter((f) => f.endsWith(".c")).map((f) => readFileSync(join(root, d, f), "utf8"))).join("");
    for (const [, metric] of text.matchAll(/`(tocsin_[a-z_]+)/g)) check(sources.includes(metric), `${metric} is written nowhere`);
  }],
  ["the default configurations are taken as they are", () => {
    for (const [program, name] of [["tocsin-agent", "agent"], ["tocsin-collector", "collector"]]) {
      const path = join(root, `packaging/conf/${name}.yaml`);
      exec(join(bin, program), "--config", path, "--check");
    }
  }],
  ["the units name programs and options that exist", () => {
    for (const unit of readdirSync(join(root, "packaging/systemd"))) {
      // A program that starts another one of ours: the options are that one's.
      const text = readFileSync(join(root, "packaging/systemd", unit), "utf8");
      const [, program, args] = text.match(/ExecStart=(?:@BINDIR@\/tocsin-agent-netns )?@BINDIR@\/(\S+) (.*)/);
      const help = exec(join(bin, program), "--help");
      for (const option of args.split(" ").filter((a) => a.startsWith("--"))) check(help.includes(option), `${unit}: ${option}`);
    }
  }],
  ["make install puts everything in its place", () => {
    const dest = join(w.dir, "dest");
    const r = spawnSync("sh", ["packaging/install.sh"], { cwd: root, encoding: "utf8", env: { ...process.env, DESTDIR: dest, PREFIX: "/usr/local", B: bin } });
    check(r.status === 0, r.stderr);
    for (const f of ["usr/local/bin/tocsin", "usr/local/bin/tocsin-agent", "usr/local/bin/tocsin-agent-netns", "usr/local/share/tocsin/systemd/tocsin-agent.netns.conf", "usr/local/bin/tocsin-collector", "etc/systemd/system/tocsin-agent.service", "etc/tocsin/collector.yaml", "usr/local/share/tocsin/rules/starter.yaml", "usr/local/share/man/man1/tocsin.1", "usr/local/share/bash-completion/completions/tocsin"])
      check(existsSync(join(dest, f)), f);
    exec(join(bin, "tocsin-collector"), "--config", join(dest, "etc/tocsin/collector.yaml"), "--check");
  }],
);

await run(cases);
await w.close();

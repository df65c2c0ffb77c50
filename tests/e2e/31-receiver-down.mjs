// SPDX-License-Identifier: Apache-2.0
// The receiver is down for a while (DOWN_SECONDS, 15): nothing is lost and firing comes before
// resolved for every alert.

import { World, check, fetchText, freePort, run, sleep, until } from "./world.mjs";

const down = Number(process.env.DOWN_SECONDS ?? 15) * 1000;
const w = new World();

await run([
  [
    `receiver down for ${down / 1000} s: every alert arrives, firing before resolved`,
    async () => {
      const rules = w.put(
        "rules.yaml",
        `groups:
  - name: many
    interval: 1s
    rules:
${Array.from({ length: 20 }, (_, i) => `      - {alert: "Toggle${i}", expr: 'probe_success == 0', labels: {severity: page, n: "${i}"}}`).join("\n")}
`,
      );
      await w.collector({ rules: [rules] });
      const port = await freePort();
      await w.agent({ config: `probes:\n  - {name: p, tcp: "127.0.0.1:${port}"}\n` });
      // Nothing listens there: all twenty fire. Take the receiver away before they resolve.
      await until("twenty alerts firing at the receiver", () => new Set(w.hooks.flatMap((h) => h.body.alerts.map((a) => a.labels.alertname))).size === 20, 15000);
      w.hooks.length = 0;
      w.receiverStatus = 0;
      const { createServer } = await import("node:net");
      let server = createServer((s) => s.destroy()).listen(port, "127.0.0.1");
      await sleep(down / 2);
      await new Promise((r) => server.close(r)); // fires again
      await sleep(down / 2);
      check(w.hooks.length === 0, "the receiver was not down");
      w.receiverStatus = 200;
      const states = () => {
        const by = new Map();
        for (const h of w.hooks) for (const a of h.body.alerts) by.set(a.labels.alertname, [...(by.get(a.labels.alertname) ?? []), a.status]);
        return by;
      };
      await until("every alert's last state", () => [...states().values()].filter((s) => s.at(-1) === "firing" && s.includes("resolved")).length === 20, 30000);
      for (const [name, s] of states()) check(s.join(" ") === "resolved firing", `${name}: ${s.join(" ")}`);
      const m = (await fetchText(`${w.url}/metrics`)).text;
      check(/tocsin_/.test(m), "/metrics answers");
    },
  ],
]);
await w.close();

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
      // A message shows its whole group, so a state may be told again; what counts is each alert's way
      // from episode to episode.
      const ways = () => {
        const by = new Map();
        for (const h of w.hooks)
          for (const a of h.body.alerts) {
            const way = by.get(a.labels.alertname) ?? [];
            const step = `${a.startsAt} ${a.status}`;
            if (way.at(-1) !== step) way.push(step);
            by.set(a.labels.alertname, way);
          }
        return by;
      };
      const words = (way) => way.map((x) => x.split(" ")[1]).join(" ");
      await until("every alert's last state", () => [...ways().values()].filter((x) => /resolved firing$/.test(words(x))).length === 20, 30000);
      for (const [name, way] of ways()) {
        check(/^(firing )?resolved firing$/.test(words(way)), `${name}: ${way.join(", ")}`);
        const starts = way.map((x) => x.split(" ")[0]);
        check(starts.at(-1) > starts.at(-2), `${name} fires in a new episode: ${way.join(", ")}`);
      }
      const m = (await fetchText(`${w.url}/metrics`)).text;
      check(/tocsin_/.test(m), "/metrics answers");
    },
  ],
]);
await w.close();

// SPDX-License-Identifier: Apache-2.0
// The collector is killed and started again under load: the agent replays, every frame is there once,
// and the agent's own death is told apart from ours.

import { World, check, now, run, sleep, until } from "./world.mjs";

const w = new World();
const number = async (e, t) => Number((await w.query(e, t))[0]?.value[1]);

await run([
  [
    "after kill -9 and restart no frame is missing and none is there twice",
    async () => {
      let collector = await w.collector();
      await w.agent();
      await sleep(4000);
      for (let i = 0; i < 3; i++) {
        collector.kill("SIGKILL");
        await collector.gone;
        await sleep(1500);
        collector = await w.collector();
        await until("samples after the restart", async () => (await w.query('up{job="node"} == 1')).length, 15000);
        await sleep(1500);
      }
      await sleep(3000); // backfill is done
      const t = Math.floor(Date.now() / 1000) - 1;
      const rows = (await w.query("tocsin_agent_frame_seq[2m]", t))[0].values.map(([at, v]) => [at, Number(v)]);
      const count = await number("count_over_time(tocsin_agent_frame_seq[2m])", t);
      check(count === rows.length, `count_over_time ${count}, raw ${rows.length}`);
      // By number: a second's frame has the time it was meant for, so an event's may stand behind it.
      const seqs = rows.map((r) => r[1]).sort((a, b) => a - b);
      check(new Set(seqs).size === seqs.length, "a frame is there twice");
      const span = seqs[seqs.length - 1] - seqs[0] + 1;
      check(count === span, `${count} rows for ${span} frames; seq ${seqs.join(" ")}`);
      check(seqs[0] === 1, `the oldest frame the agent held is back: ${seqs[0]}`);
      console.log(`      ${count} rows, seq ${seqs[0]}..${seqs[seqs.length - 1]}`);
    },
  ],
  [
    "nobody was paged about it",
    async () => {
      await sleep(2000);
      check(w.pages(0).length === 0, w.pages(0).join("\n"));
    },
  ],
  [
    "a known agent that does not come back after a restart is paged",
    async () => {
      const agent = [...w.children].find((c) => c.title === "agent");
      const collector = [...w.children].find((c) => c.title === "collector");
      collector.kill("SIGKILL");
      await collector.gone;
      agent.kill("SIGKILL");
      await agent.gone;
      const from = now();
      await w.collector();
      const h = await w.hook((x) => x.path === "/tocsin" && x.body.alerts.some((a) => a.labels.alertname === "AgentDown"), from, 30000);
      check(h, "AgentDown did not come within 30 s");
      console.log(`      after ${((h.at - from) / 1000).toFixed(1)} s`);
    },
  ],
]);
await w.close();

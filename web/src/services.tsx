// SPDX-License-Identifier: Apache-2.0
// Every service the agents found: one row each, worst first.

import { useSubs } from "./use.ts";
import type { Sub } from "./live.ts";
import type { Labels } from "./table.ts";
import { Spark } from "./spark.tsx";
import { value } from "./format.ts";

const WINDOW = 60000;
const by = "by (instance, service, port, path, netns)";
const EXPRS = [
  "tocsin_service_state == 1",
  `sum ${by} (tocsin_service_connections{state="established"})`,
  `sum ${by} (rate(tocsin_service_connections_opened_total[10s]))`,
  `sum ${by} (rate(tocsin_service_received_bytes_total[10s]))`,
  `sum ${by} (rate(tocsin_service_sent_bytes_total[10s]))`,
  `max ${by} (tocsin_service_rtt_seconds)`,
  `max ${by} (tocsin_service_accept_queue_length_max)`,
  `histogram_quantile(0.99, sum ${by} (rate(tocsin_service_request_duration_seconds[10s])))`,
];
const STATES = ["crashed", "stopped", "starting", "up"];
const SHAPES: Record<string, string> = { crashed: "▲", stopped: "▬", starting: "◆", up: "●" };

/** Where it listens: a port, or the path of a UNIX socket; in another network namespace that stands before. */
const place = (l: Labels): string => (l.netns ? `${l.netns} ` : "") + (l.port ?? l.path ?? "");
const serviceKey = (l: Labels): string => `${l.instance} ${l.service} ${place(l)}`;

interface Service {
  labels: Labels;
  state: string;
}

/** The state series that is 1 now names the state; a gap means the agent did not say. */
function services(states: Sub): Service[] {
  const found = new Map<string, Service>();
  for (const c of states.table.columns.values()) {
    if (!Number.isFinite(states.table.last(c))) continue;
    found.set(serviceKey(c.labels), { labels: c.labels, state: c.labels.state });
  }
  return [...found.values()].sort(
    (a, b) =>
      STATES.indexOf(a.state) - STATES.indexOf(b.state) ||
      serviceKey(a.labels).localeCompare(serviceKey(b.labels), "en", { numeric: true }),
  );
}

export function Services(props: { instance?: string }) {
  const subs = useSubs(EXPRS, WINDOW);
  if (!subs) return null;
  const rows = services(subs[0]).filter((s) => !props.instance || s.labels.instance === props.instance);
  const cell = (i: number, l: Labels) => {
    const key = serviceKey(l);
    const t = subs[i].table;
    const c = [...t.columns.values()].find((x) => serviceKey(x.labels) === key);
    return { v: t.last(c), c, t };
  };
  return (
    <section aria-label="Services">
      <h2>Services</h2>
      {rows.length === 0 ? (
        <p class="note">No listening service has been reported yet. Each TCP listener of a host with an agent appears here by itself.</p>
      ) : (
        <div class="scroll">
          <table class="services">
            <thead>
              <tr>
                <th>State</th>
                <th>Service</th>
                <th>Host</th>
                <th class="n">Port or path</th>
                <th class="n">Connections</th>
                <th class="n">New</th>
                <th class="n" title="From the arrival of a request to the first byte of the reply">Latency, p99</th>
                <th class="n">In</th>
                <th class="n">Out</th>
                <th>Out, last minute</th>
                <th class="n">RTT</th>
                <th class="n">Accept queue, peak</th>
              </tr>
            </thead>
            <tbody>
              {rows.map(({ labels: l, state }) => {
                const out = cell(4, l);
                return (
                  <tr key={serviceKey(l)} class={state}>
                    <td class={`state ${state}`}>
                      <span aria-hidden="true">{SHAPES[state] ?? "▒"}</span> {state}
                    </td>
                    <td>
                      <a href={`#/s/${[l.instance, l.service, l.port ?? l.path ?? "", ...(l.netns ? [l.netns] : [])].map(encodeURIComponent).join("/")}`}>{l.service}</a>
                    </td>
                    <td>{l.instance}</td>
                    <td class="n place">{place(l)}</td>
                    <td class="n">{value(cell(1, l).v, "count")}</td>
                    <td class="n">{value(cell(2, l).v, "per second")}</td>
                    <td class="n">{value(cell(7, l).v, "seconds")}</td>
                    <td class="n">{value(cell(3, l).v, "bytes/s")}</td>
                    <td class="n">{value(out.v, "bytes/s")}</td>
                    <td>{out.c ? <Spark times={out.t.times} values={out.c.values} windowMs={WINDOW} version={out.t.version} /> : null}</td>
                    <td class="n">{value(cell(5, l).v, "seconds")}</td>
                    <td class="n">{value(cell(6, l).v, "count")}</td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

// SPDX-License-Identifier: Apache-2.0
// What a host connects to, as its kernel saw it: one row for each destination, those that fail first.

import { useSubs } from "./use.ts";
import type { Labels } from "./table.ts";
import { value } from "./format.ts";

const WINDOW = 60000;
const by = "by (instance, dest, port, netns)";
const EXPRS = [
  `sum ${by} (rate(tocsin_dependency_connections_opened_total[10s]))`,
  `sum ${by} (rate(tocsin_dependency_connect_failures_total[10s]))`,
  `histogram_quantile(0.99, sum ${by} (rate(tocsin_dependency_connect_duration_seconds[1m])))`,
  `histogram_quantile(0.99, sum ${by} (rate(tocsin_dependency_request_duration_seconds[10s])))`,
];

const name = (l: Labels): string => [l.netns, l.dest, l.port].filter(Boolean).join(" ");
const key = (l: Labels): string => `${l.instance} ${name(l)}`;

export function Dependencies(props: { instance: string }) {
  const subs = useSubs(EXPRS, WINDOW);
  if (!subs) return null;
  // One that only ever failed has no opened connections, and the other way round.
  const rows = new Map<string, { labels: Labels; last: number[] }>();
  subs.forEach((s, i) => {
    for (const c of s.table.columns.values()) {
      if (c.labels.instance !== props.instance) continue;
      const row = rows.get(key(c.labels)) ?? { labels: c.labels, last: EXPRS.map(() => NaN) };
      row.last[i] = s.table.last(c);
      rows.set(key(c.labels), row);
    }
  });
  const number = (v: number): number => (Number.isFinite(v) ? v : 0);
  const sorted = [...rows.values()]
    .filter((r) => r.last.some(Number.isFinite))
    .sort(
      (a, b) =>
        number(b.last[1]) - number(a.last[1]) || name(a.labels).localeCompare(name(b.labels), "en", { numeric: true }),
    );
  if (!sorted.length) return null;
  return (
    <section aria-label="Dependencies">
      <h2>Connects to</h2>
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th>Destination</th>
              <th class="n">New</th>
              <th class="n">Failed</th>
              <th class="n">Connect, p99</th>
              <th class="n">Reply, p99</th>
            </tr>
          </thead>
          <tbody>
            {sorted.map(({ labels, last }) => (
              <tr key={key(labels)}>
                <td>{name(labels)}</td>
                <td class="n">{value(last[0], "per second")}</td>
                <td class={last[1] > 0 ? "n state crashed" : "n"}>{value(last[1], "per second")}</td>
                <td class="n">{value(last[2], "seconds")}</td>
                <td class="n">{value(last[3], "seconds")}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

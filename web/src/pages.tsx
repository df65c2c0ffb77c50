// SPDX-License-Identifier: Apache-2.0
// The pages behind the addresses: what is shown, in which order. Only expressions, no data code.

import { state } from "./live.ts";
import { Alerts } from "./alerts.tsx";
import { Dependencies } from "./dependencies.tsx";
import { Services } from "./services.tsx";
import { Chart } from "./chart.tsx";
import { now, useSubs } from "./use.ts";
import { duration, value } from "./format.ts";

const quote = (s: string): string => JSON.stringify(s);
const HOSTS = [
  '1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[10s]))',
  "1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes",
  'sum by (instance) (rate(node_network_receive_bytes_total{device!="lo"}[10s]))',
  'sum by (instance) (rate(node_network_transmit_bytes_total{device!="lo"}[10s]))',
];
const AGENT_SHAPE = { up: "●", suspect: "◆", down: "▲", gone: "▬" };

function Fleet() {
  const subs = useSubs(HOSTS, 60000);
  const agents = state.value?.agents ?? [];
  if (!subs) return null;
  const last = (i: number, host: string) => subs[i].table.last(subs[i].table.find({ instance: host }));
  return (
    <section aria-label="Fleet">
      <h2>Fleet</h2>
      {agents.length === 0 ? <p class="note">No agent has reported yet. Start one: <code>tocsin-agent --collector URL</code></p> : null}
      <div class="fleet">
        {agents.map((a) => (
          <a class={`host ${a.state}`} href={`#/h/${encodeURIComponent(a.host)}`} key={a.host}>
            <strong>
              <span aria-hidden="true">{AGENT_SHAPE[a.state]}</span> {a.host}
            </strong>
            <span class="age" title="Age of the newest data">
              {a.state === "up" ? "" : a.state + ", "}
              {a.last_frame_ms ? duration(Math.max(0, now.value - a.last_frame_ms)) + " ago" : "not heard yet"}
            </span>
            <dl>
              <dt>CPU</dt>
              <dd>{value(last(0, a.host), "percent")}</dd>
              <dt>Memory</dt>
              <dd>{value(last(1, a.host), "percent")}</dd>
              <dt>In</dt>
              <dd>{value(last(2, a.host), "bytes/s")}</dd>
              <dt>Out</dt>
              <dd>{value(last(3, a.host), "bytes/s")}</dd>
            </dl>
            <small>
              {a.series} series{a.refused ? `, ${a.refused} refused` : ""}
            </small>
          </a>
        ))}
      </div>
    </section>
  );
}

function Probes(props: { instance?: string }) {
  const at = props.instance ? `{instance=${quote(props.instance)}}` : "";
  return (
    <Chart
      title="Probe latency"
      unit="seconds"
      lines={[{ expr: `probe_duration_seconds${at}`, name: (l) => l.probe ?? l.target }]}
    />
  );
}

export function Home() {
  return (
    <>
      <Alerts />
      <Fleet />
      <Services />
      <section class="charts" aria-label="Charts">
        <Chart title="CPU in use" unit="percent" lines={[{ expr: HOSTS[0], name: (l) => l.instance }]} />
        <Chart
          title="Established connections"
          unit="count"
          lines={[{ expr: 'sum by (service) (tocsin_service_connections{state="established"})', name: (l) => l.service }]}
        />
        <Chart
          title="Service throughput, sent"
          unit="bytes/s"
          lines={[{ expr: "sum by (service) (rate(tocsin_service_sent_bytes_total[10s]))", name: (l) => l.service }]}
        />
        <Probes />
      </section>
    </>
  );
}

/** place: a port, or the path of a UNIX socket; netns "": the host's own. */
export function ServicePage(props: { instance: string; service: string; place: string; netns: string }) {
  const tcp = /^\d+$/.test(props.place);
  const m = `instance=${quote(props.instance)},service=${quote(props.service)},${tcp ? "port" : "path"}=${quote(props.place)},netns=${quote(props.netns)}`;
  const one = (expr: string, name: string) => ({ expr, name: () => name });
  return (
    <>
      <h1>
        {props.service} <small>{tcp ? "port " : ""}{props.place} on {props.instance}{props.netns ? `, ${props.netns}` : ""}</small>
      </h1>
      <section class="charts" aria-label="Charts">
        <Chart
          title="Request to first byte of the reply"
          unit="seconds"
          lines={[
            one(`histogram_quantile(0.5, rate(tocsin_service_request_duration_seconds{${m}}[5s]))`, "p50"),
            one(`histogram_quantile(0.99, rate(tocsin_service_request_duration_seconds{${m}}[5s]))`, "p99"),
          ]}
        />
        <Chart title="Requests" unit="per second" lines={[one(`rate(tocsin_service_exchanges_total{${m}}[5s])`, "exchanges")]} />
        <Chart title="Connections by state" unit="count" lines={[{ expr: `tocsin_service_connections{${m}}`, name: (l) => l.state }]} />
        <Chart
          title="Throughput"
          unit="bytes/s"
          lines={[
            one(`rate(tocsin_service_received_bytes_total{${m}}[5s])`, "in"),
            one(`rate(tocsin_service_sent_bytes_total{${m}}[5s])`, "out"),
          ]}
        />
        <Chart
          title="Connections opened and closed"
          unit="per second"
          lines={[
            one(`rate(tocsin_service_connections_opened_total{${m}}[5s])`, "opened"),
            { expr: `sum by (how) (rate(tocsin_service_connections_closed_total{${m}}[5s]))`, name: (l) => `closed, ${l.how}` },
          ]}
        />
        <Chart
          title="Accept queue"
          unit="count"
          lines={[
            one(`tocsin_service_accept_queue_length_max{${m}}`, "peak"),
            one(`tocsin_service_accept_queue_limit{${m}}`, "limit"),
          ]}
        />
        <Chart
          title="Round trip time"
          unit="seconds"
          lines={[
            one(`tocsin_service_rtt_seconds{${m}}`, "mean"),
            one(`tocsin_service_rtt_seconds_max{${m}}`, "max"),
          ]}
        />
        <Chart
          title="Retransmitted segments and refused connections"
          unit="per second"
          lines={[
            one(`rate(tocsin_service_segments_retransmitted_total{${m}}[10s])`, "retransmitted"),
            one(`rate(tocsin_service_listen_drops_total{${m}}[10s])`, "dropped at accept"),
          ]}
        />
      </section>
    </>
  );
}

export function HostPage(props: { instance: string }) {
  const m = `instance=${quote(props.instance)}`;
  return (
    <>
      <h1>{props.instance}</h1>
      <Services instance={props.instance} />
      <Dependencies instance={props.instance} />
      <section class="charts" aria-label="Charts">
        <Chart
          title="CPU by mode"
          unit="percent"
          lines={[{ expr: `avg by (mode) (rate(node_cpu_seconds_total{${m},mode!="idle"}[5s]))`, name: (l) => l.mode }]}
        />
        <Chart
          title="Memory"
          unit="bytes"
          lines={[
            { expr: `node_memory_MemTotal_bytes{${m}} - node_memory_MemAvailable_bytes{${m}}`, name: () => "used" },
            { expr: `node_memory_MemTotal_bytes{${m}}`, name: () => "total" },
          ]}
        />
        <Chart
          title="Network"
          unit="bytes/s"
          lines={[
            { expr: `rate(node_network_receive_bytes_total{${m}}[5s])`, name: (l) => `${l.device} in` },
            { expr: `rate(node_network_transmit_bytes_total{${m}}[5s])`, name: (l) => `${l.device} out` },
          ]}
        />
        <Chart
          title="Disk"
          unit="bytes/s"
          lines={[
            { expr: `rate(node_disk_read_bytes_total{${m}}[5s])`, name: (l) => `${l.device} read` },
            { expr: `rate(node_disk_written_bytes_total{${m}}[5s])`, name: (l) => `${l.device} write` },
          ]}
        />
        <Chart
          title="Time lost waiting (pressure)"
          unit="percent"
          lines={[
            { expr: `rate(node_pressure_cpu_waiting_seconds_total{${m}}[5s])`, name: () => "cpu" },
            { expr: `rate(node_pressure_memory_waiting_seconds_total{${m}}[5s])`, name: () => "memory" },
            { expr: `rate(node_pressure_io_waiting_seconds_total{${m}}[5s])`, name: () => "io" },
          ]}
        />
        <Probes instance={props.instance} />
      </section>
    </>
  );
}

// SPDX-License-Identifier: Apache-2.0
// Firing first, then pending, then what was resolved in the last minutes. Every row says how long
// it took from cause to decision: the product's claim, on each alert.

import { useState } from "preact/hooks";
import { state, type Alert } from "./live.ts";
import { now } from "./use.ts";
import { clock, duration } from "./format.ts";
import { AckFacts, AckForm, AckMark } from "./acks.tsx";
import { HeldBack } from "./held.tsx";
import { SilenceForm, Silences, silencedBy, silences } from "./silences.tsx";

const RANK = { firing: 0, pending: 1, resolved: 2 };
export const SHAPE = { firing: "▲", pending: "◆", resolved: "●" };
const ROWS_MAX = 200;
const RESOLVED_MAX = 5; // unless asked for: what is over must not bury what is

export function sortAlerts(list: Alert[]): Alert[] {
  return [...list].sort(
    (a, b) => RANK[a.state] - RANK[b.state] || b.active_at_ms - a.active_at_ms || (a.fingerprint < b.fingerprint ? -1 : 1),
  );
}

function since(a: Alert): number {
  if (a.state === "resolved") return a.resolved_at_ms;
  return a.state === "firing" ? a.starts_at_ms : a.active_at_ms;
}

function Row({ a }: { a: Alert }) {
  const [open, setOpen] = useState(false);
  const [silencing, setSilencing] = useState(false);
  const [acking, setAcking] = useState(false);
  const take = () => {
    setOpen(true);
    setAcking(true);
  };
  const key = (e: KeyboardEvent) => {
    if (e.key !== "a" || e.ctrlKey || e.metaKey || e.altKey || a.state !== "firing" || /^(INPUT|SELECT)$/.test((e.target as Element).tagName)) return;
    e.preventDefault();
    take();
  };
  const silenced = a.state === "firing" && silencedBy(a, silences.value).length > 0;
  const { alertname, severity, ...rest } = a.labels;
  const delay = a.decided_ms - a.cause_ms;
  return (
    <li class={`alert ${a.state}${a.stale ? " stale" : ""}`} onKeyDown={key}>
      <button class="alert-head" aria-expanded={open} onClick={() => setOpen(!open)}>
        <span class="state">
          <span aria-hidden="true">{SHAPE[a.state]}</span> {a.state}
          {a.stale ? " (no data)" : ""}
        </span>
        <span class="name">{alertname}</span>
        {severity ? <span class="severity">{severity}</span> : null}
        <AckMark a={a} />
        {silenced ? <span class="severity">silenced</span> : null}
        <span class="summary">{a.annotations.summary ?? ""}</span>
        <span class="age">{duration(Math.max(0, now.value - since(a)))}</span>
      </button>
      <p class="labels">
        {Object.entries(rest).map(([k, v]) => (
          <code key={k}>
            {k}={v}
          </code>
        ))}
      </p>
      {open ? (
        <dl class="facts">
          <dt>Value</dt>
          <dd>{String(a.value)}</dd>
          <dt>True since</dt>
          <dd>{clock(a.active_at_ms)}</dd>
          {a.starts_at_ms ? (
            <>
              <dt>Firing since</dt>
              <dd>{clock(a.starts_at_ms)}</dd>
            </>
          ) : null}
          {a.state === "firing" ? <HeldBack a={a} /> : null}
          <dt>Sample to decision</dt>
          <dd>{delay >= 0 ? duration(delay) : "–"}</dd>
          {Object.entries(a.annotations).map(([k, v]) => (
            <>
              <dt>{k}</dt>
              <dd>{v}</dd>
            </>
          ))}
          {a.state === "firing" && !acking ? <AckFacts a={a} take={take} /> : null}
          {a.state === "resolved" || silencing ? null : (
            <dd>
              <button onClick={() => setSilencing(true)}>Silence…</button>
            </dd>
          )}
        </dl>
      ) : null}
      {open && acking ? <AckForm a={a} done={() => setAcking(false)} /> : null}
      {open && silencing ? <SilenceForm a={a} done={() => setSilencing(false)} /> : null}
    </li>
  );
}

export function Alerts() {
  const [filter, setFilter] = useState("");
  const [over, setOver] = useState(false);
  const s = state.value;
  if (!s) return <p class="note">Waiting for the collector…</p>;
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const text = (a: Alert) => (a.alertname + " " + Object.values(a.labels).join(" ")).toLowerCase();
  const all = sortAlerts(s.alerts).filter((a) => words.every((w) => text(a).includes(w)));
  const resolved = all.filter((a) => a.state === "resolved").length;
  const more = over || words.length ? 0 : Math.max(0, resolved - RESOLVED_MAX);
  const rows = all.slice(0, all.length - more);
  return (
    <section aria-label="Alerts">
      <h2>
        Alerts
        <input type="search" placeholder="Filter" aria-label="Filter alerts" value={filter} onInput={(e) => setFilter(e.currentTarget.value)} />
      </h2>
      {all.length ? (
        <ul class="alerts">
          {rows.slice(0, ROWS_MAX).map((a) => (
            <Row key={a.fingerprint + a.active_at_ms} a={a} />
          ))}
        </ul>
      ) : (
        <p class="quiet">
          <span aria-hidden="true">●</span> {words.length ? "Nothing matches." : `All quiet. ${s.rules.total} rules are being watched.`}
        </p>
      )}
      {rows.length > ROWS_MAX ? <p class="note">{rows.length - ROWS_MAX} more: narrow the filter.</p> : null}
      {more || over ? (
        <p class="note">
          <button onClick={() => setOver(!over)}>{over ? "Only the newest that are over" : `${more} more that are over`}</button>
        </p>
      ) : null}
      <Silences />
      {s.rules.unhealthy.map((r) => (
        <p class="error" key={r.group + r.name}>
          Rule {r.group}/{r.name} cannot be evaluated: {r.error}
        </p>
      ))}
    </section>
  );
}

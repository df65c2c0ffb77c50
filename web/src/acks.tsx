// SPDX-License-Identifier: Apache-2.0
// Who has taken an alert on: shown in every tab as the collector knows it, set and given back here.

import { useState } from "preact/hooks";
import type { Alert } from "./live.ts";
import { now } from "./use.ts";
import { duration } from "./format.ts";
import { call } from "./silences.tsx";

const HOURS = [0.5, 1, 2, 8, 24];

/** In the alert's head. */
export function AckMark({ a }: { a: Alert }) {
  return a.ack ? <span class="severity ack">{a.ack.owner} has it</span> : null;
}

/** Among the facts of an open alert. */
export function AckFacts({ a, take }: { a: Alert; take: () => void }) {
  const [error, setError] = useState("");
  const back = async () => {
    try {
      await call(`tocsin/acks?fingerprint=${a.fingerprint}`, "DELETE");
      setError("");
    } catch (why) {
      setError((why as Error).message);
    }
  };
  return (
    <>
      {a.ack ? (
        <>
          <dt>Taken on by</dt>
          <dd>
            {a.ack.owner}, for {duration(Math.max(0, a.ack.until_ms - now.value))}
            {a.ack.note ? `: ${a.ack.note}` : ""}
          </dd>
        </>
      ) : null}
      <dd>
        <button title="a" onClick={take}>{a.ack ? "Take over…" : "Acknowledge…"}</button> {a.ack ? <button onClick={back}>Give back</button> : null}
        {error ? <span class="error" role="alert"> {error}</span> : null}
      </dd>
    </>
  );
}

export function AckForm({ a, done }: { a: Alert; done: () => void }) {
  const [hours, setHours] = useState(1);
  const [note, setNote] = useState("");
  const [by, setBy] = useState(localStorage.getItem("tocsin-name") ?? "");
  const [error, setError] = useState("");
  const submit = async (e: Event) => {
    e.preventDefault();
    localStorage.setItem("tocsin-name", by);
    try {
      await call("tocsin/acks", "POST", { fingerprint: a.fingerprint, owner: by, note, for: `${hours * 60}m` });
      done();
    } catch (why) {
      setError((why as Error).message);
    }
  };
  return (
    <form class="silence-form" aria-label="Acknowledge" onSubmit={submit}>
      <p>Nobody is reminded of it meanwhile. That it is over is told; if it still fires when the time is up, it is told again.</p>
      <label>
        For{" "}
        <select value={hours} onChange={(e) => setHours(Number(e.currentTarget.value))}>
          {HOURS.map((h) => (
            <option key={h} value={h}>{duration(h * 3600000)}</option>
          ))}
        </select>
      </label>{" "}
      <label>Note <input value={note} autoFocus onInput={(e) => setNote(e.currentTarget.value)} /></label>{" "}
      <label>Who <input required value={by} onInput={(e) => setBy(e.currentTarget.value)} /></label>{" "}
      <button>Acknowledge</button> <button type="button" onClick={done}>Cancel</button>
      {error ? <p class="error" role="alert">{error}</p> : null}
    </form>
  );
}

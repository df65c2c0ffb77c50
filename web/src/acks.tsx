// SPDX-License-Identifier: Apache-2.0
// Who has taken an alert on: shown in every tab as the collector knows it, set and given back here.

import { useState } from "preact/hooks";
import type { Alert } from "./live.ts";
import { now } from "./use.ts";
import { remaining } from "./format.ts";
import { HoldForm, type Held } from "./hold.tsx";
import { call } from "./silences.tsx";

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
            {a.ack.owner}, for {remaining(a.ack.until_ms - now.value)}
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
  const submit = async ({ hours, text, by }: Held) => {
    await call("tocsin/acks", "POST", { fingerprint: a.fingerprint, owner: by, note: text, for: `${hours * 60}m` });
  };
  return (
    <HoldForm name="Acknowledge" hours={1} text="Note" submit={submit} done={done}>
      <p>Nobody is reminded of it meanwhile. That it is over is told; if it still fires when the time is up, it is told again.</p>
    </HoldForm>
  );
}

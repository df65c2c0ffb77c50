// SPDX-License-Identifier: Apache-2.0
// The form behind acknowledging and silencing: for how long, why, and who. The name is remembered.

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { remaining } from "./format.ts";

const HOURS = [0.5, 1, 2, 8, 24];

export interface Held {
  hours: number;
  text: string;
  by: string;
}

export function HoldForm(props: {
  name: string; // of the form and its button
  hours: number; // chosen at first
  text: string; // what the text is called
  required?: boolean; // it has to be given
  disabled?: boolean;
  submit: (held: Held) => Promise<void>; // throws what people are told
  done: () => void;
  children: ComponentChildren; // what it will do
}) {
  const [hours, setHours] = useState(props.hours);
  const [text, setText] = useState("");
  const [by, setBy] = useState(localStorage.getItem("tocsin-name") ?? "");
  const [error, setError] = useState("");
  const submit = async (e: Event) => {
    e.preventDefault();
    localStorage.setItem("tocsin-name", by);
    try {
      await props.submit({ hours, text, by });
      props.done();
    } catch (why) {
      setError((why as Error).message);
    }
  };
  return (
    <form class="hold" aria-label={props.name} onSubmit={submit}>
      {props.children}
      <label>
        For{" "}
        <select value={hours} onChange={(e) => setHours(Number(e.currentTarget.value))}>
          {HOURS.map((h) => (
            <option key={h} value={h}>{remaining(h * 3600000)}</option>
          ))}
        </select>
      </label>{" "}
      <label>{props.text} <input required={props.required} value={text} autoFocus onInput={(e) => setText(e.currentTarget.value)} /></label>{" "}
      <label>Who <input required value={by} onInput={(e) => setBy(e.currentTarget.value)} /></label>{" "}
      <button disabled={props.disabled}>{props.name}</button> <button type="button" onClick={props.done}>Cancel</button>
      {error ? <p class="error" role="alert">{error}</p> : null}
    </form>
  );
}

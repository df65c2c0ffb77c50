// SPDX-License-Identifier: Apache-2.0

import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import "uplot/dist/uPlot.min.css";
import "./style.css";
import { connected, hello, serverMs, start, state } from "./live.ts";
import { paused } from "./chart.tsx";
import { now } from "./use.ts";
import { theme, toggle } from "./theme.ts";
import { Home, HostPage, ServicePage } from "./pages.tsx";
import { duration } from "./format.ts";

function Header() {
  const s = state.value;
  const count = (k: string) => s?.alerts.filter((a) => a.state === k).length ?? 0;
  const firing = count("firing");
  const pending = count("pending");
  const age = serverMs.value ? now.value - serverMs.value : NaN;
  useEffect(() => {
    document.title = firing ? `▲ ${firing} firing · Tocsin` : "Tocsin";
  }, [firing]);
  return (
    <header>
      <a class="brand" href="#/">Tocsin</a>
      <span class={`count firing${firing ? " on" : ""}`}>
        <span aria-hidden="true">▲</span> {firing} firing
      </span>
      <span class={`count pending${pending ? " on" : ""}`}>
        <span aria-hidden="true">◆</span> {pending} pending
      </span>
      <span class="spring" />
      <span class={`link${connected.value && age < 3000 ? "" : " bad"}`} title="Age of the newest message from the collector">
        {connected.value ? `live, ${duration(Math.max(0, Math.round(age / 250) * 250))}` : "reconnecting…"}
      </span>
      <button onClick={() => (paused.value = !paused.value)} aria-pressed={paused.value} title="Space">
        {paused.value ? "Resume" : "Pause"}
      </button>
      <button onClick={toggle}>{theme.value === "dark" ? "Light" : "Dark"}</button>
    </header>
  );
}

/** Read out to a screen reader at most every five seconds. */
function Announce() {
  const [text, set] = useState("");
  useEffect(() => {
    const t = setInterval(() => {
      const firing = state.value?.alerts.filter((a) => a.state === "firing") ?? [];
      set(firing.length ? `${firing.length} alerts firing: ${[...new Set(firing.map((a) => a.alertname))].join(", ")}` : "No alert is firing");
    }, 5000);
    return () => clearInterval(t);
  }, []);
  return <p class="sr" aria-live="polite">{text}</p>;
}

function route(hash: string) {
  const [, kind, ...rest] = hash.replace(/^#/, "").split("/");
  const arg = rest.map(decodeURIComponent);
  if (kind === "s" && (arg.length === 3 || arg.length === 4)) return <ServicePage instance={arg[0]} service={arg[1]} place={arg[2]} netns={arg[3] ?? ""} />;
  if (kind === "h" && arg.length === 1) return <HostPage instance={arg[0]} />;
  return <Home />;
}

function App() {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const changed = () => {
      setHash(location.hash);
      scrollTo(0, 0);
    };
    const key = (e: KeyboardEvent) => {
      if (e.code !== "Space" || /^(INPUT|BUTTON|A|SUMMARY)$/.test((e.target as Element).tagName)) return;
      e.preventDefault();
      paused.value = !paused.value;
    };
    addEventListener("hashchange", changed);
    addEventListener("keydown", key);
    return () => {
      removeEventListener("hashchange", changed);
      removeEventListener("keydown", key);
    };
  }, []);
  return (
    <>
      <Header />
      {state.value?.banner ? <p class="banner" role="alert">{state.value.banner}</p> : null}
      {!connected.value && serverMs.value ? <p class="banner" role="alert">No connection to the collector: what is shown is {duration(now.value - serverMs.value)} old.</p> : null}
      <main key={hash}>{route(hash)}</main>
      <footer>{hello.value ? `Tocsin ${hello.value.version} on ${hello.value.instance}` : ""}</footer>
      <Announce />
    </>
  );
}

const root = document.getElementById("app")!;
root.textContent = "";
render(<App />, root);
start();

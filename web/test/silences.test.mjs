// SPDX-License-Identifier: Apache-2.0
import test from "node:test";
import assert from "node:assert/strict";

// What a browser has and these modules look at when they are loaded.
globalThis.localStorage ??= { getItem: () => null, setItem: () => {} };
globalThis.location ??= { protocol: "http:", host: "localhost", hash: "" };
globalThis.matchMedia ??= () => ({ matches: false, addEventListener() {} });
globalThis.document ??= { documentElement: { dataset: {}, style: {} }, addEventListener() {} };
const setInterval_ = globalThis.setInterval;
globalThis.setInterval = (...a) => setInterval_(...a).unref();
const { load } = await import("./load.mjs");
const { matches, matcherText, silencedBy } = await load("../src/silences.tsx");

const m = (name, value, isRegex = false, isEqual = true) => ({ name, value, isRegex, isEqual });

test("a matcher holds as the collector's does", () => {
  assert.ok(matches(m("a", "b"), { a: "b" }));
  assert.ok(!matches(m("a", "b"), { a: "bc" }));
  assert.ok(matches(m("a", "b|c", true), { a: "c" }));
  assert.ok(!matches(m("a", "b|c", true), { a: "bc" }), "anchored as a whole");
  assert.ok(matches(m("a", "b", false, false), {}), "a missing label is empty");
  assert.ok(matches(m("a", ""), {}));
  assert.ok(matches(m("a", "x.y", true), { a: "x\ny" }), "a dot takes a newline");
  assert.ok(!matches(m("a", "(?i)b", true), { a: "b" }), "what the browser cannot read mutes nothing");
});

test("a matcher reads as people write it", () => {
  assert.equal(matcherText(m("a", "b")), 'a="b"');
  assert.equal(matcherText(m("a", "b", true, false)), 'a!~"b"');
  assert.equal(matcherText(m("a", "b", false, false)), 'a!="b"');
});

test("only active silences whose matchers all hold", () => {
  const alert = { labels: { alertname: "Hot", zone: "eu" } };
  const s = (state, ...matchers) => ({ status: { state }, matchers });
  assert.equal(silencedBy(alert, [s("active", m("alertname", "Hot"), m("zone", "eu"))]).length, 1);
  assert.equal(silencedBy(alert, [s("active", m("alertname", "Hot"), m("zone", "us"))]).length, 0);
  assert.equal(silencedBy(alert, [s("expired", m("alertname", "Hot")), s("pending", m("alertname", "Hot"))]).length, 0);
});

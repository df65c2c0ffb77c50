// SPDX-License-Identifier: Apache-2.0
import test from "node:test";
import assert from "node:assert/strict";
import { load } from "./load.mjs";

const { value, duration, remaining } = await load("../src/format.ts");

test("three digits and a unit", () => {
  assert.equal(value(0, "bytes/s"), "0 B/s");
  assert.equal(value(1536, "bytes/s"), "1.50 KiB/s");
  assert.equal(value(0.123, "percent"), "12 %");
  assert.equal(value(0.00024, "seconds"), "240 µs");
  assert.equal(value(NaN, "count"), "–");
  assert.equal(value(123456, "count"), "123k");
});

test("durations", () => {
  assert.equal(duration(0), "0 ms");
  assert.equal(duration(12.34), "12.3 ms");
  assert.equal(duration(4200), "4.20 s");
  assert.equal(duration(185000), "3 min");
  assert.equal(duration(-1500), "-1.50 s");
});

test("what is left is never said to be less", () => {
  assert.equal(remaining(7200000), "2 h");
  assert.equal(remaining(7199000), "2 h");
  assert.equal(remaining(7140000), "1 h 59 min");
  assert.equal(remaining(3599000), "1 h");
  assert.equal(remaining(61000), "2 min");
  assert.equal(remaining(-5), "0 min");
  assert.equal(remaining(90000000), "1 d 1 h");
});

// SPDX-License-Identifier: Apache-2.0
import test from "node:test";
import assert from "node:assert/strict";
import { load } from "./load.mjs";

const { Table } = await load("../src/table.ts");
const points = (times, cols) => ({
  times: Float64Array.from(times),
  ids: Uint32Array.from(Object.keys(cols).map(Number)),
  values: Float64Array.from(Object.values(cols).flat()),
});

test("rows append, and a row that is not newer changes nothing", () => {
  const t = new Table(60000);
  t.setSeries([{ id: 1, labels: { a: "x" } }]);
  t.add(points([1000, 2000], { 1: [10, 20] }), true);
  t.add(points([2000, 3000], { 1: [99, 30] }), false);
  assert.deepEqual(t.times, [1000, 2000, 3000]);
  assert.deepEqual(t.columns.get(1).values, [10, 20, 30]);
});

test("a series that comes later starts with gaps, one that is silent gets a gap", () => {
  const t = new Table(60000);
  t.setSeries([{ id: 1, labels: {} }]);
  t.add(points([1000, 2000], { 1: [1, 2] }), true);
  t.setSeries([
    { id: 1, labels: {} },
    { id: 2, labels: {} },
  ]);
  t.add(points([3000], { 2: [5] }), false);
  assert.deepEqual(t.columns.get(2).values, [NaN, NaN, 5]);
  assert.deepEqual(t.columns.get(1).values, [1, 2, NaN]);
});

test("a snapshot replaces what was there", () => {
  const t = new Table(60000);
  t.setSeries([{ id: 1, labels: {} }]);
  t.add(points([5000], { 1: [5] }), true);
  t.add(points([1000, 2000], { 1: [1, 2] }), true);
  assert.deepEqual(t.times, [1000, 2000]);
  assert.deepEqual(t.columns.get(1).values, [1, 2]);
});

test("memory is bounded by the window", () => {
  const t = new Table(10000);
  t.setSeries([{ id: 1, labels: {} }]);
  for (let i = 0; i < 5000; i++) t.add(points([i * 100], { 1: [i] }), false);
  assert.ok(t.times.length < 300, `${t.times.length} rows`);
  assert.equal(t.times.length, t.columns.get(1).values.length);
  assert.equal(t.newest(), 499900);
});

test("find wants all labels given", () => {
  const t = new Table(1000);
  t.setSeries([
    { id: 1, labels: { host: "a", port: "1" } },
    { id: 2, labels: { host: "a", port: "2" } },
  ]);
  assert.equal(t.find({ host: "a", port: "2" }).id, 2);
  assert.equal(t.find({ host: "b" }), undefined);
});

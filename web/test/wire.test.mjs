// SPDX-License-Identifier: Apache-2.0
import test from "node:test";
import assert from "node:assert/strict";
import { load } from "./load.mjs";

const { decodeHead, decodePoints } = await load("../src/wire.ts");

function message(rows, columns, cut = 0) {
  const size = 16 + 8 + rows * 8 + columns * 4 + rows * columns * 8;
  const b = new ArrayBuffer(size);
  const v = new DataView(b);
  v.setUint8(0, 3);
  v.setUint8(1, 1);
  v.setUint16(2, 513, true);
  v.setUint32(4, 70000, true);
  v.setFloat64(8, 1.5e12, true);
  v.setUint32(16, rows, true);
  v.setUint32(20, columns, true);
  let at = 24;
  for (let r = 0; r < rows; r++, at += 8) v.setFloat64(at, 1000 * (r + 1), true);
  for (let c = 0; c < columns; c++, at += 4) v.setUint32(at, c + 7, true);
  for (let i = 0; i < rows * columns; i++, at += 8) v.setFloat64(at, i, true);
  return b.slice(0, size - cut);
}

test("the header is read little-endian", () => {
  assert.deepEqual(decodeHead(message(0, 0)), { type: 3, snapshot: true, sub: 513, seq: 70000, serverMs: 1.5e12 });
  assert.equal(decodeHead(new ArrayBuffer(15)), null);
});

test("columns come out whole, whatever the alignment", () => {
  for (const columns of [1, 2, 3]) {
    const p = decodePoints(message(2, columns));
    assert.deepEqual([...p.times], [1000, 2000]);
    assert.deepEqual([...p.ids], Array.from({ length: columns }, (_, i) => i + 7));
    assert.deepEqual([...p.values], Array.from({ length: 2 * columns }, (_, i) => i));
  }
});

test("a message cut anywhere is refused", () => {
  const size = message(3, 2).byteLength;
  for (let cut = 1; cut <= size - 16; cut++) assert.equal(decodePoints(message(3, 2, cut)), null);
});

test("sizes that do not add up are refused", () => {
  const b = message(1, 1);
  new DataView(b).setUint32(16, 0xffffffff, true);
  assert.equal(decodePoints(b), null);
});

// The benchmarks over HTTP, as small as they can be, so that they do not rot.

import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

import { ROOT } from '../harness/server.mjs';

test('make bench-limit: every kind of load is answered by the product and by the peer in JavaScript', { timeout: 120_000 }, async (t) => {
  if (spawnSync('wrk', ['--version']).error) {
    t.skip('wrk is not installed (on Debian the package wrk)');
    return;
  }
  const { stdout } = await promisify(execFile)(process.execPath, [
    join(ROOT, 'scripts/bench/ingest/ingest.mjs'), '--rounds', '1', '--seconds', '1', '--batches', '1,100', '--users', 'new,known',
    '--connections', '8', '--sides', 'ours,js',
  ]);
  const rows = stdout.split('\n').filter((line) => /^\| \d/.test(line)).map((line) => line.split('|').map((cell) => cell.trim()));
  assert.deepEqual(rows.map(([, batch, users, connections]) => [batch, users, connections]), [
    ['1', 'new', '8'], ['1', 'known', '8'], ['100', 'new', '8'], ['100', 'known', '8'],
  ]);
  for (const [, , , , ours, js, ratio] of rows) {
    for (const rate of [ours, js]) assert.ok(Number(rate.replaceAll(',', '')) > 0, `${ours} ${js}`);
    assert.match(ratio, /^\d+ %$/);
  }
});

test('make bench-midnight: every shard closes its day at midnight, beside live traffic', { timeout: 120_000 }, async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [
    join(ROOT, 'scripts/bench/midnight.mjs'), '--namespaces', '4', '--midnights', '1', '--speed', '2400', '--rate', '20',
  ]);
  const [row] = stdout.split('\n').filter((line) => /^│ \d/.test(line)).map((line) => line.split('│').map((cell) => cell.trim()));
  const [, midnight, closed, ...numbers] = row;
  assert.deepEqual([midnight, closed], ['2026-11-29', '16']);
  for (const number of numbers.slice(0, -1).flatMap((cell) => cell.replaceAll(',', '').split(' / '))) assert.ok(Number(number) > 0, row.join());
});

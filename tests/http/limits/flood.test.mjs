// The floods of `make flood`, smaller: it checks everything itself.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

import { ROOT } from '../harness/server.mjs';

test('floods: refusals are clear, what was accepted stays, memory stays below its ceiling', { timeout: 120_000 }, async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [join(ROOT, 'scripts/bench/flood.mjs'), '--scale', '0.05']);
  for (const expected of ['507 events_full', '413 body_too_large', '× 204', 'Resident memory']) assert.ok(stdout.includes(expected), expected);
});

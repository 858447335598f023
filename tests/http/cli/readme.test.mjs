// The README's curl session works when pasted. Its blocks are marked: `<!-- test -->` before a ```sh block that is
// run, `<!-- output -->` before a ```json block that shows what the block before it prints.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';

import { ROOT, serve } from '../harness/server.mjs';

const SHOWN_URL = 'http://127.0.0.1:8787';
const run = promisify(execFile);

/** The marked blocks, in order, each with the output that is shown for it, if any. */
function sessions(markdown) {
  const blocks = [];
  const marked = /^<!-- (test|output) -->\n+```(\w+)\n([\s\S]*?)^```$/gm;
  for (const [, mark, language, text] of markdown.matchAll(marked)) {
    assert.equal(language, mark === 'test' ? 'sh' : 'json', text);
    if (mark === 'test') blocks.push({ script: text, output: undefined });
    else blocks.at(-1).output = text;
  }
  const marks = markdown.match(/^<!-- (test|output) -->/gm) ?? [];
  const outputs = blocks.filter(({ output }) => output !== undefined);
  assert.equal(marks.length, blocks.length + outputs.length, 'every mark stands before a block');
  return blocks;
}

test('the session of the README works when pasted', { timeout: 60_000 }, async () => {
  const blocks = sessions(readFileSync(join(ROOT, 'README.md'), 'utf8'));
  assert.ok(blocks.length > 0, 'the README has no <!-- test --> block');
  assert.ok(blocks.some(({ output }) => output !== undefined), 'the README shows no <!-- output -->');
  const server = await serve({ after });
  const url = server.url.toString().replace(/\/$/, '');
  for (const { script, output } of blocks) {
    assert.ok(script.includes(SHOWN_URL), `this block does not use ${SHOWN_URL}:\n${script}`);
    const { stdout } = await run('sh', ['-eu', '-c', script.replaceAll(SHOWN_URL, url)], { cwd: ROOT, timeout: 30_000 });
    if (output === undefined) {
      assert.ok(!stdout.includes('"error"'), `${script}\n${stdout}`);
    } else {
      assert.deepEqual(JSON.parse(stdout), JSON.parse(output), script);
    }
  }
});

test('marks are found, and only before blocks', () => {
  const fence = '```';
  const shown = `<!-- output -->\n${fence}json\n{}\n${fence}\n`;
  const found = sessions(`<!-- test -->\n${fence}sh\ncurl a\n${fence}\n${shown}${fence}sh\nno\n${fence}\n`);
  assert.deepEqual(found, [{ script: 'curl a\n', output: '{}\n' }]);
  assert.throws(() => sessions('<!-- test -->\nno block\n'));
});

// Names that people can see and tell apart, and texts as editors and spreadsheets write them.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, test } from 'node:test';
import { gzipSync } from 'node:zlib';

import { databases } from '../harness/damage.mjs';
import { did } from '../harness/limits.mjs';
import { serve } from '../harness/server.mjs';

const server = await serve({ after });
const headers = { 'content-type': 'application/json' };
const base64 = (text) => encodeURIComponent(Buffer.from(text).toString('base64'));

const BLANK = [' ', '   ', '\u00a0', '\u2003\u2009', '\u3000', '\u2028', '\u1680', '\u200b', '\ufeff', '\u2060', '\u00ad', '\u200d\u200c', ' \u200b ', '\u180e',
  '\u3164', '\uffa0', '\u115f', '\u2800', '\ufe0f', '\u{e0041}', '\u061c', '\u034f', '\u202e'];
const VISIBLE = ['.', '0', ' a ', '\u200bA', 'A\ufeff', '👩\u200d💻', '❤\ufe0f', '\u0301', 'ſ', '購'];

test('a name that nobody can see is refused wherever one is given', async () => {
  for (const name of BLANK) {
    const shown = JSON.stringify(name);
    for (const field of ['event_name', 'namespace']) {
      const bad = { ...did('A', 'u', { namespace: 'unseen' }), [field]: name };
      assert.equal((await server.post('/v0/analytics', bad)).refused(400, 'field_invalid').field, field, shown);
      const { index, field: place } = (await server.post('/v0/analytics', [did('A', 'u', { namespace: 'unseen' }), bad])).refused(400, 'field_invalid');
      assert.deepEqual([index, place], [1, field], shown);
    }
    for (const field of ['goal_name', 'namespace']) {
      const answer = await server.post('/v0/goals', { goal_name: 'G', namespace: 'unseen', [field]: name });
      assert.equal(answer.refused(400, 'field_invalid').field, field, shown);
    }
    assert.equal((await server.post('/v0/featureSpecs', { name, boolean: true })).refused(400, 'field_invalid').field, 'name', shown);
    assert.equal((await server.request('DELETE', `/v0/featureSpecs/${encodeURIComponent(name)}`)).refused(400, 'parameter_invalid').field, 'name');
    for (const context of [{ feature: name }, { feature: 'F', namespace: name }]) {
      const path = `/v0/features?user_obj=${base64('{"user_id":"u"}')}&context_obj=${base64(JSON.stringify(context))}`;
      assert.equal((await server.get(path)).refused(400, 'field_invalid').field, Object.keys(context).at(-1), shown);
    }
    const given = encodeURIComponent(name);
    for (const path of ['/v0/analytics', '/v0/goals', '/v0/predictions', '/v0/status', '/metrics/counters', '/metrics/predictions', '/metrics']) {
      assert.equal((await server.get(`${path}?namespace=${given}`)).refused(400, 'parameter_invalid').field, 'namespace', `${path} ${shown}`);
    }
    assert.equal((await server.get(`/v0/predictions?event=${given}`)).refused(400, 'parameter_invalid').field, 'event');
    assert.equal((await server.get(`/v0/nudges?goal=${given}&user_id=u`)).refused(400, 'parameter_invalid').field, 'goal');
  }
  assert.deepEqual((await server.get('/v0/namespaces')).json(), { namespaces: ['default'] });
  assert.deepEqual((await server.get('/v0/featureSpecs')).json(), { featureSpecs: [] });
});

test('a name with anything to see is taken as it is, and told from every other', async () => {
  for (const name of VISIBLE) {
    await server.ingest(did(name, name, { namespace: 'seen' }));
    await server.goal(name, name);
    (await server.post('/v0/featureSpecs', { name })).expect(204);
    // No path can name `.`.
    if (name !== '.') (await server.request('DELETE', `/v0/featureSpecs/${encodeURIComponent(name)}`)).expect(204);
  }
  const { counts } = await server.analytics('seen');
  assert.deepEqual(new Set(counts.map(({ name }) => name)), new Set(VISIBLE));
  // User ids are nobody's to read, and stay what they are.
  await server.ingest(did('A', ' ', { namespace: 'ids' }));
});

// As earlier versions may have stored them.
const RENAME = `
import sqlite3, sys
for path in sys.argv[1:]:
    with sqlite3.connect(path) as database:
        if database.execute("SELECT 1 FROM sqlite_master WHERE name = 'flag'").fetchone():
            database.execute("UPDATE flag SET name = ' ', spec = replace(spec, 'old', ' ')")
            database.execute("UPDATE namespace SET name = char(8203) WHERE name = 'old'")
            print(database.execute("SELECT count(*) FROM namespace WHERE name = char(8203)").fetchone())
`;

test('a blank name that an earlier version has stored is read and can be removed, and takes nothing new', async (t) => {
  const own = await serve(t);
  await own.ingest(did('A', 'u', { namespace: 'old' }));
  (await own.post('/v0/featureSpecs', { name: 'old', boolean: true })).expect(204);
  await own.stop();
  assert.equal(execFileSync('python3', ['-c', RENAME, ...databases(own.stateDir)], { encoding: 'utf8' }).trim(), '(1,)');
  await own.start();

  assert.deepEqual((await own.get('/v0/namespaces')).json(), { namespaces: ['default', '\u200b'] });
  for (const path of ['/v0/analytics', '/v0/goals', '/v0/predictions', '/v0/status', '/metrics/counters', '/metrics']) {
    (await own.get(`${path}?namespace=%E2%80%8B`)).expect(200);
  }
  (await own.post('/v0/analytics', did('A', 'u', { namespace: '\u200b' }))).refused(400, 'field_invalid');
  assert.deepEqual((await own.get('/v0/featureSpecs')).json().featureSpecs, [{ name: ' ', boolean: true, user: [] }]);
  assert.deepEqual((await own.get('/v0/features')).json(), { features: { ' ': true } });
  (await own.post('/v0/featureSpecs', { name: ' ' })).refused(400, 'field_invalid');
  (await own.request('DELETE', '/v0/featureSpecs/%20')).expect(204);
  (await own.request('DELETE', '/v0/featureSpecs/%20')).refused(400, 'parameter_invalid');
});

test('the composed and the decomposed spelling of a name are two names', async () => {
  const spellings = ['Café'.normalize('NFC'), 'Café'.normalize('NFD')];
  for (const name of spellings) await server.ingest(did(name, 'u', { namespace: 'spellings' }));
  const { counts, users } = await server.analytics('spellings');
  assert.deepEqual(counts.map(({ name, count }) => [name, count]).sort(), spellings.map((name) => [name, 1]).sort());
  assert.equal(users, 1);
});

test('a byte-order mark before the JSON of a body is skipped', async () => {
  const mark = Buffer.from([0xef, 0xbb, 0xbf]);
  const marked = (text) => Buffer.concat([mark, Buffer.from(text)]);
  const send = (path, body, more) => server.request('POST', path, { body, headers: { ...headers, ...more } });
  const event = (name) => `{"event_name":"${name}","user_id":"u","namespace":"marked"}`;
  (await send('/v0/analytics', marked(event('one')))).expect(204);
  (await send('/v0/analytics', marked(`[${event('listed')}]`))).expect(204);
  (await send('/v0/analytics', marked(` \r\n{"events":[${event('batched')}]}`))).expect(204);
  (await send('/v0/analytics', gzipSync(marked(event('zipped'))), { 'content-encoding': 'gzip' })).expect(204);
  (await send('/v0/goals', marked('{"goal_name":"goal","namespace":"marked"}'))).expect(204);
  (await send('/v0/featureSpecs', marked('{"name":"marked","boolean":true}'))).expect(204);
  const flags = (await server.get(`/v0/features?user_obj=${base64(marked('{"user_id":"v"}'))}&context_obj=${base64(marked('{}'))}`)).expect(200).json();
  assert.equal(flags.features.marked, true);
  const { counts } = await server.analytics('marked');
  assert.deepEqual(counts.map(({ name }) => name), ['batched', 'goal', 'listed', 'one', 'zipped']);

  for (const path of ['/v0/analytics', '/v0/goals', '/v0/featureSpecs']) {
    (await send(path, mark)).refused(400, 'body_empty');
    (await send(path, marked('\ufeff{}'))).refused(400, 'json_invalid');
    (await send(path, mark.subarray(0, 2))).refused(400, 'body_not_utf8');
  }
});

test('a body of UTF-16 or UTF-32 is told so', async () => {
  const text = '{"event_name":"A","user_id":"u"}';
  const le = Buffer.from(text, 'utf16le');
  const be = Buffer.from(le).swap16();
  const wide = Buffer.from(Array.from(text, (c) => [c.charCodeAt(0), 0, 0, 0]).flat());
  const bodies = [le, be, wide, Buffer.from(wide).reverse(), Buffer.from(`\ufeff${text}`, 'utf16le'), Buffer.from(`\ufeff${text}`, 'utf16le').swap16()];
  for (const path of ['/v0/analytics', '/v0/goals', '/v0/featureSpecs']) {
    for (const body of bodies) {
      assert.match((await server.request('POST', path, { body, headers })).refused(400, 'body_not_utf8').what, /UTF-16/);
    }
  }
  (await server.get(`/v0/features?user_obj=${encodeURIComponent(le.toString('base64'))}`)).refused(400, 'parameter_invalid');
});

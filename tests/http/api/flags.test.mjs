// Feature flags: what a spec may be, how it is shown, and for whom it is on. The draws of rollouts are compared with
// an implementation of their own (harness/flags.mjs).

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { until } from '../harness/deadline.mjs';
import { draw, each, features, murmur3, parameter, rfc3339, seconds, threshold } from '../harness/flags.mjs';
import { limited } from '../harness/limits.mjs';
import { byBytes } from '../harness/model.mjs';
import { serve } from '../harness/server.mjs';

const server = await serve({ after });
const USERS = Array.from({ length: 2_000 }, (_, i) => `user-${i}`);
const HOUR = 3_600;

const raw = (body, on = server) => on.request('POST', '/v0/featureSpecs', { body, headers: { 'content-type': 'application/json' } });
async function put(spec, on = server) {
  assert.equal((await on.post('/v0/featureSpecs', spec)).expect(204).text, '');
}
/** The specs that are stored, by name. */
async function specs(on = server) {
  const body = (await on.get('/v0/featureSpecs')).expect(200).json();
  assert.deepEqual(Object.keys(body), ['featureSpecs']);
  return new Map(body.featureSpecs.map((spec) => [spec.name, spec]));
}
const condition = (property, comparator, value) => ({ property, comparator, value });
const isOn = async (name, user, on = server) => (await features(on, user))[name];

test('the harness draws the published vectors', () => {
  const vectors = { 'user-123': 815402926, 'user-999': 1927455488, alice: 660117157, bob: 2633637224, üser: 3008263426 };
  for (const [user, expected] of Object.entries(vectors)) assert.equal(draw('new-checkout', user), expected, user);
  assert.equal(murmur3(Buffer.from('')), 0);
  assert.equal(murmur3(Buffer.from('hello')), 0x248bfa47);
});

test('without flags there are none', async (t) => {
  const fresh = await serve(t);
  assert.deepEqual((await fresh.get('/v0/featureSpecs')).expect(200).json(), { featureSpecs: [] });
  assert.deepEqual((await fresh.get('/v0/features')).expect(200).json(), { features: {} });
});

test('specs are shown as they were posted, `boolean` and `user` always, times in UTC and whole seconds', async (t) => {
  const fresh = await serve(t);
  const off = { boolean: false, user: [] };
  const names = ['zebra', 'Apple', 'épée', 'a/b "quoted" \\', '購入 👍', '__proto__', 'constructor'];
  const forms = [
    [{}, {}],
    [{ boolean: true }, { boolean: true }],
    [{ boolean: false, user: [condition('plan', '=', 'pro'), condition('id', 'in', [1, 2])] },
      { boolean: false, user: [condition('plan', '=', 'pro'), condition('id', 'in', [1, 2])] }],
    [{ rollout_start: '2022-01-01T01:00:00.75+01:00', rollout_end: '2023-01-01T00:00:00Z' },
      { rollout_start: '2022-01-01T00:00:00Z', rollout_end: '2023-01-01T00:00:00Z' }],
    [{ boolean: null, rollout_start: null, rollout_end: null, user: null }, {}],
    [{ unknown: { boolean: 1 }, boolean: true, user: [{ ...condition('a', 'in', []), extra: [] }] },
      { boolean: true, user: [condition('a', 'in', [])] }],
    [{ user: [condition('n', '=', -7), condition('s', 'in', ['', 'ü', ' '])] }, { user: [condition('n', '=', -7), condition('s', 'in', ['', 'ü', ' '])] }],
  ];
  for (const [i, [posted]] of forms.entries()) await put({ name: names[i], ...posted }, fresh);
  const read = await specs(fresh);
  for (const [i, [, shown]] of forms.entries()) assert.deepEqual(read.get(names[i]), { name: names[i], ...off, ...shown });
  assert.deepEqual([...read.keys()], [...names].sort(byBytes));
  const text = (await fresh.get('/v0/features')).expect(200).text;
  const shown = [...text.matchAll(/"((?:[^"\\]|\\.)*)":(?:true|false)/g)].map(([, name]) => JSON.parse(`"${name}"`));
  assert.deepEqual(shown, [...names].sort(byBytes), 'features are listed by name');

  await fresh.restart({ signal: 'SIGKILL' });
  assert.deepEqual([...await specs(fresh)], [...read], 'a restart keeps them');
});

test('a spec replaces the flag of its name whole', async () => {
  await put({ name: 'replaced', boolean: true, user: [condition('a', '=', 1)], rollout_start: '2001-01-01T00:00:00Z', rollout_end: '2002-01-01T00:00:00Z' });
  await put({ name: 'replaced', user: [condition('b', '=', 2)] });
  assert.deepEqual((await specs()).get('replaced'), { name: 'replaced', boolean: false, user: [condition('b', '=', 2)] });
  assert.equal(await isOn('replaced', { user_id: 'u', a: 1 }), false);
  assert.equal(await isOn('replaced', { user_id: 'u', b: 2 }), true);
});

test('a spec that is read and posted back is the same flag', async (t) => {
  const fresh = await serve(t);
  const hour = 3_600;
  const forms = [{}, { boolean: true }, { boolean: false }, { user: [condition('plan', '=', 'pro')] },
    { rollout_start: rfc3339(seconds() - hour), rollout_end: rfc3339(seconds() + hour) },
    { rollout_start: rfc3339(seconds() + hour), rollout_end: rfc3339(seconds() + 2 * hour), user: [condition('n', 'in', [1, 2])] }];
  for (const [i, form] of forms.entries()) await put({ name: `f${i}`, ...form }, fresh);
  // This one goes on from what it had reached, which must not be reached anew.
  await put({ name: 'f4', rollout_end: rfc3339(seconds() + 3 * hour) }, fresh);
  const before = await specs(fresh);
  assert.ok(before.get('f4').rollout_reached);
  const { bytes } = (await fresh.get('/v0/status')).json().flags;
  for (const spec of before.values()) await put(spec, fresh);
  assert.deepEqual([...await specs(fresh)], [...before]);
  assert.equal((await fresh.get('/v0/status')).json().flags.bytes, bytes, 'what it takes of FLAGS_BYTES_MAX stays');
});

test('a write is seen at once', async () => {
  for (let i = 0; i < 30; i += 1) {
    const boolean = i % 2 === 0;
    await put({ name: 'toggled', boolean });
    const answers = await Promise.all([isOn('toggled'), isOn('toggled', { user_id: 'u' }), specs()]);
    assert.deepEqual([answers[0], answers[1], answers[2].get('toggled').boolean], [boolean, boolean, boolean], `write ${i}`);
  }
});

test('boolean, conditions and rollout: any that holds turns a flag on', async () => {
  const past = { rollout_start: '2001-01-01T00:00:00Z', rollout_end: '2002-01-01T00:00:00Z' };
  const future = { rollout_start: '2101-01-01T00:00:00Z', rollout_end: '2102-01-01T00:00:00Z' };
  const [pro, staff] = [condition('plan', '=', 'pro'), condition('id', 'in', [1, 2])];
  const cases = [
    [{}, false], [{ boolean: true }, true], [{ boolean: false }, false], [past, true], [future, false],
    [{ boolean: true, ...future }, true], [{ boolean: false, ...past }, true],
    [{ user: [pro] }, true], [{ user: [staff] }, false], [{ user: [staff, pro] }, true], [{ user: [pro, staff] }, true],
    [{ user: [staff], boolean: false, ...future }, false], [{ user: [staff], ...past }, true], [{ user: [] }, false],
    [{ rollout_start: '2001-01-01T00:00:00Z', rollout_end: '2001-01-01T00:00:00Z' }, true],
    [{ rollout_start: '2101-01-01T00:00:00Z', rollout_end: '2101-01-01T00:00:00Z' }, false],
    [{ rollout_start: '0001-01-01T00:00:00Z', rollout_end: '9999-12-31T23:59:59Z', boolean: true }, true],
  ];
  for (const [i, [spec]] of cases.entries()) await put({ name: `case ${i}`, ...spec });
  const answer = await features(server, { user_id: 'u', plan: 'pro', id: 3 });
  for (const [i, [spec, expected]] of cases.entries()) assert.equal(answer[`case ${i}`], expected, JSON.stringify(spec));
  for (let i = 0; i < 5; i += 1) {
    const nobody = await features(server);
    for (const [i, [spec]] of cases.entries()) {
      const { user, ...rest } = spec;
      const expected = rest.boolean === true || (rest.rollout_end ?? '2100') < '2100';
      assert.equal(nobody[`case ${i}`], expected, `without a user: ${JSON.stringify(spec)}`);
    }
  }
});

/** A body of `user_obj` written by hand, where JavaScript's numbers would lose something. */
const written = (text) => encodeURIComponent(Buffer.from(text).toString('base64'));

test('conditions compare as JSON values', async () => {
  const cases = [
    // comparator, wanted, then what the user has: matching, and not matching
    ['=', '42', ['42', '42.0', '4.2e1'], ['"42"', '43', '42.5', '-42', '[42]', '{"a":42}', 'true', 'null']],
    ['=', '42.0', ['42', '42.0'], ['"42"', '"42.0"']],
    ['=', '"42"', ['"42"', '"\\u0034\\u0032"'], ['42', '42.0', '"42.0"', '" 42"']],
    ['=', '0', ['0', '-0', '0.0'], ['false', 'null', '""', '"0"', '[]']],
    ['=', '""', ['""'], ['null', '0', '[]', 'false']],
    ['=', '"true"', ['"true"'], ['true', '"True"']],
    ['=', '"é"', ['"é"', '"\\u00e9"'], ['"e\\u0301"', '"É"']],
    ['=', '9007199254740993', ['9007199254740993'], ['9007199254740992', '9007199254740994']],
    ['=', '-9223372036854775808', ['-9223372036854775808'], ['-9223372036854775807', '9223372036854775808']],
    ['in', '[1,2,3]', ['1', '3.0'], ['"1"', '4', '[1,2,3]', '[1]', 'null']],
    ['in', '[1.0,2]', ['1', '2.0'], ['"1"', '1.5']],
    ['in', '["a","b"]', ['"a"', '"b"'], ['"c"', '"ab"', '["a"]', '{"a":1}', '1']],
    ['in', '[]', [], ['null', '""', '0', '[]']],
  ];
  for (const [i, [comparator, value]] of cases.entries()) {
    (await raw(`{"name":"json ${i}","user":[{"property":"p","comparator":"${comparator}","value":${value}}]}`)).expect(204);
  }
  for (const [i, [comparator, value, matching, others]] of cases.entries()) {
    for (const [expected, values] of [[true, matching], [false, others]]) {
      for (const own of values) {
        const answer = (await server.get(`/v0/features?user_obj=${written(`{"user_id":"u","p":${own}}`)}`)).expect(200).json();
        assert.equal(answer.features[`json ${i}`], expected, `${own} ${comparator} ${value}`);
      }
    }
    for (const user of ['{}', '{"q":1}', '{"P":42}']) {
      const answer = (await server.get(`/v0/features?user_obj=${written(user)}`)).expect(200).json();
      assert.equal(answer.features[`json ${i}`], false, `${user} lacks the property`);
    }
  }
  // 42.0 is the integer 42, and user_id is a property like any other.
  await put({ name: 'by id', user: [condition('user_id', 'in', ['a', 'b'])] });
  assert.deepEqual([await isOn('by id', { user_id: 'a' }), await isOn('by id', { user_id: 'c' })], [true, false]);
});

test('every spelling of base64 is the same user', async () => {
  await put({ name: 'spelt', user: [condition('p', '=', '~~~>>>???ÿ')] });
  const jsons = ['', '1', '11'].map((x) => JSON.stringify({ x, user_id: 'u', p: '~~~>>>???ÿ' }));
  // One of them has all the signs in which the encodings differ.
  const json = jsons.find((text) => /[+/].*=$/.test(Buffer.from(text).toString('base64')));
  const [standard, safe] = ['base64', 'base64url'].map((alphabet) => Buffer.from(json).toString(alphabet));
  const pad = '='.repeat((4 - (safe.length % 4)) % 4);
  const bare = standard.replaceAll('+', '%2B').replaceAll('/', '%2F');
  const spellings = [encodeURIComponent(standard), bare, bare.replace(/=+$/, ''), safe, `${safe}${pad}`,
    bare.replaceAll('=', '%3d'), safe.match(/.{1,7}/g).join('%0D%0A'), safe.match(/.{1,7}/g).join('%20'), `%09${safe}%20`];
  for (const spelling of spellings) {
    const answer = (await server.get(`/v0/features?user_obj=${spelling}`)).expect(200).json();
    assert.equal(answer.features.spelt, true, spelling);
  }
});

/** Asks for a flag of all users and asserts what lies between what is right at the first and at the last answer. */
async function assertShare(name, lower, upper, on = server) {
  const first = seconds();
  const answers = await each(USERS, (user_id) => isOn(name, { user_id }, on));
  const last = seconds();
  let undecided = 0;
  for (const [i, user] of USERS.entries()) {
    const hash = BigInt(draw(name, user));
    if (hash < lower(first)) assert.equal(answers[i], true, `${user} is on from ${first} to ${last}`);
    else if (hash >= upper(last)) assert.equal(answers[i], false, `${user} is off from ${first} to ${last}`);
    else undecided += 1;
  }
  assert.ok(undecided < USERS.length / 100, `${undecided} undecided`);
  return new Set(USERS.filter((_, i) => answers[i]));
}

for (const [share, passed, left] of [[0.5, 500_000, 500_000], [0.1, 100_000, 900_000], [0.99, 990_000, 10_000]]) {
  test(`a rollout at ${share} is on for exactly the users whose draw says so, again and after a restart`, async (t) => {
    const own = await serve(t);
    const name = `rollout ${share}`;
    const [start, end] = [seconds() - passed, seconds() + left];
    await put({ name, rollout_start: rfc3339(start), rollout_end: rfc3339(end) }, own);
    const at = (now) => threshold({ start, end }, now);
    const on = await assertShare(name, at, at, own);
    const deviation = Math.sqrt(share * (1 - share) * USERS.length);
    assert.ok(Math.abs(on.size - share * USERS.length) < 4 * deviation, `${on.size} of ${USERS.length}`);
    await own.restart();
    const later = await assertShare(name, at, at, own);
    for (const user of on) assert.ok(later.has(user), `${user} was on`);
    assert.equal((await specs(own)).get(name).rollout_start, rfc3339(start));
  });
}

test('an integer user draws as its decimal string, whatever else is known of the user', async () => {
  const [start, end] = [seconds() - 50_000_000, seconds() + 50_000_000];
  await put({ name: 'integers', rollout_start: rfc3339(start), rollout_end: rfc3339(end) });
  const limit = threshold({ start, end }, seconds());
  for (let i = 0; i < 60; i += 1) {
    const expected = BigInt(draw('integers', i)) < limit;
    for (const user of [{ user_id: i }, { user_id: String(i) }, { user_id: i, plan: 'x' }]) assert.equal(await isOn('integers', user), expected, `${i}`);
  }
});

test('flags are drawn independently', async () => {
  const [start, end] = [rfc3339(seconds() - 500_000), rfc3339(seconds() + 500_000)];
  for (const name of ['one', 'other']) await put({ name, rollout_start: start, rollout_end: end });
  const answers = await each(USERS, (user_id) => features(server, { user_id }));
  const both = answers.filter(({ one, other }) => one && other).length;
  const deviation = Math.sqrt(0.25 * 0.75 * USERS.length);
  assert.ok(Math.abs(both - USERS.length / 4) < 4 * deviation, `${both} of ${USERS.length}`);
});

test('without a user every request draws anew, for each flag', async () => {
  const [start, end] = [rfc3339(seconds() - 500_000), rfc3339(seconds() + 500_000)];
  for (const name of ['first', 'second']) await put({ name, rollout_start: start, rollout_end: end });
  for (const user of [undefined, {}, { plan: 'pro' }]) {
    const seen = { 'true,true': 0, 'true,false': 0, 'false,true': 0, 'false,false': 0 };
    const requests = 400;
    for (const { first, second } of await each(Array(requests).fill(user), (one) => features(server, one))) seen[`${first},${second}`] += 1;
    const deviation = Math.sqrt(0.25 * 0.75 * requests);
    for (const [pair, count] of Object.entries(seen)) assert.ok(Math.abs(count - requests / 4) < 6 * deviation, `${pair}: ${count}`);
  }
});

test('a rollout with an end only starts now', async () => {
  const before = seconds();
  await put({ name: 'from now', rollout_end: rfc3339(before + 1_000_000) });
  const spec = (await specs()).get('from now');
  const start = Date.parse(spec.rollout_start) / 1_000;
  assert.ok(start >= before && start <= seconds(), spec.rollout_start);
  assert.equal(spec.rollout_end, rfc3339(before + 1_000_000));
  const on = await each(USERS.slice(0, 200), (user_id) => isOn('from now', { user_id }));
  assert.ok(on.filter(Boolean).length <= 2);
});

for (const [how, change] of [
  ['later', (start) => ({ rollout_start: rfc3339(start), rollout_end: rfc3339(seconds() + 10_000_000) })],
  ['sooner', (start) => ({ rollout_start: rfc3339(start), rollout_end: rfc3339(seconds() + 5 * HOUR) })],
  ['later, with the start left out', () => ({ rollout_end: rfc3339(seconds() + 10_000_000) })],
]) {
  test(`a running rollout whose end moves ${how} switches nobody off`, async (t) => {
    const own = await serve(t);
    const name = `moved ${how}`;
    const [start, end] = [seconds() - 400_000, seconds() + 600_000];
    await put({ name, rollout_start: rfc3339(start), rollout_end: rfc3339(end) }, own);
    const on = await assertShare(name, (now) => threshold({ start, end }, now), (now) => threshold({ start, end }, now), own);
    assert.ok(on.size > USERS.length / 4);

    const earliest = seconds();
    const changed = change(start);
    await put({ name, ...changed }, own);
    const latest = seconds();
    const shown = (await specs(own)).get(name);
    assert.deepEqual(Object.keys(shown).sort(), ['boolean', 'name', 'rollout_end', 'rollout_reached', 'rollout_start', 'user'], 'nothing else is shown');
    const reachedAt = Date.parse(shown.rollout_reached.at) / 1_000;
    assert.ok(reachedAt >= earliest && reachedAt <= latest, shown.rollout_reached.at);
    assert.ok(Math.abs(shown.rollout_reached.share - (reachedAt - start) / (end - start)) < 1e-9, `${shown.rollout_reached.share}`);
    assert.equal(shown.rollout_end, changed.rollout_end);
    const newEnd = Date.parse(changed.rollout_end) / 1_000;
    const from = (at) => ({ start: at, end: newEnd, from: threshold({ start, end }, at) });
    // Where it was changed is known to a second or two; both ends of that are tried.
    const least = (now) => threshold(from(earliest), now) < threshold(from(latest), now) ? threshold(from(earliest), now) : threshold(from(latest), now);
    const most = (now) => threshold(from(earliest), now) > threshold(from(latest), now) ? threshold(from(earliest), now) : threshold(from(latest), now);
    const now = await assertShare(name, least, most, own);
    for (const user of on) assert.ok(now.has(user), `${user} was switched off`);

    await put({ name, ...shown }, own);
    const same = await assertShare(name, least, most, own);
    for (const user of now) assert.ok(same.has(user), `${user} was switched off by the same spec again`);
    await own.restart();
    const kept = await assertShare(name, least, most, own);
    for (const user of now) assert.ok(kept.has(user), `${user} was switched off by a restart`);

    // Moved again: the share reached is kept once more.
    await put({ name, rollout_start: shown.rollout_start, rollout_end: rfc3339(seconds() + 20_000_000) }, own);
    const again = new Set((await each(USERS, async (user_id) => [user_id, await isOn(name, { user_id }, own)])).flatMap(([user, value]) => (value ? [user] : [])));
    for (const user of now) assert.ok(again.has(user), `${user} was switched off by a second change`);
  });
}

test('another start is another rollout', async () => {
  const [start, end] = [seconds() - 500_000, seconds() + 500_000];
  await put({ name: 'restarted', rollout_start: rfc3339(start), rollout_end: rfc3339(end) });
  assert.ok((await each(USERS.slice(0, 200), (user_id) => isOn('restarted', { user_id }))).some(Boolean));
  await put({ name: 'restarted', rollout_start: rfc3339(seconds() + HOUR), rollout_end: rfc3339(end) });
  assert.ok(!(await each(USERS.slice(0, 200), (user_id) => isOn('restarted', { user_id }))).some(Boolean));
});

const GOOD = condition('p', '=', 'v');
const BAD = [
  ['', 'field_missing', 'name'], ['"name":null', 'field_missing', 'name'], ['"name":7', 'field_invalid', 'name'],
  ['"name":""', 'field_invalid', 'name'], ['"name":"a\\nb"', 'field_invalid', 'name'], [`"name":"${'x'.repeat(257)}"`, 'name_too_long', 'name'],
  ['"name":"f","name":"g"', 'field_invalid', 'name'],
  ...['1', '"true"', '[]', '{}'].map((value) => [`"name":"f","boolean":${value}`, 'field_invalid', 'boolean']),
  ['"name":"f","boolean":true,"boolean":true', 'field_invalid', 'boolean'],
  ...['1', '"tomorrow"', '"2022-01-01"', '"2022-02-30T00:00:00Z"', '""', '[]', 'true'].flatMap((value) => [
    [`"name":"f","rollout_end":${value}`, 'field_invalid', 'rollout_end'],
    [`"name":"f","rollout_start":${value},"rollout_end":"2030-01-01T00:00:00Z"`, 'field_invalid', 'rollout_start'],
  ]),
  ['"name":"f","rollout_end":"2030-01-01T00:00:00Z","rollout_end":"2030-01-01T00:00:00Z"', 'field_invalid', 'rollout_end'],
  ['"name":"f","rollout_start":"2030-01-01T00:00:00Z"', ['field_missing', 'field_invalid'], ['rollout_end', 'rollout_start']],
  ['"name":"f","rollout_start":"2030-01-01T00:00:00Z","rollout_end":null', ['field_missing', 'field_invalid'], ['rollout_end', 'rollout_start']],
  ['"name":"f","rollout_start":"2030-01-01T00:00:01Z","rollout_end":"2030-01-01T00:00:00Z"', 'field_invalid', ['rollout_end', 'rollout_start']],
  ['"name":"f","rollout_end":"2001-01-01T00:00:00Z"', 'field_invalid', ['rollout_end', 'rollout_start']],
  ...['{}', '"x"', '1', 'true', JSON.stringify(GOOD)].map((value) => [`"name":"f","user":${value}`, 'field_invalid', 'user']),
  ['"name":"f","user":[],"user":[]', 'field_invalid', 'user'],
  ...['1', '"x"', 'null', '[]'].map((value) => [`"name":"f","user":[${JSON.stringify(GOOD)},${value}]`, ['field_invalid', 'field_missing'], 'user[1]']),
  ...conditions('property', ['null', undefined], ['7', '""', '[]', '"a\\nb"', 'true']),
  ...conditions('comparator', ['null', undefined], ['"=="', '"IN"', '""', '1', '["in"]', '" ="']),
  ...conditions('value', ['null', undefined], ['true', '1.5', '{}', '["v"]', '[1]', '[]', '1e400', '99999999999999999999999']),
  ...[['"v"', ''], ['1', ''], ['{}', ''], ['["a",1]', '[1]'], ['[1,"a"]', '[1]'], ['[1,2,1.5]', '[2]'], ['[null]', '[0]'], ['["a",["b"]]', '[1]'],
    ['[true]', '[0]'], [`["a","b","c","${'x'.repeat(257)}"]`, '[3]']].map(([value, at]) => [
    `"name":"f","user":[{"property":"p","comparator":"in","value":${value}}]`, ['field_invalid', 'name_too_long'], `user[0].value${at}`]),
  [`"name":"f","user":[{"property":"p","comparator":"=","value":"${'x'.repeat(257)}"}]`, 'name_too_long', 'user[0].value'],
  [`"name":"f","user":[{"property":"${'x'.repeat(257)}","comparator":"=","value":"v"}]`, 'name_too_long', 'user[0].property'],
];

/** Bodies in which the third of three conditions lacks a field, has a wrong one, or has it twice. */
function conditions(field, missing, wrong) {
  const body = (value) => {
    const fields = { property: '"p"', comparator: '"="', value: '"v"', [field]: value };
    const text = Object.entries(fields).filter(([, v]) => v !== undefined).map(([k, v]) => `"${k}":${v}`).join(',');
    return `"name":"f","user":[${JSON.stringify(GOOD)},${JSON.stringify(GOOD)},{${text}}]`;
  };
  const path = `user[2].${field}`;
  return [
    ...missing.map((value) => [body(value), 'field_missing', path]),
    ...wrong.map((value) => [body(value), value === '1e400' ? ['field_invalid', 'json_invalid'] : 'field_invalid', value === '1e400' ? [path, undefined] : path]),
    [body(`"p","${field}":"p"`), 'field_invalid', path],
  ];
}

test('a bad spec is refused with the field that is wrong, and changes nothing', async (t) => {
  const fresh = await serve(t);
  await put({ name: 'f', boolean: true }, fresh);
  for (const [fields, codes, expected] of BAD) {
    const error = (await raw(`{${fields}}`, fresh)).refused(400, codes);
    assert.ok([expected].flat().includes(error.field), `${fields.slice(0, 120)}: ${error.field} is not ${expected}`);
    assert.ok(!('index' in error));
  }
  for (const body of ['null', '1', '"f"', '[]', '[{"name":"f"}]', 'true']) (await raw(body, fresh)).refused(400, ['json_invalid', 'field_invalid']);
  for (const body of ['{', '{"name":"f"', '{"name":"f"}x', '{"name":"f",}']) (await raw(body, fresh)).refused(400, 'json_invalid');
  (await raw('', fresh)).refused(400, 'body_empty');
  (await raw(Buffer.from([0x7b, 0xff, 0x7d]), fresh)).refused(400, 'body_not_utf8');
  (await fresh.request('POST', '/v0/featureSpecs', { body: '{"name":"f"}', headers: { 'content-type': 'text/plain' } })).refused(400, 'content_type_invalid');
  assert.deepEqual([...(await specs(fresh)).values()], [{ name: 'f', boolean: true, user: [] }]);
  (await fresh.get('/v0/features?user_obj=%')).refused(400, 'parameter_invalid');
});

test('the number of flags', async (t) => {
  const max = 3;
  const own = await serve(t, { env: { FLAGS_MAX: String(max) } });
  for (let i = 0; i < max; i += 1) await put({ name: `f${i}`, boolean: true }, own);
  const full = async () => {
    limited(await own.post('/v0/featureSpecs', { name: 'past' }), 507, 'flags_full', 'FLAGS_MAX', max);
    assert.deepEqual([...(await specs(own)).keys()], ['f0', 'f1', 'f2']);
    await put({ name: 'f1', boolean: false }, own);
    await put({ name: 'f1', boolean: true }, own);
  };
  await full();
  await own.restart();
  await full();
  assert.deepEqual(await features(own), { f0: true, f1: true, f2: true });
});

test('the number of conditions of a flag, and of values of a condition', async (t) => {
  const own = await serve(t, { env: { FLAG_CONDITIONS_MAX: '3', FLAG_VALUES_MAX: '4' } });
  const many = (count) => ({ name: 'conditions', user: Array.from({ length: count }, (_, i) => condition('p', '=', i)) });
  await put(many(3), own);
  assert.equal(limited(await own.post('/v0/featureSpecs', many(4)), 400, 'field_invalid', 'FLAG_CONDITIONS_MAX', 3).field, 'user');
  const values = (count) => ({ name: 'values', user: [GOOD, condition('p', 'in', Array.from({ length: count }, (_, i) => i))] });
  await put(values(4), own);
  assert.equal(limited(await own.post('/v0/featureSpecs', values(5)), 400, 'field_invalid', 'FLAG_VALUES_MAX', 4).field, 'user[1].value');
  const read = await specs(own);
  assert.deepEqual([read.get('conditions').user.length, read.get('values').user[1].value.length], [3, 4]);
});

test('the bytes of all flags', async (t) => {
  const max = 65_536;
  const own = await serve(t, { env: { FLAGS_BYTES_MAX: String(max) } });
  const large = (name, values) => ({ name, user: [condition('p', 'in', Array.from({ length: values }, (_, i) => `${'x'.repeat(96)}${i}`))] });
  await put(large('a', 300), own);
  await put(large('b', 300), own);
  limited(await own.post('/v0/featureSpecs', large('c', 300)), 507, 'flags_full', 'FLAGS_BYTES_MAX', max);
  limited(await own.post('/v0/featureSpecs', large('b', 600)), 507, 'flags_full', 'FLAGS_BYTES_MAX', max);
  assert.deepEqual([...(await specs(own)).keys()], ['a', 'b']);
  assert.equal((await specs(own)).get('b').user[0].value.length, 300);
  await put({ name: 'a' }, own);
  await put(large('c', 300), own);
});

test('names of the greatest length', async () => {
  const long = '👍'.repeat(64);
  await put({ name: long, user: [condition(long, '=', long)] });
  assert.deepEqual([await isOn(long, { [long]: long }), await isOn(long, { [long]: 'x' })], [true, false]);
});

test('a request with a user and a feature records an event, HEAD and what is malformed do not', async (t) => {
  const own = await serve(t);
  await put({ name: 'seen', boolean: true }, own);
  const path = (user, context) => `/v0/features?user_obj=${parameter(user)}&context_obj=${parameter(context)}`;
  const head = (await own.request('HEAD', path({ user_id: 'h' }, { feature: 'by HEAD' }))).expect(200);
  assert.equal(head.bytes.length, 0);
  (await own.get(`${path({ user_id: 'm' }, { feature: 'malformed' })}!`)).refused(400, 'parameter_invalid');
  (await own.get(path({ plan: 1 }, { feature: 'no user' }))).expect(200);
  (await own.get(path({ user_id: 'u' }, { page: 'no feature' }))).expect(200);
  for (const [user, namespace] of [['u', undefined], ['v', undefined], ['u', undefined], ['w', 'other']]) {
    assert.deepEqual((await own.get(path({ user_id: user }, { feature: 'seen', namespace }))).expect(200).json(), { features: { seen: true } });
  }
  const counted = async (namespace) => (await own.analytics(namespace)).counts.map(({ name, count }) => [name, count]);
  await until('two users of seen', async () => (await counted())[0]?.[1] === 2);
  await until('one user elsewhere', async () => (await counted('other')).length === 1);
  assert.deepEqual(await counted(), [['seen', 2]]);
  assert.deepEqual(await counted('other'), [['seen', 1]]);
});

test('a flag is removed, once, durably, whatever its name', async (t) => {
  const own = await serve(t);
  const remove = (name, headers) => own.request('DELETE', `/v0/featureSpecs/${encodeURIComponent(name)}`, { headers });
  const names = ['plain', 'a/b', '"quoted" %41', 'ünïcode ☃', '?#&=', 'a b+c', '...', 'x'.repeat(256)];
  for (const name of ['stays', ...names]) await put({ name, boolean: true }, own);
  for (const name of names) {
    const answer = (await remove(name)).expect(204);
    assert.equal(answer.bytes.length, 0);
    assert.ok(!(await specs(own)).has(name), name);
    assert.ok(!(name in (await own.get('/v0/features')).json().features), name);
    (await remove(name)).refused(404, 'flag_unknown');
  }
  assert.deepEqual([...(await specs(own)).keys()], ['stays']);
  await own.restart({ signal: 'SIGKILL' });
  assert.deepEqual([...(await specs(own)).keys()], ['stays']);
  await put({ name: 'plain' }, own);
  assert.deepEqual((await specs(own)).get('plain'), { name: 'plain', boolean: false, user: [] });
});

test('a path that names no flag is refused, and removes nothing', async (t) => {
  const own = await serve(t);
  await put({ name: 'stays' }, own);
  for (const [segment, code] of [['%ff', 'parameter_invalid'], ['a%00', 'parameter_invalid'], ['x'.repeat(257), 'name_too_long']]) {
    (await own.request('DELETE', `/v0/featureSpecs/${segment}`)).refused(400, code);
  }
  for (const path of ['/v0/featureSpecs/a/b', '/v0/featureSpecs/stays/x']) (await own.request('DELETE', path)).refused(404, 'not_found');
  for (const path of ['/v0/featureSpecs', '/v0/featureSpecs/']) {
    const answer = await own.request('DELETE', path);
    answer.refused(405, 'method_not_allowed');
    assert.equal(answer.headers.allow, 'POST, GET, HEAD, OPTIONS');
  }
  for (const method of ['GET', 'POST', 'PUT']) {
    const answer = await own.request(method, '/v0/featureSpecs/stays');
    answer.refused(405, 'method_not_allowed');
    assert.equal(answer.headers.allow, 'DELETE, OPTIONS');
  }
  (await own.request('DELETE', '/v0/featureSpecs/stays/')).expect(204);
});

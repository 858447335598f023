// Strict JSON: every malformed body is a 400 that names what is wrong, changes nothing and repeats nothing, and no
// bytes whatever bring the server down.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { seeded } from '../harness/random.mjs';
import { serve } from '../harness/server.mjs';

const server = await serve({ after });
const headers = { 'content-type': 'application/json' };
const send = (body, path = '/v0/analytics') => server.request('POST', path, { body, headers });
const names = async (namespace) => (await server.analytics(namespace)).counts.map(({ name }) => name);
const EVENT = '"event_name":"A","user_id":"u"';

test('unknown fields are ignored, whatever they hold', async () => {
  const held = ['null', '[]', '{}', '"text"', '1.5e-3', 'true', '{"user_id":{"event_name":[1,{"events":[]}]}}', '[[[["deep"]]]]', '1e999',
    '123456789012345678901234567890', '{"a":1,"a":2}'];
  for (const [i, value] of held.entries()) {
    // Numbers beyond a double are the parser's choice; everything else is ignored.
    const answer = await send(`{"extra":${value},"event_name":"E${i}","namespace":"unknown","user_id":"u","Value":${value}}`);
    if (value !== '1e999') answer.expect(204);
    else if (answer.status !== 204) answer.refused(400, 'json_invalid');
  }
  (await send(`{"events":[{${EVENT},"namespace":"unknown"}],"sent_at":"now"}`)).expect(204);
  assert.equal((await names('unknown')).filter((name) => name !== 'E8').length, held.length);
  (await send('{"goal_name":"G","namespace":"unknown","why":{"because":[]}}', '/v0/goals')).expect(204);
});

test('an event beside `events`, or `events` in an event, is refused: one of the two would be lost', async () => {
  const both = [['event_name', '"B"'], ['user_id', '"v"'], ['user_id', '7'], ['namespace', '"elsewhere"'], ['ensure_goal', 'false'], ['ensure_goal', 'true'],
    ['value', '0'], ['datetime', '"2026-01-01T00:00:00Z"'], ['event_name', '[]'], ['value', '{}']];
  const events = `"events":[{${EVENT},"namespace":"both"}]`;
  for (const [field, value] of both) {
    for (const body of [`{"${field}":${value},${events}}`, `{${events},"${field}":${value}}`, `{"${field}":${value},"events":[]}`]) {
      const error = (await send(body)).refused(400, 'field_invalid');
      assert.equal(error.field, field, body);
      assert.ok(!('index' in error));
    }
  }
  assert.equal((await send(`{${EVENT},"namespace":"both",${events}}`)).refused(400, 'field_invalid').field, 'event_name');
  assert.equal((await send(`{"event_name":null,"event_name":null,${events}}`)).refused(400, 'field_invalid').field, 'event_name');
  for (const nested of ['[]', `[{${EVENT}}]`, '1', '{}']) {
    const error = (await send(`[{${EVENT},"namespace":"both"},{${EVENT},"namespace":"both","events":${nested}}]`)).refused(400, 'field_invalid');
    assert.deepEqual([error.index, error.field], [1, 'events']);
  }
  assert.deepEqual(await names('both'), [], 'nothing of them is counted');

  // Null is absent, and what is no field of an event is ignored.
  (await send(`{"events":null,${EVENT},"namespace":"either"}`)).expect(204);
  (await send('{"events":[{"event_name":"B","user_id":"u","namespace":"either","events":null}],"event_name":null,"user_id":null,"sent_at":1,"kept":"week"}')).expect(204);
  assert.deepEqual(await names('either'), ['A', 'B']);
});

const WRONG = {
  event_name: ['1', 'true', '[]', '{}', '["A"]', '""', '"a\\u0000b"', '"a\\nb"', '"\\u007f"', '"\\u0085"', 'null'],
  user_id: ['1.5', '1.0', '1e3', '-0.5', 'true', '[]', '{}', '""', 'null'],
  namespace: ['1', 'false', '[]', '{}', '""', '"a\\tb"'],
  ensure_goal: ['0', '1', '"true"', '[]', '{}', '""'],
  value: ['"1"', 'true', '[]', '{}', '""', '1e301', '-1e301'],
  datetime: ['0', '1700000000', 'true', '[]', '{}', '"now"'],
};
const GOOD = { event_name: '"A"', user_id: '"u"', namespace: '"wrong types"' };
const text = (fields) => `{${Object.entries(fields).map(([k, v]) => `"${k}":${v}`).join(',')}}`;

for (const [field, values] of Object.entries(WRONG)) {
  test(`a wrong ${field} is refused with its index and field, and the batch with it`, async () => {
    for (const value of values) {
      const bad = text({ ...GOOD, [field]: value });
      const code = value === 'null' ? 'field_missing' : 'field_invalid';
      const alone = (await send(bad)).refused(400, code);
      assert.equal(alone.field, field, value);
      assert.ok(!('index' in alone), 'a single event has no index');
      for (const index of [0, 1, 3]) {
        const events = Array.from({ length: 5 }, (_, i) => (i === index ? bad : text({ ...GOOD, event_name: `"${field}${i}"` })));
        for (const body of [`[${events}]`, `{"events":[${events}]}`]) {
          const error = (await send(body)).refused(400, code);
          assert.deepEqual([error.index, error.field], [index, field], value);
        }
      }
    }
    assert.deepEqual(await names('wrong types'), [], 'a bad batch changes nothing');
  });
}

test('missing fields are named', async () => {
  for (const field of ['event_name', 'user_id']) {
    const { [field]: _, ...rest } = GOOD;
    assert.equal((await send(text(rest))).refused(400, 'field_missing').field, field);
    const error = (await send(`[${text(GOOD)},${text(rest)}]`)).refused(400, 'field_missing');
    assert.deepEqual([error.index, error.field], [1, field]);
  }
  (await send('{}')).refused(400, 'field_missing');
  (await send('{"events":null}')).refused(400, 'field_missing');
  for (const events of ['{}', '"x"', '1', 'true']) {
    assert.equal((await send(`{"events":${events}}`)).refused(400, 'field_invalid').field, 'events');
  }
  for (const item of ['null', '1', '"x"', '[]', '[{}]', 'true']) {
    const error = (await send(`[${text(GOOD)},${item}]`)).refused(400);
    assert.equal(error.index, 1, item);
  }
  for (const body of ['null', '1', '"x"', 'true', '-1.5']) (await send(body)).refused(400, ['json_invalid', 'field_invalid']);
  assert.deepEqual(await names('wrong types'), []);
});

test('the limits of a value', async () => {
  const fine = ['0', '-0', '1e300', '-1e300', '1e-320', '123456789012345678901234567890', '0.1e1'];
  for (const [i, value] of fine.entries()) {
    (await send(`{"event_name":"v${i}","user_id":"u","namespace":"values","value":${value}}`)).expect(204);
  }
  const { counts } = await server.analytics('values');
  assert.deepEqual(counts.map(({ value }) => value.sum), fine.map((value) => Number(value) + 0));
  for (const value of ['NaN', 'Infinity', '-Infinity', 'nan', '+1', '.5', '1.', '01', '0x10', '1e', '--1']) {
    (await send(`{${EVENT},"namespace":"values","value":${value}}`)).refused(400, 'json_invalid');
  }
  for (const value of ['1e999', '-1e999', `1${'0'.repeat(400)}`]) {
    (await send(`{${EVENT},"namespace":"values","value":${value}}`)).refused(400, ['json_invalid', 'field_invalid']);
  }
  assert.equal((await server.analytics('values')).counts.length, fine.length);
});

test('a value is the nearest double to what was written', async () => {
  const random = seeded(3);
  const written = ['0.1', '218739.43392502394', '5e-324', '2.2250738585072011e-308', '9007199254740993',
    '1.7976931348623157e299', '123456789.123456789e-3',
    ...Array.from({ length: 200 }, () => String(random.next() * 10 ** random.below(12)))];
  const events = written.map((value, i) => `{"event_name":"${i}","user_id":"u","namespace":"nearest","value":${value}}`);
  (await send(`[${events}]`)).expect(204);
  const { counts } = await server.analytics('nearest');
  const read = new Map(counts.map(({ name, value }) => [name, value.sum]));
  for (const [i, text] of written.entries()) assert.equal(read.get(String(i)), Number(text), text);
});

test('a key that is known may stand only once in an object', async () => {
  const fields = { event_name: '"A"', user_id: '"u"', namespace: '"duplicates"', ensure_goal: 'true', value: '1',
    datetime: '"2024-01-01T00:00:00Z"' };
  const whole = text(fields).slice(0, -1);
  for (const [field, value] of Object.entries(fields)) {
    const escaped = `\\u${field.charCodeAt(0).toString(16).padStart(4, '0')}${field.slice(1)}`;
    for (const again of [`"${field}":${value}`, `"${field}":null`, `"${escaped}":${value}`]) {
      assert.equal((await send(`${whole},${again}}`)).refused(400, 'field_invalid').field, field, again);
      const error = (await send(`[${text(fields)},${whole},${again}}]`)).refused(400, 'field_invalid');
      assert.deepEqual([error.index, error.field], [1, field]);
    }
  }
  assert.equal((await send('{"events":[],"events":[]}')).refused(400, 'field_invalid').field, 'events');
  const goals = await send('{"goal_name":"G","goal_name":"H","namespace":"duplicates"}', '/v0/goals');
  assert.equal(goals.refused(400, 'field_invalid').field, 'goal_name');
  assert.deepEqual(await names('duplicates'), []);
  (await send(`${whole},"other":1,"other":2}`)).expect(204);
  assert.deepEqual(await names('duplicates'), ['A']);
});

test('deep nesting is handled', async () => {
  const nested = (depth, open = '[', close = ']') => open.repeat(depth) + close.repeat(depth);
  const objects = (depth) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;
  for (const value of [nested(100), objects(100)]) {
    (await send(`{${EVENT},"namespace":"nested","extra":${value}}`)).expect(204);
  }
  for (const body of [nested(100), nested(100_000), objects(100_000), '['.repeat(100_000), '{"a":'.repeat(100_000),
    `{"event_name":"A","user_id":${nested(100_000)}}`, `{"events":[{${EVENT},"value":${nested(100_000)}}]}`]) {
    (await send(body)).refused(400);
    (await send(body, '/v0/goals')).refused(400);
  }
  // What is ignored may be ignored at any depth.
  for (const value of [nested(100_000), objects(100_000)]) {
    const answer = await send(`{${EVENT},"namespace":"nested","extra":${value}}`);
    if (answer.status !== 204) answer.refused(400, 'json_invalid');
  }
  (await server.get('/alive')).expect(200);
});

test('invalid UTF-8 is refused as that', async () => {
  const sequences = [[0xff], [0xc0, 0x80], [0xe2, 0x82], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0x80], [0xf0, 0x9f, 0x92]];
  for (const sequence of sequences) {
    for (const key of ['event_name', 'user_id', 'extra']) {
      const parts = { event_name: '"A"', user_id: '"u"', namespace: '"utf8"', extra: '"x"', [key]: '"@"' };
      const [head, tail] = text(parts).split('@');
      const body = Buffer.concat([Buffer.from(head), Buffer.from(sequence), Buffer.from(tail)]);
      (await send(body)).refused(400, 'body_not_utf8');
    }
  }
  assert.deepEqual(await names('utf8'), []);
});

test('escapes: lone surrogates refused, pairs accepted', async () => {
  for (const escape of ['\\ud800', '\\udc00', '\\ud83dx', '\\ude00\\ud83d', '\\u12', '\\x41', '\\ud83d\\u0041']) {
    for (const key of ['event_name', 'user_id']) {
      const body = text({ event_name: '"A"', user_id: '"u"', namespace: '"escapes"', [key]: `"${escape}"` });
      (await send(body)).refused(400, ['json_invalid', 'field_invalid']);
    }
  }
  assert.deepEqual(await names('escapes'), []);
  (await send('{"event_name":"\\ud83d\\ude00\\u0041\\/","user_id":"u","namespace":"escapes"}')).expect(204);
  assert.deepEqual(await names('escapes'), ['😀A/']);
});

test('what is not one JSON value is refused', async () => {
  const whole = `{${EVENT},"namespace":"trailing"}`;
  for (const body of [`\ufeff\ufeff${whole}`, ` \ufeff${whole}`, `${whole}x`, `${whole}${whole}`, `${whole},`, `[${whole},]`, `${whole.slice(0, -1)},}`, `'${whole}'`,
    `{event_name:"A",user_id:"u"}`, `${whole}//`, `/**/${whole}`, ' ', '\n\n', '\u00a0', '{', '[', '"', `${whole}\0`, '{"a" 1}']) {
    (await send(body)).refused(400, ['json_invalid', 'body_empty']);
  }
  assert.deepEqual(await names('trailing'), []);
  (await send(` \r\n\t${whole} \n`)).expect(204);
  assert.deepEqual(await names('trailing'), ['A']);
});

test('a body cut off at any byte is refused and changes nothing', async () => {
  const whole = Buffer.from('{"events":[{"event_name":"Größe 👍","user_id":"ü-\\u00e9","namespace":"cut","ensure_goal":true,"value":-1.5e2,'
    + '"datetime":"2024-01-01T00:00:00Z","extra":[null,{}]},{"event_name":"B","user_id":42,"namespace":"cut"}]}');
  (await send(whole.subarray(0, 0))).refused(400, 'body_empty');
  for (let length = 1; length < whole.length; length += 1) {
    (await send(whole.subarray(0, length))).refused(400, ['json_invalid', 'body_not_utf8']);
  }
  assert.deepEqual(await names('cut'), []);
  (await send(whole)).expect(204);
  assert.deepEqual(await names('cut'), ['B', 'Größe 👍']);
});

test('a body with any byte changed is answered, and the server lives', async () => {
  const whole = Buffer.from('[{"event_name":"A","user_id":"u","namespace":"flipped","value":1,"ensure_goal":false}]');
  const random = seeded(1);
  const statuses = new Map();
  for (let position = 0; position < whole.length; position += 1) {
    const body = Buffer.from(whole);
    body[position] ^= 1 + random.below(255);
    const answer = await send(body);
    if (answer.status !== 204) answer.refused(400);
    statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
  }
  assert.deepEqual([...statuses.keys()].sort(), [204, 400]);
  (await server.get('/alive')).expect(200);
});

test('random bytes are refused, and the server lives', async () => {
  const random = seeded(2);
  const tokens = ['{', '}', '[', ']', ',', ':', '"', '"event_name"', '"user_id"', '"events"', '"u"', '1', '-', '1e9', 'null',
    'true', '\\', ' ', '\u00ff', '"namespace":"soup",'];
  for (let i = 0; i < 400; i += 1) {
    const body = i % 2 === 0
      ? random.bytes(1 + random.below(200))
      : Array.from({ length: 1 + random.below(40) }, () => random.pick(tokens)).join('');
    for (const path of ['/v0/analytics', '/v0/goals']) {
      const answer = await send(body, path);
      if (answer.status !== 204) answer.refused(400);
    }
  }
  (await server.get('/healthz')).expect(200);
});

test('no refusal repeats what was sent', async () => {
  const mark = 'Zq7-marker';
  const marked = JSON.stringify(mark);
  const bodies = [
    text({ user_id: marked }), text({ user_id: marked, event_name: '7' }), text({ user_id: `[${marked}]`, event_name: '"A"' }),
    text({ user_id: `{${marked}:1}`, event_name: '"A"' }), text({ user_id: marked, event_name: marked, value: marked }),
    text({ user_id: marked, event_name: marked, datetime: marked }), text({ user_id: marked, event_name: marked, ensure_goal: marked }),
    text({ user_id: marked, event_name: marked, namespace: `[${marked}]` }), text({ user_id: marked, event_name: `${marked.slice(0, -1)}\\n"` }),
    `{"user_id":${marked},"user_id":${marked},"event_name":${marked}}`, `{"user_id":${marked}`, `{"user_id":${marked} x}`, marked, `[${marked}]`,
    `{"events":${marked}}`, `{"events":[{"user_id":${marked},"event_name":1}]}`, `{"user_id":"${mark}${'x'.repeat(300)}","event_name":"A"}`,
    `{"user_id":"u","event_name":"${mark}${'x'.repeat(300)}"}`, `{"user_id":"u","event_name":"A","namespace":"${mark}${'x'.repeat(300)}"}`,
    `{"user_id":"${mark}\xff"}`, mark, `{${mark}}`,
  ];
  for (const body of bodies) {
    const answer = await send(Buffer.from(body, 'latin1'));
    answer.refused(400);
    assert.ok(!answer.text.includes(mark), `${body.slice(0, 80)} → ${answer.text}`);
    assert.ok(!JSON.stringify(answer.headers).includes(mark));
  }
  for (const path of [`/v0/${mark}`, `/v0/features?user_obj=${mark}!`, `/v0/analytics?namespace=${mark}%ff`,
    `/v0/features?user_obj=${Buffer.from(`{"user_id":"${mark}"`).toString('base64url')}`]) {
    const answer = await server.get(path);
    answer.refused(path === `/v0/${mark}` ? 404 : 400);
    assert.ok(!answer.text.includes(mark), answer.text);
  }
  assert.ok(!server.log.includes(mark));
});

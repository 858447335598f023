// POST and GET /v0/analytics: the forms of a request, first occurrences, values, goals and namespaces, each answer
// compared whole with the exact model.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { byBytes, Model } from '../harness/model.mjs';
import { query } from '../harness/client.mjs';
import { serve } from '../harness/server.mjs';

const server = await serve({ after });

/** Posts each body in turn into a namespace of its own and compares what is then read with the model. */
async function play(namespace, steps) {
  const model = new Model();
  for (const step of steps) {
    if (typeof step === 'string') {
      await server.goal(step, namespace);
      model.goal(step, namespace);
      continue;
    }
    const placed = step.map((event) => ({ ...event, namespace }));
    await server.ingest(placed.length === 1 ? placed[0] : placed);
    model.applyAll(placed);
  }
  const answer = await server.analytics(namespace);
  assert.deepEqual(answer, model.analytics(namespace));
  return answer;
}

const did = (event_name, user_id, more = {}) => ({ event_name, user_id, ...more });

test('the three forms of a body are the same request', async () => {
  const events = [did('A', 'u1'), did('B', 'u1', { value: 2.5 }), did('A', 'u2')];
  const forms = {
    single: async (post) => { for (const event of events) await post(event); },
    wrapped: (post) => post({ events }),
    bare: (post) => post(events),
  };
  const answers = [];
  for (const [form, send] of Object.entries(forms)) {
    const namespace = `form ${form}`;
    const place = (body) => JSON.parse(JSON.stringify(body), (key, value) => (
      value !== null && typeof value === 'object' && 'user_id' in value ? { ...value, namespace } : value));
    await send(async (body) => {
      const answer = await server.ingest(place(body));
      assert.equal(answer.text, '', 'a 204 has no body');
    });
    answers.push(await server.analytics(namespace));
  }
  assert.deepEqual(answers[0], {
    counts: [
      { name: 'A', type: 'named', count: 2, event_counts: [], single_event_counts: [], value: {} },
      { name: 'B', type: 'named', count: 1, event_counts: [], single_event_counts: [], value: { sum: 2.5 } },
    ],
    users: 2,
  });
  assert.deepEqual(answers[1], answers[0]);
  assert.deepEqual(answers[2], answers[0]);
});

test('an empty batch is accepted and changes nothing', async () => {
  const before = (await server.get('/v0/namespaces')).expect(200).json();
  await server.ingest([]);
  await server.ingest({ events: [] });
  assert.deepEqual((await server.get('/v0/namespaces')).json(), before);
});

test('a namespace is default unless given, and null means absent', async () => {
  await server.ingest(did('defaulted', 'u'));
  await server.ingest(did('defaulted', 'v', { namespace: null, ensure_goal: null, value: null, datetime: null }));
  await server.ingest(did('defaulted', 'w', { namespace: 'default' }));
  const explicit = await server.analytics('default');
  const implicit = await server.analytics(undefined);
  assert.deepEqual(explicit, implicit);
  assert.equal(explicit.counts.find(({ name }) => name === 'defaulted').count, 3);
});

test('namespaces are separate, users included', async () => {
  await server.ingest([did('A', 'u', { namespace: 'one' }), did('A', 'u', { namespace: 'two', ensure_goal: true })]);
  await server.ingest([did('B', 'u', { namespace: 'one' }), did('A', 'v', { namespace: 'one' })]);
  const model = new Model();
  model.applyAll([did('A', 'u', { namespace: 'one' }), did('A', 'u', { namespace: 'two', ensure_goal: true }),
    did('B', 'u', { namespace: 'one' }), did('A', 'v', { namespace: 'one' })]);
  assert.deepEqual(await server.analytics('one'), model.analytics('one'));
  assert.deepEqual(await server.analytics('two'), model.analytics('two'));
  assert.deepEqual(await server.analytics('never written'), { counts: [], users: 0 });
});

test('values are added with the first occurrence only', async () => {
  const { counts } = await play('values', [
    [did('late value', 'u')], [did('late value', 'u', { value: 5 })],
    [did('first value', 'u', { value: 1 })], [did('first value', 'u', { value: 7 })],
    [did('batch', 'a', { value: 0.1 }), did('batch', 'b', { value: 0.2 }), did('batch', 'a', { value: 100 }),
      did('batch', 'c', { value: -0.3 }), did('batch', 'd')],
    [did('zero', 'u', { value: 0 })],
    [did('large', 'u', { value: 1e300 }), did('large', 'v', { value: -1e300 })],
    [did('cancelling', 'u', { value: 1e16 }), did('cancelling', 'v', { value: 1 }), did('cancelling', 'w', { value: -1e16 })],
  ]);
  assert.deepEqual(Object.fromEntries(counts.map(({ name, value }) => [name, value])), {
    batch: { sum: 2 ** -55 }, // the exact sum of the three doubles; adding them one by one gives twice that
    cancelling: { sum: 1 },
    'first value': { sum: 1 },
    large: { sum: 0 },
    'late value': {},
    zero: { sum: 0 },
  });
});

test('a datetime is checked and moves nothing', async () => {
  const good = ['2024-02-29T12:00:00Z', '2024-01-01T00:00:00+01:00', '2024-01-01T00:00:00.123456789-11:30',
    '1999-12-31T23:59:59Z', '2024-01-01t00:00:00z'];
  for (const [index, datetime] of good.entries()) {
    await server.ingest(did('dated', `u${index}`, { namespace: 'dates', datetime }));
  }
  const bad = ['', 'yesterday', '2024-02-30T12:00:00Z', '2023-02-29T00:00:00Z', '2024-01-01', '2024-01-01T00:00:00',
    '2024-13-01T00:00:00Z', '2024-01-01T25:00:00Z', '2024-01-01T00:00:00Zjunk', ' 2024-01-01T00:00:00Z'];
  for (const datetime of bad) {
    const answer = await server.post('/v0/analytics', did('dated', 'late', { namespace: 'dates', datetime }));
    assert.equal(answer.refused(400, 'field_invalid').field, 'datetime', JSON.stringify(datetime));
  }
  const { counts } = await server.analytics('dates');
  assert.deepEqual(counts.map(({ name, type, count }) => [name, type, count]), [['dated', 'named', good.length]]);
});

test('an integer user id is its decimal string', async () => {
  const ids = [0, 42, -7, Number.MAX_SAFE_INTEGER];
  await server.ingest(ids.map((id) => did('integer', id, { namespace: 'integers' })));
  const first = await server.analytics('integers');
  await server.ingest(ids.map((id) => did('integer', String(id), { namespace: 'integers' })));
  assert.deepEqual(await server.analytics('integers'), first);
  assert.equal(first.users, ids.length);
  // 64-bit integers, which JavaScript cannot write as numbers.
  const wide = ['9007199254740993', '18446744073709551615', '-9223372036854775808'];
  for (const id of wide) {
    const text = `{"event_name":"wide","namespace":"integers","user_id":${id}}`;
    const headers = { 'content-type': 'application/json' };
    (await server.request('POST', '/v0/analytics', { body: text, headers })).expect(204);
    await server.ingest(did('wide', id, { namespace: 'integers' }));
  }
  const { counts } = await server.analytics('integers');
  assert.equal(counts.find(({ name }) => name === 'wide').count, wide.length);
  for (const id of ['042', '42.0', '+42', ' 42']) await server.ingest(did('integer', id, { namespace: 'integers' }));
  assert.equal((await server.analytics('integers')).users, first.users + wide.length + 4, 'other spellings are other users');
});

test('goals record what their users had done before, once', async () => {
  const { counts } = await play('goals', [
    'G',
    [did('G', 'nothing before')],
    [did('A', 'u1'), did('B', 'u1'), did('G', 'u1'), did('C', 'u1'), did('G', 'u1')],
    [did('B', 'u2'), did('A', 'u2'), did('A', 'u2')], [did('G', 'u2')],
    [did('A', 'u3'), did('G', 'u3')],
    [did('A', 'never completes')],
  ]);
  const goal = counts.find(({ name }) => name === 'G');
  assert.deepEqual(goal.event_counts, [
    { events: ['A', 'B'], count: 2 }, { events: [], count: 1 }, { events: ['A'], count: 1 },
  ]);
  assert.deepEqual(goal.single_event_counts, [{ name: 'A', count: 3 }, { name: 'B', count: 2 }]);
  assert.equal(goal.event_counts_other, 0);
  assert.ok(counts.filter(({ name }) => name !== 'G').every((event) => !('event_counts_other' in event)));
});

test('order within a batch is kept', async () => {
  await play('order', [
    [did('before', 'u'), did('G', 'u', { ensure_goal: true }), did('after', 'u')],
    [did('G', 'v'), did('before', 'v')],
    [did('after', 'w'), did('before', 'w'), did('G', 'w')],
  ]);
});

test('other goals are part of a combination, the goal itself is not', async () => {
  await play('goals of goals', [
    'first', 'second',
    [did('A', 'u'), did('first', 'u'), did('second', 'u')],
    [did('second', 'v'), did('first', 'v')],
  ]);
});

test('a late goal shows earlier users in its count only', async () => {
  const { counts } = await play('late', [
    [did('A', 'early'), did('G', 'early')], [did('A', 'later')], 'G', [did('G', 'early'), did('G', 'later')],
  ]);
  const goal = counts.find(({ name }) => name === 'G');
  assert.equal(goal.count, 2);
  assert.deepEqual(goal.event_counts, [{ events: ['A'], count: 1 }]);
});

test('ensure_goal works from its event on, also within a batch, and false undoes nothing', async () => {
  const { counts } = await play('ensure', [
    [did('A', 'u'), did('G', 'u'), did('A', 'v'), did('G', 'v', { ensure_goal: true }), did('G', 'w')],
    [did('G', 'x', { ensure_goal: false })],
    [did('repeat', 'u'), did('repeat', 'u', { ensure_goal: true })],
  ]);
  const goal = counts.find(({ name }) => name === 'G');
  assert.equal(goal.count, 4);
  assert.deepEqual(goal.event_counts, [{ events: [], count: 2 }, { events: ['A'], count: 1 }]);
  assert.deepEqual(counts.find(({ name }) => name === 'repeat').event_counts, []);
  assert.deepEqual((await server.get('/v0/goals?namespace=ensure')).expect(200).json(), { goals: ['G', 'repeat'] });
});

test('a goal without a user is listed with count 0', async () => {
  await server.goal('nobody yet', 'unreached');
  assert.deepEqual(await server.analytics('unreached'), {
    counts: [{
      name: 'nobody yet', type: 'named', count: 0, event_counts: [], event_counts_other: 0, single_event_counts: [], value: {},
    }],
    users: 0,
  });
});

test('resending changes no number, in whole or in part', async () => {
  const batch = Array.from({ length: 300 }, (_, i) => did(`E${i % 7}`, `u${i % 41}`, {
    namespace: 'again', value: i / 8, ensure_goal: i % 7 === 3,
  }));
  const model = new Model();
  model.applyAll(batch);
  for (const body of [batch, batch, batch.slice(100), batch[5], [...batch, ...batch]]) {
    await server.ingest(body);
    assert.deepEqual(await server.analytics('again'), model.analytics('again'));
  }
});

test('the same events sent many times at once count once', async () => {
  const batch = Array.from({ length: 60 }, (_, i) => did(`E${i % 4}`, `u${i >> 2}`, {
    namespace: 'at once', value: 0.25, ensure_goal: i % 4 === 3,
  }));
  await Promise.all(Array.from({ length: 20 }, () => server.ingest(batch)));
  const model = new Model();
  model.applyAll(batch);
  assert.deepEqual(await server.analytics('at once'), model.analytics('at once'));
});

test('what is read while others write is consistent, and never goes back', async () => {
  const namespace = 'busy';
  await server.goal('G', namespace);
  let writing = true;
  const reading = (async () => {
    let reads = 0;
    let last = 0;
    while (writing) {
      const { counts, users } = await server.analytics(namespace);
      const goal = counts.find(({ name }) => name === 'G');
      assert.equal(goal.event_counts.reduce((sum, { count }) => sum + count, 0), goal.count, 'every completion has its combination');
      assert.ok(goal.count >= last && users >= goal.count);
      for (const { name, count } of goal.single_event_counts) assert.ok(count <= counts.find((event) => event.name === name).count);
      last = goal.count;
      reads += 1;
    }
    return reads;
  })();
  await Promise.all(Array.from({ length: 4 }, async (_, writer) => {
    for (let i = 0; i < 40; i += 1) {
      await server.ingest(['A', 'B', 'G'].slice(i % 3).map((name) => did(name, `${writer}-${i}`, { namespace })));
    }
  }));
  writing = false;
  assert.ok(await reading > 5);
  assert.equal((await server.analytics(namespace)).counts.find(({ name }) => name === 'G').count, 160);
});

test('names are taken as they are', async (t) => {
  const fresh = await serve(t);
  const names = ['a/b', 'a//b/../c', '"quoted" \\ \'single\'', ' padded ', 'tab-free', '%2F%00',
    'a+b&c=d?e#f', 'Größe', 'Gro\u0308\u00dfe', '購入', 'שלום', '👩‍👩‍👧 checkout', '\ufffd', '\uff5e', '__proto__', 'constructor',
    'default', '.', '..', '<script>', "'; DROP TABLE"];
  const model = new Model();
  for (const namespace of names) {
    const events = [...names.map((name) => did(name, 'u', { namespace })), did('goal', 'u', { namespace, ensure_goal: true })];
    await fresh.ingest(events);
    model.applyAll(events);
  }
  for (const namespace of names) {
    const answer = await fresh.analytics(namespace);
    assert.deepEqual(answer, model.analytics(namespace), namespace);
    assert.equal(answer.users, 1);
  }
  const { namespaces } = (await fresh.get('/v0/namespaces')).expect(200).json();
  for (const name of names) assert.ok(namespaces.includes(name), name);
  assert.deepEqual(namespaces, [...namespaces].sort(byBytes));
});

test('the namespace parameter is percent-decoded', async () => {
  await server.ingest(did('A', 'u', { namespace: 'a b+c/ü' }));
  const spellings = ['a%20b%2Bc%2F%C3%BC', 'a%20b%2bc/%c3%bc', 'a+b%2Bc/%C3%BC', '%61%20b%2Bc%2F%c3%BC'];
  for (const spelling of spellings) {
    const answer = (await server.get(`/v0/analytics?namespace=${spelling}`)).expect(200).json();
    assert.equal(answer.users, 1, spelling);
  }
  const among = (await server.get(`/v0/analytics?unknown=1&namespace=${spellings[0]}&other`)).expect(200).json();
  assert.equal(among.users, 1, 'unknown parameters are ignored');
  const other = (await server.get(`/v0/analytics${query({ namespace: 'a b c/ü' })}`)).expect(200).json();
  assert.equal(other.users, 0);
});

// /v0/retention: grids as they are made, and their numbers beside exact sets as days pass.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { query } from '../harness/client.mjs';
import { did, limited } from '../harness/limits.mjs';
import { isoWeek } from '../harness/model.mjs';
import { seeded } from '../harness/random.mjs';
import { FAULTS, serve } from '../harness/server.mjs';

const DAY_MS = 86_400_000;
const date = (ms) => new Date(ms).toISOString().slice(0, 10);
const dayOf = (text) => Date.parse(text) / DAY_MS;
const weekOf = (text) => isoWeek(new Date(text)).map((part, i) => String(part).padStart(i ? 2 : 4, '0')).join('-W');
const at = (text) => ({ datetime: `${text}T12:00:00Z` });

const SIGNUP = { name: 'signup', start: 'Sign up', return: 'Login', unit: 'week', periods: 12 };
const make = (server, grid = SIGNUP) => server.post('/v0/retention', grid);
const read = (server, parameters = {}) => server.get(`/v0/retention${query(parameters)}`);
const grid = async (server, parameters) => (await read(server, parameters)).expect(200).json();
const remove = (server, parameters) => server.request('DELETE', `/v0/retention${query(parameters)}`);

/** A server whose clock stands at noon of days that tests choose: `to(n)` moves it to the n-th day from today. */
async function withClock(t, options = {}) {
  const server = await serve(t, { build: FAULTS, ...options });
  const noon = Math.floor(Date.now() / DAY_MS) * DAY_MS + DAY_MS / 2;
  const to = async (days) => {
    (await server.post(`/faults/clock?offset_ms=${Math.round(noon + days * DAY_MS - Date.now())}`)).expect(204);
  };
  await to(0);
  return { server, to, day: (days) => date(noon + days * DAY_MS) };
}

test('a grid is made once, listed, and gone when it is deleted', async (t) => {
  const { server, to, day } = await withClock(t, { env: { RETENTIONS_MAX: '2' } });
  assert.deepEqual(await grid(server), { retention: [] });
  const made = (await make(server)).expect(201).json();
  assert.deepEqual(made, { ...SIGNUP, since: day(1) });
  // Its events are registered, and the namespace is there with them.
  assert.equal((await server.get('/v0/namespaces/default')).expect(200).json().events, 2);
  await to(1);
  assert.deepEqual((await make(server)).expect(200).json(), made, 'the same content, a day later');
  for (const other of [{ periods: 11 }, { unit: 'day' }, { start: 'Login' }, { return: 'Buy' }]) {
    (await make(server, { ...SIGNUP, ...other })).refused(409, 'exists');
  }
  const shop = { ...SIGNUP, namespace: 'shop', unit: 'month', periods: 1 };
  assert.deepEqual((await make(server, shop)).expect(201).json(), { ...SIGNUP, unit: 'month', periods: 1, since: day(2) });
  (await make(server, { ...SIGNUP, name: 'again', start: 'Login' })).expect(201);
  limited(await make(server, { ...SIGNUP, name: 'third' }), 507, 'retentions_full', 'RETENTIONS_MAX', 2);
  await server.restart({ signal: 'SIGKILL' });
  await to(1);
  assert.deepEqual((await grid(server)).retention.map(({ name }) => name), ['again', 'signup']);
  assert.deepEqual((await grid(server)).retention[1], made);
  assert.deepEqual((await grid(server, { namespace: 'shop' })).retention.length, 1);

  (await server.request('DELETE', '/v0/events/Login')).refused(409, 'event_in_use');
  for (const round of [1, 2]) (await remove(server, { name: 'again' })).expect(204, `round ${round}`);
  (await remove(server, { name: 'signup' })).expect(204);
  (await server.request('DELETE', '/v0/events/Login')).expect(204);
  assert.deepEqual(await grid(server), { retention: [] });
  (await read(server, { name: 'signup' })).refused(404, 'retention_unknown');
  (await read(server, { namespace: 'none' })).refused(404, 'namespace_unknown');
  (await server.request('DELETE', '/v0/namespaces/shop')).expect(204);
  (await read(server, { namespace: 'shop' })).refused(404, 'namespace_unknown');
});

test('the number of a definition is not given again, so a namespace can have had so many', async (t) => {
  const { server } = await withClock(t, { env: { DEFINITIONS_MAX: '2' } });
  for (const round of [1, 2]) {
    (await make(server)).expect(201, `round ${round}`);
    (await remove(server, { name: 'signup' })).expect(204);
  }
  limited(await make(server), 507, 'definitions_full', 'DEFINITIONS_MAX', 2);
  (await make(server, { ...SIGNUP, namespace: 'shop' })).expect(201);
  (await server.request('DELETE', '/v0/namespaces/shop')).expect(204);
  (await make(server, { ...SIGNUP, namespace: 'shop' })).expect(201);
});

test('what is no grid changes nothing and is told by its field', async (t) => {
  const { server } = await withClock(t);
  const refused = async (field, more, code = 'field_invalid') => {
    assert.equal((await make(server, { ...SIGNUP, ...more })).refused(400, code).field, field);
  };
  for (const field of ['name', 'start', 'return', 'unit', 'periods']) {
    await refused(field, { [field]: undefined }, 'field_missing');
    await refused(field, { [field]: { a: 1 } });
  }
  for (const periods of [0, 32, -1, 1.5, '12', 1e300]) await refused('periods', { periods });
  await refused('unit', { unit: 'year' });
  await refused('namespace', { namespace: 7 });
  await refused('start', { start: 'x'.repeat(300) }, 'name_too_long');
  assert.deepEqual(await grid(server), { retention: [] });
  (await make(server, { ...SIGNUP, periods: 2 })).expect(201);
  for (const lapsed of ['0', '3', '32', '-1', '1.5', '', 'x', '+1']) {
    assert.equal((await read(server, { name: 'signup', lapsed })).refused(400, 'parameter_invalid').field, 'lapsed', lapsed);
  }
  assert.equal((await read(server, { lapsed: '1' })).refused(400, 'field_missing').field, 'name');
  (await remove(server, {})).refused(400, 'field_missing');
  const off = await serve(t, { env: { TIME_FINGERPRINTS_MAX: '0' }, build: FAULTS });
  limited(await make(off), 507, 'retentions_full', 'TIME_FINGERPRINTS_MAX', 0);
});

test('grids are those of exact sets, day by day, with late events, restarts, compactions and closings', async (t) => {
  const { server, to, day } = await withClock(t, { env: { SHARDS: '3' } });
  const GRIDS = [
    { name: 'days', start: 'E0', return: 'E1', unit: 'day', periods: 3 },
    { name: 'weeks', start: 'E1', return: 'E1', unit: 'week', periods: 2 },
  ];
  const { below } = seeded(11);
  const index = { day: (text) => dayOf(text), week: (text) => Math.floor((dayOf(text) + 3) / 7) };
  const text = { day: (text) => text, week: weekOf };
  const seen = new Set();
  const [cohorts, returns] = [new Map(), new Set()];
  // Those who did the start event before a grid counts are in none of its cohorts, and the isolate has learnt the names by then.
  await server.ingest([did('E0', 'early'), did('E1', 'early')]);
  seen.add('E0 early').add('E1 early');
  for (const one of GRIDS) (await make(server, one)).expect(201);
  await server.ingest([did('E0', 'today'), did('E1', 'today')]);
  seen.add('E0 today').add('E1 today');
  const DAYS = 12;
  for (let now = 1; now <= DAYS; now += 1) {
    await to(now);
    const events = Array.from({ length: 120 }, () => {
      const [name, user, late] = [`E${below(3)}`, `u${below(20 + 8 * now)}`, [0, 0, 0, 0, 1, 2, 3, -1][below(8)]];
      const on = day(now - late);
      const isFirst = !seen.has(`${name} ${user}`);
      seen.add(`${name} ${user}`);
      for (const { name: of, start, return: back, unit } of late <= 2 && now - late >= 1 ? GRIDS : []) {
        if (name === start && isFirst) cohorts.set(`${of} ${user}`, on);
        if (name === back) returns.add(`${of} ${user} ${index[unit](on)}`);
      }
      return did(name, user, late === 0 ? {} : at(on));
    });
    for (let i = 0; i < events.length; i += 30) await server.ingest(events.slice(i, i + 30));
    if (now === 4) {
      for (const shard of [0, 1, 2]) (await server.post(`/faults/compact?index=${shard}`)).expect(204);
    }
    if (now === 4 || now === 7) {
      await server.restart({ signal: 'SIGKILL' });
      await to(now);
    }
  }
  const expected = ({ name, unit, periods }, now) => {
    const today = index[unit](day(now));
    const rows = new Map();
    for (let nth = 1; nth <= now; nth += 1) {
      const from = index[unit](day(nth));
      rows.set(from, rows.get(from) ?? { cohort: text[unit](day(nth)), users: 0, returned: Array(periods).fill(0), on_or_after: Array(periods).fill(0), last: [] });
    }
    for (const [key, on] of cohorts) {
      const [of, user] = key.split(' ');
      const row = of === name && rows.get(index[unit](on));
      if (!row) continue;
      row.users += 1;
      const back = row.returned.map((_, nth) => nth + 1).filter((behind) => returns.has(`${name} ${user} ${index[unit](on) + behind}`));
      for (const behind of back) row.returned[behind - 1] += 1;
      for (let behind = 1; behind <= (back.at(-1) ?? 0); behind += 1) row.on_or_after[behind - 1] += 1;
      row.last.push(index[unit](on) + (back.at(-1) ?? 0));
    }
    for (const [from, row] of rows) {
      for (let behind = 1; behind <= periods; behind += 1) {
        if (from + behind > today) row.returned[behind - 1] = row.on_or_after[behind - 1] = null;
      }
    }
    return { rows, today };
  };
  for (const now of [DAYS, DAYS + 60]) {
    await to(now);
    for (const one of GRIDS) {
      const { rows, today } = expected(one, now);
      const found = await grid(server, { name: one.name });
      const bare = found.rows.map(({ cohort, users, returned, on_or_after }) => ({ cohort, users, returned, on_or_after }));
      assert.deepEqual(bare, [...rows.values()].map(({ last, ...row }) => row), `${one.name} on day ${now}`);
      for (const [at, { state, complete }] of found.rows.entries()) {
        const [from] = [...rows.keys()].slice(at);
        if (from + one.periods >= today) assert.equal(state, 'open');
        else if (now > DAYS && at < DAYS) assert.equal(state, 'closed');
        assert.equal(complete, one.unit === 'day' || at > 0 || index.week(day(1)) !== index.week(day(0)));
      }
      const over = (behind) => [...rows].filter(([from]) => from + behind < today).map(([, row]) => row);
      const sum = (list) => list.reduce((total, each) => total + each, 0);
      for (const [nth, share] of found.average.entries()) {
        const users = sum(over(nth + 1).map((row) => row.users));
        assert.equal(share, users === 0 ? null : sum(over(nth + 1).map((row) => row.returned[nth])) / users);
      }
      const lapsed = await grid(server, { name: one.name, lapsed: 2 });
      const old = [...rows].filter(([from]) => from + 2 <= today && from + one.periods >= today);
      assert.deepEqual(lapsed, { name: one.name, lapsed: 2, rows: old.map(([, { cohort, last }]) => ({ cohort, users: last.filter((each) => each <= today - 2).length })) });
    }
  }
  // Made anew under its name, it counts from nothing.
  (await remove(server, { name: 'days' })).expect(204);
  (await make(server, GRIDS[0])).expect(201);
  await to(DAYS + 61);
  await server.ingest([did('E0', 'new'), did('E1', 'new')]);
  const { rows } = await grid(server, { name: 'days' });
  assert.deepEqual(rows.map(({ users }) => users), [1]);
});

test('a grid that is made before a replay begins has all of its history', async (t) => {
  const { server, day } = await withClock(t, { env: { SHARDS: '2' } });
  const monday = (weeks, days = 0) => day(-((dayOf(day(0)) + 3) % 7) - 7 * weeks + days);
  (await server.post('/v0/namespaces', { namespace: 'log', clock: 'replay' })).expect(201);
  const made = (await make(server, { ...SIGNUP, namespace: 'log', unit: 'week', periods: 2 })).expect(201).json();
  assert.equal(made.since, null);
  assert.deepEqual((await grid(server, { namespace: 'log', name: 'signup' })).rows.map(({ users }) => users), [0]);
  const send = (...events) => server.ingest(events.map((event) => ({ ...event, namespace: 'log' })));
  await send(did('Sign up', 'ann', at(monday(9))), did('Sign up', 'bob', at(monday(9, 1))));
  await send(did('Login', 'ann', at(monday(8, 1))), did('Sign up', 'cid', at(monday(8, 1))));
  await send(did('Login', 'ann', at(monday(7, 1))), did('Login', 'cid', at(monday(7, 1))));
  const { since, rows } = await grid(server, { namespace: 'log', name: 'signup' });
  assert.equal(since, null);
  assert.deepEqual(rows.map(({ cohort, users, returned, on_or_after, complete }) => [cohort, users, returned, on_or_after, complete]), [
    [weekOf(monday(9)), 2, [1, 1], [1, 1], true], [weekOf(monday(8)), 1, [1, null], [1, null], true], [weekOf(monday(7)), 0, [null, null], [null, null], true],
  ]);
  (await server.post('/v0/namespaces', { namespace: 'log', clock: 'live' })).expect(204);
  const live = await grid(server, { namespace: 'log', name: 'signup' });
  assert.deepEqual(live.rows[0], { ...rows[0], state: 'closed' });
  // One that is made within a replay counts from the day after its present one.
  (await server.post('/v0/namespaces', { namespace: 'later', clock: 'replay' })).expect(201);
  await server.ingest([{ ...did('Sign up', 'ann', at(monday(9))), namespace: 'later' }]);
  assert.equal((await make(server, { ...SIGNUP, namespace: 'later' })).expect(201).json().since, monday(9, 1));
});

test('numbers of few users are hidden', async (t) => {
  const { server, to } = await withClock(t, { env: { GROUP_USERS_MIN: '5' } });
  (await make(server, { ...SIGNUP, unit: 'day', periods: 2 })).expect(201);
  await to(1);
  await server.ingest(Array.from({ length: 9 }, (_, user) => did('Sign up', user)));
  await to(2);
  await server.ingest([...Array.from({ length: 6 }, (_, user) => did('Login', user)), ...Array.from({ length: 4 }, (_, user) => did('Sign up', `b${user}`))]);
  await to(3);
  await server.ingest(Array.from({ length: 3 }, (_, user) => did('Login', user)));
  const { rows, average } = await grid(server, { name: 'signup' });
  const shown = ({ users, returned, on_or_after, suppressed }) => [users, returned, on_or_after, suppressed];
  assert.deepEqual(rows.map(shown), [
    [9, [6, null], [6, null], true], [null, [null, null], [null, null], true], [null, [null, null], [null, null], true],
  ]);
  assert.deepEqual(average, [6 / 9, null], 'of the first cohort alone: of the second that period is not over');
  assert.deepEqual((await grid(server, { name: 'signup', lapsed: 1 })).rows.map(({ users, suppressed }) => [users, suppressed]), [[6, undefined], [null, true]]);
  await to(4);
  assert.deepEqual((await grid(server, { name: 'signup' })).average, [null, null], 'one of its numbers is hidden');
});

test('beyond TIME_FINGERPRINTS_MAX rows say for good that they are not complete', async (t) => {
  const { server, to } = await withClock(t, { env: { TIME_FINGERPRINTS_MAX: '10', SHARDS: '1' } });
  (await make(server, { ...SIGNUP, unit: 'day', periods: 3 })).expect(201);
  await to(1);
  await server.ingest(Array.from({ length: 40 }, (_, user) => did('Sign up', user)));
  for (const now of [1, 2, 30]) {
    await to(now);
    const [row] = (await grid(server, { name: 'signup' })).rows;
    assert.deepEqual([row.users <= 40, row.complete], [true, false]);
  }
  assert.equal((await server.analytics()).users, 40);
});

// GET /v0/series: daily, weekly and monthly users beside exact sets, as days pass, and what remains of a closed day.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { query } from '../harness/client.mjs';
import { filesUnder } from '../harness/files.mjs';
import { did } from '../harness/limits.mjs';
import { isoWeek } from '../harness/model.mjs';
import { seeded } from '../harness/random.mjs';
import { FAULTS, serve } from '../harness/server.mjs';
import { unpacked } from '../harness/snapshot.mjs';
import { images, tables } from '../harness/sqlite.mjs';

const DAY_MS = 86_400_000;
const date = (ms) => new Date(ms).toISOString().slice(0, 10);
const week = (text) => isoWeek(new Date(text)).map((part, i) => String(part).padStart(i ? 2 : 4, '0')).join('-W');
const periodOf = { day: (text) => text, week, month: (text) => text.slice(0, 7) };
const at = (text) => ({ datetime: `${text}T12:00:00Z` });

const series = async (server, parameters = {}) => (await server.get(`/v0/series${query(parameters)}`)).expect(200).json();
/** The numbers of the periods in which somebody was. */
const users = ({ points }) => Object.fromEntries(points.filter((point) => point.users).map((point) => [point.period, point.users]));
const firsts = ({ points }) => Object.fromEntries(points.filter((point) => point.first_users).map((point) => [point.period, point.first_users]));
const values = ({ points }) => Object.fromEntries(points.filter((point) => point.value !== null).map((point) => [point.period, point.value]));

/** A server whose clock stands at noon of days that tests choose: `to(n)` moves it to the n-th day from today. */
async function withClock(t, options = {}) {
  const server = await serve(t, { build: FAULTS, ...options });
  const noon = Math.floor(Date.now() / DAY_MS) * DAY_MS + DAY_MS / 2;
  const to = async (days, ms = 0) => {
    (await server.post(`/faults/clock?offset_ms=${Math.round(noon + days * DAY_MS + ms - Date.now())}`)).expect(204);
  };
  await to(0);
  return { server, to, day: (days) => date(noon + days * DAY_MS) };
}

test('series are those of exact sets, day by day, with late events, restarts and closings', async (t) => {
  const { server, to, day } = await withClock(t);
  const { below } = seeded(7);
  const exact = new Map();
  const seen = new Set();
  const count = (kind, of, text, user) => {
    for (const unit of ['day', 'week', 'month']) {
      const key = [kind, of, unit, periodOf[unit](text)].join();
      exact.set(key, (exact.get(key) ?? new Set()).add(user));
    }
  };
  for (let now = 0; now < 9; now += 1) {
    await to(now);
    const events = Array.from({ length: 200 }, () => {
      const [name, user, late] = [`E${below(3)}`, below(60), [0, 0, 0, 1, 2, 3, -1, -2][below(8)]];
      const text = day(now - late);
      if (late <= 2 && late >= -1) {
        for (const of of ['', name]) {
          count('users', of, text, user);
          if (!seen.has(`${of} ${user}`)) count('first_users', of, text, user);
        }
      }
      seen.add(` ${user}`).add(`${name} ${user}`);
      return did(name, user, late === 0 ? {} : at(text));
    });
    for (let i = 0; i < events.length; i += 40) await server.ingest(events.slice(i, i + 40));
    if (now === 4) {
      await server.restart({ signal: 'SIGKILL' });
      await to(now);
    }
  }
  for (const later of [8, 40]) {
    await to(later);
    for (const of of ['', 'E0', 'E1', 'E2']) {
      for (const unit of of ? ['day', 'week'] : ['day', 'week', 'month']) {
        const found = await series(server, { unit, from: day(-2), to: day(12), ...of && { event: of } });
        const expected = (kind) => Object.fromEntries([...exact].map(([key, set]) => [key.split(','), set.size])
          .filter(([[k, o, u]]) => k === kind && o === of && u === unit).map(([[, , , period], size]) => [period, size]).sort());
        assert.deepEqual(users(found), expected('users'), `${of} by ${unit} on day ${later}`);
        assert.deepEqual(firsts(found), expected('first_users'), `first users of ${of} by ${unit} on day ${later}`);
        // Late events of the days before the namespace was made count, and are not all that there may have been.
        if (unit === 'day') for (const point of found.points) assert.equal(point.complete, point.period >= found.since, point.period);
      }
    }
  }
});

test('every period of the range is listed, with its state, since when, and the one before', async (t) => {
  const { server, to, day } = await withClock(t);
  await server.ingest([did('Login', 'ann'), did('Login', 'bob', at(day(-1))), did('Buy', 'ann', { value: 2.5 })]);
  await to(1);
  await server.ingest([did('Login', 'ann'), did('Buy', 'bob', { value: 4 })]);
  const found = await series(server, { event: 'Login', from: day(-4), to: day(2), compare: 'previous' });
  const point = (text, n, first, state, complete = true) => ({ period: text, users: n, first_users: first, value: null, state, complete });
  assert.deepEqual(found, {
    event: 'Login', unit: 'day', since: day(0),
    points: [
      ...[-4, -3, -2].map((n) => point(day(n), null, null, n < -1 ? 'closed' : 'late', false)),
      // A late event of the day before the namespace was made.
      point(day(-1), 1, 1, 'late', false),
      point(day(0), 1, 1, 'late'),
      point(day(1), 1, 0, 'open'),
      point(day(2), 0, 0, 'open'),
    ],
    previous: { from: day(-11), to: day(-5), points: [-11, -10, -9, -8, -7, -6, -5].map((n) => point(day(n), null, null, 'closed', false)) },
  });
  const buy = await series(server, { event: 'Buy', from: day(0), to: day(1) });
  assert.deepEqual([users(buy), firsts(buy), values(buy)], [{ [day(0)]: 1, [day(1)]: 1 }, { [day(0)]: 1, [day(1)]: 1 }, { [day(0)]: 2.5, [day(1)]: 4 }]);
  const anybody = await series(server, { unit: 'month', from: day(1) });
  assert.deepEqual([anybody.event, anybody.unit, users(anybody)[day(1).slice(0, 7)]], [null, 'month', 2]);

  const all = await series(server, { event: '*', unit: 'week', from: day(0), to: day(0), compare: 'previous' });
  assert.deepEqual(Object.keys(all), ['unit', 'since', 'series']);
  assert.deepEqual(all.series.map(({ event, points, previous }) => [event, points.length, previous.points.length]), [['Buy', 1, 1], ['Login', 1, 1]]);
  const [alone] = [await series(server, { event: 'Buy', unit: 'week', from: day(0), to: day(0), compare: 'previous' })];
  assert.deepEqual(all.series[0], { event: 'Buy', points: alone.points, previous: alone.previous });

  for (const [unit, length] of [['day', 30], ['week', 12], ['month', 12]]) {
    const { points } = await series(server, { unit });
    assert.deepEqual([points.length, points.at(-1).period], [length, periodOf[unit](day(1))], unit);
  }
});

test('an event beyond SERIES_EVENTS_MAX, or by month, has no series and says so', async (t) => {
  const { server } = await withClock(t, { env: { SERIES_EVENTS_MAX: '1' } });
  await server.ingest([did('First', 'ann'), did('Second', 'ann')]);
  for (const parameters of [{ event: 'Second' }, { event: 'First', unit: 'month' }]) {
    const found = await series(server, parameters);
    assert.deepEqual([found.series, found.points], [false, []]);
  }
  assert.equal((await series(server, { event: 'First' })).points.at(-1).users, 1);
  assert.deepEqual((await series(server, { event: '*' })).series.map(({ event }) => event), ['First']);
  assert.equal((await series(server)).points.at(-1).users, 1);
});

test('which series an event has can be chosen, from the next day on, and takes the place of another one', async (t) => {
  const { server, to, day } = await withClock(t, { env: { SERIES_EVENTS_MAX: '1', SHARDS: '4' } });
  const choose = (event, units, more = {}) => server.post('/v0/series', { event, units, ...more });
  const all = (name) => Array.from({ length: 20 }, (_, user) => did(name, user));
  const count = async (event, unit = 'day') => {
    const found = await series(server, { event, unit });
    return found.series === false ? null : users(found);
  };
  await server.ingest([...all('First'), ...all('Second')]);
  (await choose('Second', ['day'])).refused(507, 'series_full');
  assert.deepEqual((await choose('First', ['week', 'day'])).expect(200).json(), { event: 'First', units: ['day', 'week'], from: null });

  // Off, and on for the other, from tomorrow.
  assert.deepEqual((await choose('First', [])).expect(201).json(), { event: 'First', units: [], from: day(1) });
  assert.deepEqual((await choose('Second', ['day', 'month'])).expect(201).json(), { event: 'Second', units: ['day', 'month'], from: day(1) });
  assert.deepEqual((await choose('Second', ['month', 'day', 'day'])).expect(200).json(), { event: 'Second', units: ['day', 'month'], from: day(1) });
  (await choose('First', ['day'])).refused(507, 'series_full');
  await server.ingest([did('First', 'late'), did('Second', 'late')]);
  assert.deepEqual(await count('First'), { [day(0)]: 21 }, 'what it has today ends with today');
  assert.deepEqual(await count('Second'), {});
  assert.deepEqual((await series(server, { event: '*' })).series.map(({ event }) => event), ['First', 'Second']);

  await to(1);
  await server.stop('SIGKILL');
  await server.start();
  await to(1);
  await server.ingest([...all('First'), ...all('Second'), did('Second', 'new')]);
  assert.equal(await count('First'), null);
  assert.equal(await count('Second', 'week'), null);
  assert.deepEqual(await count('Second'), { [day(1)]: 21 });
  const months = await series(server, { event: 'Second', unit: 'month' });
  assert.deepEqual([months.since, months.points.at(-1).users, months.points.at(-1).complete], [day(1), 21, day(1).endsWith('-01')]);
  const listed = await series(server, { event: '*' });
  assert.deepEqual(listed.series.map(({ event }) => event), ['Second']);

  // What was there today goes on without a gap; what comes anew begins tomorrow.
  assert.deepEqual((await choose('Second', ['day', 'week'])).expect(201).json(), { event: 'Second', units: ['day', 'week'], from: day(2) });
  await to(2);
  await server.ingest([did('Second', 'ann')]);
  assert.deepEqual(await count('Second'), { [day(1)]: 21, [day(2)]: 1 });
  assert.equal(await count('Second', 'month'), null);
  assert.deepEqual((await series(server, { event: 'Second', unit: 'week' })).since, day(2));
  assert.deepEqual((await series(server, { event: 'Second' })).since, day(1));

  // An event of the name of a deleted one has none of it.
  (await server.request('DELETE', '/v0/events/Second')).expect(204);
  await server.ingest([did('Second', 'ann')]);
  assert.equal(await count('Second'), null);
  (await choose('Second', ['day'])).expect(201);
});

test('a series that cannot be is refused, and changes nothing', async (t) => {
  const server = await serve(t);
  await server.ingest([did('Login', 'ann')]);
  const refused = async (body, status, code, field) => {
    const error = (await server.post('/v0/series', body)).refused(status, code);
    assert.equal(error.field, field);
  };
  await refused({ units: [] }, 400, 'field_missing', 'event');
  await refused({ event: 'Login' }, 400, 'field_missing', 'units');
  await refused({ event: 'Login', units: null }, 400, 'field_missing', 'units');
  for (const units of ['day', {}, ['hour'], ['day', null], ['Day'], [['day']], 1]) await refused({ event: 'Login', units }, 400, 'field_invalid', 'units');
  await refused({ event: 1.5, units: [] }, 400, 'field_invalid', 'event');
  await refused([], 400, 'json_invalid');
  await refused({ event: 'Nothing', units: ['day'] }, 404, 'event_unknown');
  await refused({ event: 'Login', units: ['day'], namespace: 'nowhere' }, 404, 'namespace_unknown');
  assert.deepEqual((await server.post('/v0/series', { event: 'Login', units: ['day', 'week'] })).expect(200).json(), { event: 'Login', units: ['day', 'week'], from: null });
});

test('wrong questions are told what is wrong', async (t) => {
  const server = await serve(t);
  const refused = async (parameters, status, code, parameter) => {
    const error = (await server.get(`/v0/series${query(parameters)}`)).refused(status, code);
    assert.equal(error.field, parameter);
  };
  for (const [parameters, parameter] of [
    [{ unit: 'hour' }, 'unit'], [{ unit: '' }, 'unit'], [{ from: '2026-02-30' }, 'from'], [{ to: '2026-W01' }, 'to'], [{ from: '2026-02-02T00:00:00Z' }, 'from'],
    [{ from: '2026-02-02', to: '2026-02-01' }, 'from'], [{ from: '2020-01-01', to: '2026-02-01' }, 'from'], [{ compare: 'next' }, 'compare'], [{ event: '' }, 'event'],
  ]) await refused(parameters, 400, 'parameter_invalid', parameter);
  await refused({ event: 'e'.repeat(257) }, 400, 'name_too_long', 'event');
  await refused({ event: 'Nothing' }, 404, 'event_unknown');
  await refused({ namespace: 'nowhere' }, 404, 'namespace_unknown');
  const empty = await series(server);
  assert.equal(empty.points.length, 30);
  assert.deepEqual(users(empty), {});
  await server.ingest([did('Login', 'ann')]);
  await refused({ event: 'login' }, 404, 'event_unknown');
  for (const [parameters, length] of [[{ from: '0000-01-01', to: '0000-01-03' }, 3], [{ from: '9999-12-30', to: '9999-12-31' }, 2], [{ unit: 'week', from: '0000-01-01', to: '0000-01-03' }, 2]]) {
    assert.equal((await series(server, parameters)).points.length, length);
  }
});

test('a deleted event has no series, and one of its name begins anew', async (t) => {
  const { server, day } = await withClock(t);
  await server.ingest([did('Login', 'ann'), did('Buy', 'ann')]);
  (await server.request('DELETE', '/v0/events/Login')).expect(204);
  (await server.get('/v0/series?event=Login')).refused(404, 'event_unknown');
  await server.ingest([did('Login', 'bob')]);
  assert.deepEqual(users(await series(server, { event: 'Login' })), { [day(0)]: 1 });
  assert.deepEqual(users(await series(server)), { [day(0)]: 2 }, 'who did it stays among anybody');
  (await server.request('DELETE', '/v0/namespaces/default')).expect(204);
  assert.deepEqual(users(await series(server)), {});
});

test('answers to ingest say what pages must keep, on which day', async (t) => {
  const { server, to, day } = await withClock(t, { env: { ALLOWED_ORIGINS: 'https://shop.example' } });
  const send = async (event) => (await server.request('POST', '/v0/analytics', { json: event, headers: { origin: 'https://shop.example' } })).expect(204).headers;
  const headers = await send(did('Login', 'ann'));
  assert.equal(headers['kimball-keep'], `day; day=${day(0)}`);
  assert.match(headers['access-control-expose-headers'], /kimball-keep/);
  assert.equal(headers['kimball-weeks'], undefined);
  assert.equal((await send(did('Login', 'bob', at(day(1)))))['kimball-weeks'], undefined);
  assert.equal((await send(did('Login', 'cid', at(day(2)))))['kimball-weeks'], 'later');
  await to(1);
  assert.equal((await send(did('Login', 'ann')))['kimball-keep'], `day; day=${day(1)}`);
  await server.restart({ env: { TIME_FINGERPRINTS_MAX: '0' } });
  for (const parameters of [{}, { event: 'Login' }]) assert.deepEqual(Object.entries(await series(server, parameters)).filter(([key]) => key === 'series'), [['series', false]]);
  assert.deepEqual((await series(server, { event: '*' })).series, []);
  assert.match((await send(did('Login', 'ann')))['kimball-keep'], /^week; day=/);
});

test('beyond TIME_FINGERPRINTS_MAX the largest sets go over, and say so for good; counters do not suffer', async (t) => {
  const { server, to, day } = await withClock(t, { env: { TIME_FINGERPRINTS_MAX: '250', SHARDS: '1' } });
  for (const of of ['a', 'b']) await server.ingest(Array.from({ length: 60 }, (_, i) => did('Login', `${of}${i}`)));
  assert.equal((await server.analytics()).users, 120);
  const all = await Promise.all(['day', 'week', 'month'].flatMap((unit) => [series(server, { unit }), ...unit === 'month' ? [] : [series(server, { event: 'Login', unit })]]));
  const last = all.map(({ points }) => points.at(-1));
  assert.ok(last.every(({ users: n, complete }) => (complete ? n === 120 : n <= 120)), JSON.stringify(last));
  assert.ok(last.some(({ complete }) => !complete) && last.some(({ complete }) => complete));
  await server.restart({ env: { TIME_FINGERPRINTS_MAX: '1000000' } });
  await to(0);
  await server.ingest([did('Login', 'new')]);
  const later = (await series(server)).points.at(-1);
  // The set takes nobody any more; who comes for the first time is known to be there.
  assert.deepEqual([later.complete, later.users, later.first_users], [last[0].complete, 121, 121]);
  await to(1);
  await server.ingest([did('Login', 'new')]);
  assert.deepEqual((await series(server, { from: day(1) })).points, [{ period: day(1), users: 1, first_users: 0, value: null, state: 'open', complete: true }]);
});

// Sets of many pages, of less than one, and of some that grow: `SQLite` moves what lies on the pages of a table, and leaves copies.
for (const [shards, users, batches] of [['1', 1_000, 3], ['4', 600, 1], ['4', 200, 20]]) {
  test(`shards that nobody asks close their days by themselves, and no file has fingerprints of a closed day: ${shards} with ${batches} times ${users}`, { timeout: 90_000 }, async (t) => {
    const { server, to, day } = await withClock(t, { env: { SHARDS: shards, COMPACTION_DELAY_MS: '50', HASH_KEY: '11'.repeat(32) } });
    const EVENTS = ['Login', 'View', 'Cart', 'Buy'];
    const windows = new Set();
    const setsOfTheDay = () => tables(server.stateDir, 'snapshot').flatMap(({ rows }) => rows)
      .map(({ rowid, values: [id, row] }) => ({ number: Math.floor((id ?? rowid) / 256), row }))
      .filter(({ number }) => [3, 4].includes(Math.floor(number / 2 ** 38)) && number % 2 ** 24 < 2 ** 22)
      .map(({ row }) => unpacked(row));
    // Each compaction replaces the sets by longer ones.
    for (let n = 0; n < batches; n += 1) {
      await server.ingest(Array.from({ length: users * EVENTS.length }, (_, i) => did(EVENTS[i % EVENTS.length], `user ${Math.floor(i / EVENTS.length)} ${n}`)));
      for (let shard = 0; shard < Number(shards); shard += 1) (await server.post(`/faults/compact?namespace=default&index=${shard}`)).expect(204);
      const rows = setsOfTheDay();
      assert.equal(rows.length, Number(shards) * (EVENTS.length + 1));
      for (const row of rows) {
        for (let i = 64; i + 32 <= row.length; i += 32) windows.add(row.subarray(i, i + 32).toString('latin1'));
      }
    }
    const found = () => {
      const all = images(server.stateDir).map((image) => image.toString('latin1'));
      return [...windows].filter((window) => all.some((image) => image.includes(window))).length;
    };
    assert.ok(found() > 50, 'they are there as long as the day is open');
    const count = { [day(0)]: users * batches };
    // Six hours behind the begin of the day on which it closes, all shards have; the alarm is on the clock of the machine.
    await to(3, 7 * 3_600_000);
    assert.deepEqual(await usersOf(server, day(0)), count);
    const deadline = Date.now() + 20_000;
    while (setsOfTheDay().length > 0 && Date.now() < deadline) await new Promise((resolve) => { setTimeout(resolve, 100); });
    assert.deepEqual(setsOfTheDay(), []);
    assert.equal(found(), 0);
    assert.ok(filesUnder(server.stateDir).length > 0);
    assert.deepEqual(await usersOf(server, day(0)), count);
  });
}

async function usersOf(server, day) {
  return users(await series(server, { event: 'Login', from: day, to: day }));
}

test('days that closed because the clock was ahead say that somebody is missing', async (t) => {
  const { server, to, day } = await withClock(t, { env: { SHARDS: '1' } });
  await server.ingest([did('Login', 'ann'), did('Login', 'bob')]);
  await to(10);
  (await server.get('/v0/series')).expect(200);
  await to(0);
  const read = async () => (await series(server, { event: 'Login', from: day(-1), to: day(1) })).points.map(({ users: count, complete }) => [count, complete]);
  assert.deepEqual((await read())[1], [2, true], 'nobody is missing yet');
  await server.ingest([did('Login', 'cid')]);
  assert.deepEqual((await read())[1], [2, false]);
  await to(1);
  await server.ingest([did('Login', 'dan')]);
  await server.restart();
  await to(1);
  assert.deepEqual((await read()).slice(1), [[2, false], [0, false]]);
  await to(9);
  await server.ingest([did('Login', 'eve'), did('Login', 'ann')]);
  const later = await series(server, { event: 'Login', from: day(9), to: day(9) });
  assert.deepEqual(later.points.map(({ users: count, complete }) => [count, complete]), [[2, true]]);
});

test('days on which series were switched off say that somebody is missing', async (t) => {
  const server = await serve(t, { env: { SHARDS: '1', TIME_FINGERPRINTS_MAX: '0' } });
  await server.ingest([did('Login', 'ann')]);
  await server.restart({ env: { TIME_FINGERPRINTS_MAX: '1000' } });
  await server.ingest([did('Login', 'bob')]);
  const { points } = await series(server, { event: 'Login' });
  assert.deepEqual([points.at(-1).users, points.at(-1).complete], [1, false]);
});

test('an alarm closes what no question for series has closed', async (t) => {
  // What it counts on a clock that is behind is long over on that of the machine.
  const { server, to } = await withClock(t, { env: { SHARDS: '1', COMPACTION_DELAY_MS: '50', LATENESS_DAYS: '0' } });
  await to(-40);
  await server.ingest([did('Login', 'ann')]);
  (await server.post('/faults/compact?namespace=default&index=0')).expect(204);
  const sets = () => tables(server.stateDir, 'snapshot').flatMap(({ rows }) => rows).map(({ rowid, values: [id] }) => Math.floor((id ?? rowid) / 256 / 2 ** 38)).filter((kind) => kind === 3 || kind === 4).length;
  assert.equal(sets(), 5);
  await server.restart();
  (await server.get('/v0/analytics')).expect(200);
  const deadline = Date.now() + 20_000;
  while (sets() > 0 && Date.now() < deadline) await new Promise((resolve) => { setTimeout(resolve, 100); });
  assert.equal(sets(), 0);
});

test('on a clock that runs faster an alarm closes the day in as much less time, and not before midnight', async (t) => {
  const { server, day } = await withClock(t, { env: { SHARDS: '1', COMPACTION_DELAY_MS: '3600000', LATENESS_DAYS: '0' } });
  const speed = 7_200;
  const daySets = () => tables(server.stateDir, 'snapshot').flatMap(({ rows }) => rows)
    .map(({ rowid, values: [id] }) => Math.floor((id ?? rowid) / 256))
    .filter((number) => [3, 4].includes(Math.floor(number / 2 ** 38)) && number % 2 ** 24 < 2 ** 22).length;
  const present = async () => (await server.get('/v0/namespaces/default')).expect(200).json().today;
  const evening = Date.parse(day(0)) + 18 * 3_600_000;
  const start = Date.now();
  (await server.post(`/faults/clock?offset_ms=${evening - start}&speed=${speed}`)).expect(204);
  await server.ingest([did('Login', 'ann')]);
  (await server.post('/faults/compact?namespace=default&index=0')).expect(204);
  assert.equal(daySets(), 2);
  assert.equal(await present(), day(0));
  while (daySets() > 0 && Date.now() - start < 20_000) await new Promise((resolve) => { setTimeout(resolve, 50); });
  const took = Date.now() - start;
  assert.ok(took >= 6 * 3_600_000 / speed && took < 20_000, `${took} ms`);
  assert.equal(await present(), day(1));
});

// Predictions and nudges: every number compared with the formulas, computed from what GET /v0/analytics answers, and
// `probability` shown to be calibrated on users that were held out.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { query } from '../harness/client.mjs';
import { assertAfterEvents, assertClose, nudges, perEvent } from '../harness/predictions.mjs';
import { seeded } from '../harness/random.mjs';
import { serve } from '../harness/server.mjs';

const server = await serve({ after });
const did = (event_name, user_id, more = {}) => ({ event_name, user_id, ...more });

const predict = async (namespace, parameters = {}, on = server) => (
  await on.get(`/v0/predictions${query({ namespace, ...parameters })}`)).expect(200).json();
const predictEvents = async (namespace, events, on = server) => (
  await on.get(`/v0/predictions${query({ namespace })}${events.map((event) => `&event=${encodeURIComponent(event)}`).join('')}`)).expect(200).json();
const goalsOf = async (namespace, on = server) => (await on.get(`/v0/goals${query({ namespace })}`)).expect(200).json().goals;
const nudge = async (namespace, goal, user_id, on = server) => (
  await on.get(`/v0/nudges${query({ goal, user_id, namespace })}`)).expect(200).json();

const EVENTS = ['A', 'B', 'C & D', 'é/"', 'never before a goal'];
const GOALS = ['buy', 'subscribe + pay', 'late'];

/** Random users; `late` becomes a goal in the middle. Returns what each user has done. */
async function shop(on, namespace, { users = 300, seed = 11 } = {}) {
  const random = seeded(seed);
  const done = new Map();
  await on.goal('buy', namespace);
  await on.goal('nobody reaches this', namespace);
  for (let from = 0; from < users; from += 50) {
    if (from >= users / 2) await on.goal('late', namespace);
    const batch = [];
    for (let user = from; user < Math.min(users, from + 50); user += 1) {
      const steps = EVENTS.slice(0, 4).filter((_, i) => random.chance([0.7, 0.4, 0.3, 0.1][i]));
      if (random.chance(0.2 + 0.1 * steps.length)) steps.splice(random.below(steps.length + 1), 0, 'buy');
      if (random.chance(0.15)) steps.push('subscribe + pay');
      if (random.chance(0.3)) steps.push('late');
      if (random.chance(0.2)) steps.push('never before a goal');
      done.set(`u${user}`, steps);
      for (const name of steps) batch.push(did(name, `u${user}`, { namespace, ...(name === 'subscribe + pay' ? { ensure_goal: true } : {}) }));
    }
    await on.ingest(batch);
  }
  return done;
}

for (const shards of ['1', '4']) {
  test(`all three modes and nudges agree with the formulas, over ${shards} shards`, async (t) => {
    const own = await serve(t, { env: { SHARDS: shards } });
    const namespace = 'shop & more';
    const done = await shop(own, namespace);
    const check = async () => {
      const analytics = await own.analytics(namespace);
      const goals = await goalsOf(namespace, own);
      assert.deepEqual([...goals].sort(), [...GOALS, 'nobody reaches this'].sort());

      const all = await predict(namespace, {}, own);
      assertClose(all, perEvent(analytics, goals));
      assert.deepEqual(Object.keys(all.goals).sort(), [...GOALS].sort());
      for (const { events } of Object.values(all.goals)) {
        for (const { bayes, probability } of Object.values(events)) assert.ok(bayes >= 0 && bayes <= 1 && probability > 0 && probability < 1);
      }

      for (const events of [['A'], ['A', 'B'], [...EVENTS], ['A', 'buy'], ['é/"', 'subscribe + pay', 'late'], [...EVENTS, ...GOALS],
        ['never before a goal'], ['nobody reaches this'], ['A', 'nobody reaches this']]) {
        assertAfterEvents(await predictEvents(namespace, events, own), analytics, goals, events);
      }
      const repeated = await predictEvents(namespace, ['B', 'A', 'B', 'A', 'A'], own);
      assert.deepEqual(repeated, await predictEvents(namespace, ['A', 'B'], own), 'a repeated event counts once, in any order');

      for (const [user, steps] of [...done].filter(([, list]) => list.length > 0).slice(0, 40)) {
        assertAfterEvents(await predict(namespace, { user_id: user }, own), analytics, goals, steps);
        for (const goal of ['buy', 'subscribe + pay']) {
          assertClose(await nudge(namespace, goal, user, own), nudges(analytics, goals, goal, user, steps));
        }
      }
      for (const goal of GOALS) assertClose(await nudge(namespace, goal, 'unknown', own), nudges(analytics, goals, goal, 'unknown', []));
      assert.deepEqual(await nudge(namespace, 'nobody reaches this', 'u0', own), { nudges: [], goal: 'nobody reaches this', user_id: 'u0' });
    };
    await check();
    await own.restart();
    await check();
  });
}

test('a small example, number by number', async () => {
  const namespace = 'by hand';
  await server.goal('G', namespace);
  await server.ingest([
    ...['1', '2', '3'].flatMap((u) => [did('E', u, { namespace }), did('G', u, { namespace })]),
    did('F', '3', { namespace }), did('F', '4', { namespace }), did('G', '4', { namespace }),
    did('E', '5', { namespace }), ...['6', '7', '8'].map((u) => did('F', u, { namespace })),
  ]);
  // 8 users; G 4; E 4, of which 3 before G; F 5, of which 1 before G.
  const probability = (single, count) => {
    const [yes, no] = [(5 / 10) * ((single + 1) / 6), (5 / 10) * ((count - single + 1) / 6)];
    return yes / (yes + no);
  };
  assertClose(await predict(namespace), { goals: { G: { events: {
    E: { bayes: 0.75, probability: probability(3, 4), support: 4 },
    F: { bayes: 0.2, probability: probability(1, 5), support: 5 },
  } } } });
  const [yes, no] = [(3 / 4) * (1 / 4), (1 / 4) * (4 / 4)];
  const [likely, unlikely] = [(5 / 10) * (4 / 6) * (2 / 6), (5 / 10) * (2 / 6) * (5 / 6)];
  // One of the two done, the other one not.
  const [onlyE, notOnlyE] = [(5 / 10) * (4 / 6) * (4 / 6), (5 / 10) * (2 / 6) * (1 / 6)];
  const [onlyF, notOnlyF] = [(5 / 10) * (2 / 6) * (2 / 6), (5 / 10) * (4 / 6) * (5 / 6)];
  assertClose(await predictEvents(namespace, ['E', 'F']), { goals: { G: {
    yes, no, likelihood: yes / no, probability: likely / (likely + unlikely), support: 4,
  } } });
  assertClose((await predictEvents(namespace, ['E'])).goals.G, {
    yes: 0.75, no: 0.25, likelihood: 3, probability: onlyE / (onlyE + notOnlyE), support: 4,
  });
  assertClose(await nudge(namespace, 'G', 'nobody'), { nudges: [
    { event_name: 'E', prediction: 0.75, probability: onlyE / (onlyE + notOnlyE), support: 4 },
    { event_name: 'F', prediction: 0.2, probability: onlyF / (onlyF + notOnlyF), support: 5 },
  ], goal: 'G', user_id: 'nobody' });
  assert.deepEqual((await nudge(namespace, 'G', '5')).nudges.map(({ event_name }) => event_name), ['F']);
  assert.deepEqual((await nudge(namespace, 'G', '3')).nudges, [], 'both are done');
});

test('a no below 0.1 counts as 0.1 in the likelihood', async () => {
  const namespace = 'floor';
  await server.goal('G', namespace);
  await server.ingest(Array.from({ length: 20 }, (_, i) => [did('E', `u${i}`, { namespace }), did('G', `u${i}`, { namespace })]).flat());
  const { yes, no, likelihood, probability } = (await predictEvents(namespace, ['E'])).goals.G;
  assert.deepEqual([yes, no, likelihood], [1, 0, 10]);
  assert.ok(probability > 0.9 && probability < 1);
});

test('users who completed before it was a goal are left out of the probability', async () => {
  const namespace = 'before';
  await server.ingest(Array.from({ length: 50 }, (_, i) => [did('E', `early ${i}`, { namespace }), did('G', `early ${i}`, { namespace })]).flat());
  await server.goal('G', namespace);
  assert.deepEqual(await predict(namespace), { goals: {} }, 'nobody has a prior event yet');
  await server.ingest([did('E', 'x', { namespace }), did('G', 'x', { namespace }), did('E', 'y', { namespace }), did('F', 'z', { namespace })]);
  assertClose(await predict(namespace), perEvent(await server.analytics(namespace), ['G']));
});

test('a namespace without events answers with nothing', async () => {
  assert.deepEqual(await predict('never written'), { goals: {} });
  assert.deepEqual(await predict(undefined), { goals: {} }, 'the default namespace, still empty');
  assert.deepEqual(await nudge('never written', 'G', 'u'), { nudges: [], goal: 'G', user_id: 'u' });
  const unknown = await server.get('/v0/predictions?namespace=never+written&event=A');
  assert.equal(unknown.refused(400, 'parameter_invalid').field, 'event');
  (await server.get('/v0/predictions?namespace=never+written&user_id=u')).refused(404, 'user_unknown');
  assert.ok(!(await server.get('/v0/namespaces')).json().namespaces.includes('never written'), 'nothing is made by reading');
});

test('a namespace that holds only goals answers with nothing', async () => {
  await server.goal('G', 'only goals');
  assert.deepEqual(await predict('only goals'), { goals: {} });
  assert.deepEqual(await nudge('only goals', 'G', 'u'), { nudges: [], goal: 'G', user_id: 'u' });
  (await server.get('/v0/predictions?namespace=only+goals&user_id=u')).refused(404, 'user_unknown');
});

test('what is asked wrongly is refused with the parameter that is wrong', async () => {
  const namespace = 'asked';
  await server.ingest([did('A', 'u', { namespace }), did('G', 'u', { namespace, ensure_goal: true }), did('A', 'v', { namespace })]);
  const bad = [
    ['/v0/predictions', 'event=nothing', ['parameter_invalid'], ['event']],
    ['/v0/predictions', 'event=A&event=nothing', ['parameter_invalid'], ['event']],
    ['/v0/predictions', 'event=a', ['parameter_invalid'], ['event']],
    ['/v0/predictions', 'event=', ['parameter_invalid'], ['event']],
    ['/v0/predictions', `event=${'x'.repeat(257)}`, ['parameter_invalid', 'name_too_long'], ['event']],
    ['/v0/predictions', 'event=A&user_id=u', ['parameter_invalid'], ['event', 'user_id']],
    ['/v0/predictions', 'user_id=u&user_id=v', ['parameter_invalid'], ['user_id']],
    ['/v0/nudges', 'goal=nothing&user_id=u', ['parameter_invalid'], ['goal']],
    ['/v0/nudges', 'goal=A&user_id=u', ['parameter_invalid'], ['goal']],
    ['/v0/nudges', 'user_id=u', undefined, ['goal']],
    ['/v0/nudges', 'goal=G', undefined, ['user_id']],
    ['/v0/nudges', 'goal=G&user_id=', undefined, ['user_id']],
    ['/v0/nudges', 'goal=&user_id=u', undefined, ['goal']],
    ['/v0/nudges', 'goal=G&goal=A&user_id=u', ['parameter_invalid'], ['goal']],
    ['/v0/nudges', '', undefined, ['goal', 'user_id']],
  ];
  for (const [path, parameters, codes, fields] of bad) {
    const error = (await server.get(`${path}?namespace=${namespace}&${parameters}`)).refused(400, codes);
    assert.ok(fields.includes(error.field), `${path} ${parameters}: ${error.field}`);
  }
  const unknown = await server.get(`/v0/predictions?namespace=${namespace}&user_id=Zq7-nobody`);
  unknown.refused(404, 'user_unknown');
  assert.ok(!unknown.text.includes('Zq7'), 'no refusal repeats a user');
  assert.deepEqual(await predictEvents(namespace, ['A', 'A']), await predict(namespace, { user_id: 'v' }));
  (await server.get(`/v0/predictions?namespace=${namespace}&user_id=v&user_id=v`)).expect(200);
});

test('an integer user is its decimal string', async () => {
  const namespace = 'integers';
  await server.ingest([{ event_name: 'A', user_id: 42, namespace }, did('G', 'x', { namespace, ensure_goal: true })]);
  const analytics = await server.analytics(namespace);
  assertAfterEvents(await predict(namespace, { user_id: '42' }), analytics, ['G'], ['A']);
  assert.equal((await nudge(namespace, 'G', '42')).user_id, '42');
});

// ── Calibration ──────────────────────────────────────────────────────────────────────────────────────────────────

const TRAINED = 8_000;
const HELD_OUT = 4_000;
const BATCH = 1_000;
const BUYERS = 0.3;
/** P(event | buyer) and P(event | other); given which of the two a user is, events are independent. */
const CONDITIONAL = { search: [0.8, 0.45], compare: [0.55, 0.2], coupon: [0.3, 0.1], leave: [0.25, 0.6], browse: [0.5, 0.5] };

/** A user's events before the goal, and whether the goal follows. */
function visitor(random) {
  const buys = random.chance(BUYERS);
  const events = Object.entries(CONDITIONAL).filter(([, [yes, no]]) => random.chance(buys ? yes : no)).map(([name]) => name);
  return { buys, events };
}

/** The true P(goal | these events done, the others not). */
function truth(events) {
  const [yes, no] = [0, 1].map((side) => Object.entries(CONDITIONAL).reduce((product, [name, shares]) => (
    product * (events.includes(name) ? shares[side] : 1 - shares[side])), side === 0 ? BUYERS : 1 - BUYERS));
  return yes / (yes + no);
}

test('probability is calibrated on users who were held out', { timeout: 240_000 }, async (t) => {
  const random = seeded(2_024);
  const namespace = 'calibration';
  const training = Array.from({ length: TRAINED }, () => visitor(random)).flatMap(({ buys, events }, i) => [
    ...random.shuffled(events).map((name) => did(name, `train-${i}`, { namespace })),
    // Everybody is known, also those who do nothing of interest.
    did('visit', `train-${i}`, { namespace }),
    ...(buys ? [did('purchase', `train-${i}`, { namespace, ensure_goal: true })] : []),
  ]);
  for (let from = 0; from < training.length; from += BATCH) await server.ingest({ events: training.slice(from, from + BATCH) });

  const scored = new Map();
  const samples = [];
  for (const { buys, events } of Array.from({ length: HELD_OUT }, () => visitor(random))) {
    const key = [...events, 'visit'].sort();
    if (!scored.has(String(key))) scored.set(String(key), (await predictEvents(namespace, key)).goals.purchase.probability);
    samples.push({ buys, probability: scored.get(String(key)) });
  }

  const deciles = Array.from({ length: 10 }, (_, i) => samples.filter(({ probability }) => Math.min(9, Math.floor(probability * 10)) === i));
  const mean = (list, of) => list.reduce((sum, one) => sum + of(one), 0) / list.length;
  const rows = deciles.map((list, i) => ({ from: i / 10, users: list.length, predicted: mean(list, ({ probability }) => probability),
    observed: mean(list, ({ buys }) => Number(buys)) })).filter(({ users }) => users > 0);
  const error = rows.reduce((sum, { users, predicted, observed }) => sum + (users / HELD_OUT) * Math.abs(predicted - observed), 0);
  const area = areaUnderCurve(samples);
  t.diagnostic('predicted  users  mean predicted  observed');
  for (const { from, users, predicted, observed } of rows) {
    t.diagnostic(`${from.toFixed(1)} - ${(from + 0.1).toFixed(1)}  ${String(users).padStart(5)}  ${predicted.toFixed(3).padStart(14)}  ${observed.toFixed(3).padStart(8)}`);
  }
  t.diagnostic(`expected calibration error ${error.toFixed(4)}, area under the curve ${area.toFixed(3)}`);
  assert.ok(rows.length >= 5, 'predictions are spread over at least half of the deciles');
  assert.ok(error < 0.05, `expected calibration error ${error}`);
  assert.ok(area > 0.65, `area under the curve ${area}`);

  for (const events of [['search'], ['leave'], ['search', 'compare'], ['search', 'compare', 'coupon'], ['browse', 'leave']]) {
    const { probability } = (await predictEvents(namespace, [...events, 'visit'])).goals.purchase;
    assert.ok(Math.abs(probability - truth(events)) < 0.05, `${events}: ${probability}, in truth ${truth(events)}`);
  }
});

/** The probability that one who buys is ranked before one who does not; ties count half. */
function areaUnderCurve(samples) {
  const sorted = [...samples].sort((a, b) => a.probability - b.probability);
  let [buyers, others, ranked] = [0, 0, 0];
  for (let at = 0; at < sorted.length;) {
    const tied = sorted.filter(({ probability }) => probability === sorted[at].probability);
    const buying = tied.filter(({ buys }) => buys).length;
    ranked += buying * (others + (tied.length - buying) / 2);
    buyers += buying;
    others += tied.length - buying;
    at += tied.length;
  }
  return ranked / (buyers * others);
}

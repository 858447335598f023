// SDKs of others, unmodified, as they come from npm and PyPI, against a server: what it counts is what was sent.

import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';

import Rudder from '@rudderstack/rudder-sdk-node';
import { Analytics } from '@segment/analytics-node';
import { chromium } from 'playwright-core';
import { PostHog } from 'posthog-node';

import { until } from '../http/harness/deadline.mjs';
import { ROOT, serve } from '../http/harness/server.mjs';
import { files } from '../pkg/harness/page.mjs';

const HERE = join(ROOT, 'tests/senders');
const KEY = 'write-key-1';
const PYTHON = join(ROOT, '.tools/senders/bin/python');
const WAIT_MS = 5_000;

/** What every one of them sends: two users buy, one of them clicks. */
const EXPECTED = { users: 2, purchase: [2, 10.5], click: 1 };

const origin = await files({ after }, HERE);
const server = async (t) => serve(t, { env: { API_AUTH: '', API_TOKENS: 'admin', INGEST_TOKENS: KEY, ALLOWED_ORIGINS: origin }, token: 'admin' });

async function counted(on) {
  const { counts, users } = await on.analytics();
  const of = Object.fromEntries(counts.map(({ name, count, value }) => [name, value.sum === undefined ? count : [count, value.sum]]));
  return { users, ...of };
}

test('@segment/analytics-node', async (t) => {
  const on = await server(t);
  const analytics = new Analytics({ writeKey: KEY, host: on.url.origin, flushAt: 2 });
  const errors = [];
  analytics.on('error', (error) => errors.push(error));
  analytics.track({ userId: 'ann', event: 'purchase', properties: { value: 9.5, currency: 'EUR' } });
  analytics.track({ userId: 'bob', event: 'purchase', properties: { revenue: 1 } });
  analytics.track({ anonymousId: 'ann', event: 'click' });
  analytics.identify({ userId: 'ann', traits: { plan: 'pro' } });
  await analytics.closeAndFlush({ timeout: WAIT_MS });
  assert.deepEqual(errors, []);
  assert.deepEqual(await counted(on), EXPECTED);
});

test('@segment/analytics-node gives up what no repetition mends', async (t) => {
  const on = await serve(t, { env: { API_AUTH: '', API_TOKENS: 'admin', INGEST_TOKENS: KEY, EVENT_NAMES: 'known' }, token: 'admin' });
  const analytics = new Analytics({ writeKey: KEY, host: on.url.origin, flushAt: 1, maxRetries: 3 });
  const errors = [];
  analytics.on('error', (error) => errors.push(error));
  const began = Date.now();
  analytics.track({ userId: 'ann', event: 'purchase' });
  await analytics.closeAndFlush({ timeout: WAIT_MS });
  assert.equal(errors.length, 1);
  assert.ok(Date.now() - began < WAIT_MS, 'it does not send it again');
});

test('@rudderstack/rudder-sdk-node, whose gzip calls itself a form', async (t) => {
  const on = await server(t);
  const rudder = new Rudder(KEY, { dataPlaneUrl: on.url.origin, flushAt: 1 });
  const send = (call) => new Promise((resolve, reject) => { rudder.track(call, (error) => (error ? reject(error) : resolve())); });
  await send({ userId: 'ann', event: 'purchase', properties: { value: 9.5 } });
  await send({ userId: 'bob', event: 'purchase', properties: { revenue: 1 } });
  await send({ anonymousId: 'ann', event: 'click' });
  await until('all has come', async () => (await counted(on)).click === 1);
  assert.deepEqual(await counted(on), EXPECTED);
});

test('posthog-node', async (t) => {
  const on = await server(t);
  const posthog = new PostHog(KEY, { host: on.url.origin, flushAt: 20, flushInterval: 0 });
  const errors = [];
  posthog.on('error', (error) => errors.push(error));
  posthog.capture({ distinctId: 'ann', event: 'purchase', properties: { value: 9.5 } });
  posthog.capture({ distinctId: 'bob', event: 'purchase', properties: { value: 1 } });
  posthog.capture({ distinctId: 'ann', event: 'click' });
  posthog.identify({ distinctId: 'ann', properties: { mail: 'ann@example.com' } });
  await posthog.shutdown(WAIT_MS);
  assert.deepEqual(errors, []);
  assert.deepEqual(await counted(on), EXPECTED);
});

for (const name of ['segment', 'rudder', 'posthog']) {
  test(`the SDK of ${name} in Python`, { skip: existsSync(PYTHON) ? false : 'there is no Python with the SDKs' }, async (t) => {
    const on = await server(t);
    await promisify(execFile)(PYTHON, [join(HERE, 'sdk.py'), name, on.url.origin, KEY], { timeout: 60_000, env: { PATH: process.env.PATH, NO_PROXY: '*' } });
    assert.deepEqual(await counted(on), EXPECTED);
  });
}

/** A page of an allowed origin, which reaches nothing but this machine. */
async function page(t) {
  const executablePath = execFileSync(join(ROOT, 'scripts/tools/chromium.sh'), { encoding: 'utf8' }).trim();
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-background-networking'] });
  t.after(() => browser.close());
  const opened = await browser.newPage();
  await opened.goto(`${origin}/page.html`);
  return opened;
}

test('@segment/analytics-next in Chromium', async (t) => {
  const on = await server(t);
  const opened = await page(t);
  await opened.addScriptTag({ url: `${origin}/node_modules/@segment/analytics-next/dist/umd/index.js` });
  await opened.evaluate(async ([host, writeKey]) => {
    const [analytics] = await window.AnalyticsNext.AnalyticsBrowser.load({
      writeKey, cdnSettings: { integrations: { 'Segment.io': { apiKey: writeKey, apiHost: `${host}/v1`, protocol: 'http' } } },
    });
    await analytics.track('purchase', { value: 9.5 }, { userId: 'ann', anonymousId: 'x' });
    await analytics.identify('ann');
    await analytics.track('purchase', { value: 9.5 });
    await analytics.track('click');
    await analytics.identify('bob');
    await analytics.track('purchase', { revenue: 1 });
  }, [on.url.host, KEY]);
  await until('all has come', async () => JSON.stringify((await counted(on)).purchase) === '[2,10.5]');
  assert.deepEqual(await counted(on), EXPECTED);
});

test('posthog-js in Chromium', async (t) => {
  const on = await server(t);
  const opened = await page(t);
  await opened.addScriptTag({ url: `${origin}/node_modules/posthog-js/dist/array.js` });
  await opened.evaluate(([host, key]) => {
    window.posthog.init(key, {
      api_host: host, autocapture: false, capture_pageview: false, capture_pageleave: false, disable_session_recording: true, advanced_disable_flags: true,
      advanced_disable_decide: true, disable_external_dependency_loading: true, opt_out_useragent_filter: true, request_batching: false,
    });
    window.posthog.identify('ann');
    window.posthog.capture('purchase', { value: 9.5 });
    window.posthog.capture('click');
    window.posthog.reset();
    window.posthog.identify('bob');
    window.posthog.capture('purchase', { value: 1 });
  }, [on.url.origin, KEY]);
  await until('all has come', async () => JSON.stringify((await counted(on)).purchase) === '[2,10.5]');
  assert.deepEqual(await counted(on), EXPECTED);
});

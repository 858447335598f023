// Behind a path: a real nginx hands a folder of its own host to the server. The dashboard, the page of the API and the client work in
// it as they do at the root, and nothing is asked for outside.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, test } from 'node:test';
import { promisify } from 'node:util';

import { findNginx, proxy } from './harness/nginx.mjs';
import { createWorld, TOKENS } from './harness/world.mjs';

const run = promisify(execFile);
const { path: nginx, missing } = findNginx();
const options = { skip: missing };

const world = nginx && await createWorld({ after });
const upstream = world && `http://127.0.0.1:${world.server.url.port}`;
// As the README has them; the second passes what is percent-encoded on as it came.
const FOLDERS = ['/kimball/', '/tools/of the team/kimball/', '/exact/'];
const host = nginx && await proxy({ after }, nginx, `
  location /kimball/ { proxy_pass ${upstream}/; proxy_set_header Host $host; }
  location "/tools/of the team/kimball/" { proxy_pass ${upstream}/; }
  location /exact/ { proxy_pass ${upstream}$below_exact; }
`, 'map $request_uri $below_exact { ~^/exact(?<below>/.*)$ $below; }');
const addressOf = (folder) => new URL(folder, host).href;

/** A page in a folder, with every address that it asks for; one outside the folder fails the test. */
async function pageIn(t, folder, hash = '', more = {}) {
  const at = addressOf(folder);
  const page = await world.page(t, hash, { at, ...more });
  return page;
}

function watched(t, page, folder) {
  const outside = [];
  page.on('request', (request) => { if (!request.url().startsWith(addressOf(folder))) outside.push(request.url()); });
  t.after(() => assert.deepEqual(outside.filter((url) => !url.startsWith('blob:')), []));
}

const [goal] = world?.goals ?? [];
const VIEWS = [
  ['', (page) => page.getByRole('table').first()],
  [`#/goal?${new URLSearchParams({ goal: goal ?? '' })}`, (page) => page.getByRole('heading', { level: 1, name: goal })],
  ['#/predictions', (page) => page.getByRole('table').first()],
  ['#/flags', (page) => page.getByRole('heading', { level: 1 })],
  ['#/demo', (page) => page.locator('button:enabled', { hasText: 'Start over' })],
  ['#/status', (page) => page.getByText('their licences')],
  ['#/overview?namespace=empty', (page) => page.getByText('curl').first()],
];

for (const folder of FOLDERS) {
  test(`under ${folder} every view loads, and nothing outside is asked for`, options, async (t) => {
    for (const [hash, whole] of VIEWS) {
      const page = await pageIn(t, folder, '#/nowhere');
      watched(t, page, folder);
      await page.goto(addressOf(folder) + hash);
      await page.reload();
      await whole(page).waitFor();
      await page.waitForLoadState('networkidle');
      await page.close();
    }
    const page = await pageIn(t, folder, '#/status');
    const licences = await page.getByText('their licences').getAttribute('href');
    assert.equal((await page.request.get(new URL(licences, page.url()).href)).status(), 200);
  });

  test(`under ${folder} a flag is made, tried and deleted,`, options, async (t) => {
    const page = await pageIn(t, folder, '#/flags');
    watched(t, page, folder);
    const name = `of ${folder === '/exact/' ? 'a/b' : 'a b'} % é`;
    await page.getByRole('button', { name: 'New flag' }).click();
    await page.getByLabel('Name', { exact: true }).fill(name);
    await page.getByLabel('On for everybody').check();
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByRole('status').filter({ hasText: 'is saved.' }).waitFor();
    await page.getByRole('button', { name: 'Delete', exact: true }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Delete it' }).click();
    await page.getByRole('status').filter({ hasText: 'is deleted' }).waitFor();
    assert.deepEqual((await world.api('/v0/featureSpecs')).featureSpecs, []);
  });

  test(`under ${folder} the first command and the lines for a page are for this address`, options, async (t) => {
    const namespace = `first of ${folder}`;
    const page = await pageIn(t, folder, `#/overview?${new URLSearchParams({ namespace })}`);
    const command = await page.locator('pre', { hasText: 'curl' }).innerText();
    assert.ok(command.includes(`curl ${addressOf(folder)}v0/analytics`), command);
    await run('sh', ['-c', command.replace('TOKEN', TOKENS.ingest)]);
    assert.equal((await world.api(`/v0/analytics?${new URLSearchParams({ namespace })}`)).users, 1);
    const lines = await page.locator('pre', { hasText: 'KimballClient' }).innerText();
    assert.ok(lines.includes(`from '${addressOf(folder)}sdk/index.js'`) && lines.includes(`url: '${addressOf(folder).slice(0, -1)}'`), lines);
  });

  test(`under ${folder} the client sends and asks for flags, however the address is written`, options, async (t) => {
    const page = await pageIn(t, folder, '#/status');
    watched(t, page, folder);
    const address = addressOf(folder);
    const path = new URL(address).pathname;
    for (const [nth, url] of [address, address.slice(0, -1), path, path.slice(0, -1), `${address}//`].entries()) {
      const namespace = `client of ${folder} ${nth}`;
      await page.evaluate(async ([from, given]) => {
        const { KimballClient } = await import(`${from}sdk/index.js`);
        const errors = [];
        const client = new KimballClient({ ...given, storage: 'memory', onError: (error) => errors.push(error.message) });
        client.identify('ann');
        client.track('A');
        client.track('A');
        if (!(await client.flush())) errors.push('not sent');
        await client.features();
        await client.close();
        if (errors.length > 0) throw new Error(errors.join('; '));
      }, [address, { url, namespace, token: TOKENS.ingest }]);
      assert.deepEqual((await world.api(`/v0/analytics?${new URLSearchParams({ namespace })}`)).counts.map(({ name, count }) => [name, count]), [['A', 1]], url);
    }
  });

  test(`under ${folder} the page of the API tries requests`, options, async (t) => {
    const page = await pageIn(t, folder, 'api-docs/index.html');
    watched(t, page, folder);
    const operation = page.locator('#operations-service-getAlive').first();
    await operation.waitFor();
    await operation.click();
    await operation.getByRole('button', { name: 'Try it out' }).click();
    const asked = page.waitForResponse((response) => response.url() === `${addressOf(folder)}alive`);
    await operation.getByRole('button', { name: 'Execute' }).click();
    assert.equal((await asked).status(), 200);
  });

  test(`under ${folder} a repeated read is a 304, though the proxy compresses`, options, async () => {
    const headers = { authorization: `Bearer ${TOKENS.read}`, 'accept-encoding': 'gzip' };
    for (const path of ['v0/analytics', '', 'sdk/index.js']) {
      const first = await fetch(addressOf(folder) + path, { headers });
      assert.equal(first.status, 200);
      const tag = first.headers.get('etag');
      await first.arrayBuffer();
      for (const known of [tag, tag.replace(/"$/, '-gzip"')]) {
        assert.equal((await fetch(addressOf(folder) + path, { headers: { ...headers, 'if-none-match': known } })).status, 304, `${path} ${known}`);
      }
    }
  });
}

test('a token kept under one path is not sent to another', options, async (t) => {
  const page = await pageIn(t, FOLDERS[0], '#/overview');
  await page.getByRole('table').first().waitFor();
  page.allow(/401/);
  await page.goto(addressOf(FOLDERS[2]));
  await page.getByLabel('Token', { exact: true }).waitFor();
});

test('without the slash at the end nginx leads to the folder', options, async () => {
  const answer = await fetch(addressOf('/kimball'), { redirect: 'manual' });
  assert.equal(answer.status, 301);
  assert.equal(new URL(answer.headers.get('location')).pathname, '/kimball/');
});

// How a page looks: on which screens, what axe-core has against it, and its picture in build/screenshots/.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { ROOT } from '../../http/harness/server.mjs';

const SCREENSHOTS = join(ROOT, 'build/screenshots');
const AXE = readFileSync(join(ROOT, 'node_modules/axe-core/axe.min.js'), 'utf8');
const SIZES = { phone: { width: 390, height: 844 }, wide: { width: 1440, height: 900 } };

async function violations(page) {
  await page.evaluate(AXE);
  const { violations: found } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  return found.filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html.slice(0, 160)} (${failureSummary.split('\n').at(-1).trim()})`).join('; ')}`);
}

/** A test a screen, light and dark: `show(t, options, look)` opens pages with the options and calls `look(page, name)` for each that is whole. */
export function onEveryScreen(what, show) {
  mkdirSync(SCREENSHOTS, { recursive: true });
  for (const [size, viewport] of Object.entries(SIZES)) {
    for (const colorScheme of ['light', 'dark']) {
      test(`${what} on a ${size} screen, ${colorScheme}: nothing serious by axe-core, nothing wider than the screen`, (t) => show(t, { viewport, colorScheme }, async (page, name, options) => {
        assert.deepEqual(await violations(page), [], name);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        assert.ok(wide <= 0, `${name} is ${wide} px wider than the screen`);
        await page.screenshot({ path: join(SCREENSHOTS, `${name}-${size}-${colorScheme}.png`), ...options });
      }));
    }
  }
}

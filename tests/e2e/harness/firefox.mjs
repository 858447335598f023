// Firefox over WebDriver BiDi. Where it is not installed and cannot be, its tests are skipped with a message.

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

import puppeteer from 'puppeteer-core';

import { ROOT } from '../../http/harness/server.mjs';

const LAUNCH_DEADLINE_MS = 60_000;

/** The path of Firefox, or why there is none. */
function find() {
  try {
    const executablePath = execFileSync(join(ROOT, 'scripts/tools/firefox.sh'), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    return { executablePath: executablePath.trim() };
  } catch (error) {
    return { missing: `Firefox: ${error.stderr?.trim() || error.message}` };
  }
}

export const { executablePath, missing } = find();

/** A Firefox of its own, with nothing stored; closed after the test. */
export async function firefox(test) {
  const browser = await puppeteer.launch({
    browser: 'firefox',
    executablePath,
    headless: true,
    timeout: LAUNCH_DEADLINE_MS,
  });
  test.after(() => browser.close());
  return browser;
}

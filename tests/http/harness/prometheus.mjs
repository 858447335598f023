// Prometheus' text format 0.0.4: a reader of its own, strict where the format is, and the way to promtool.

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { ROOT } from './server.mjs';

const INSTALLED = join(ROOT, '.tools/promtool/usr/bin/promtool');
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\["\\n])*)"(?:,|$)/y;

/** The first of $PROMTOOL, the PATH and .tools that runs; undefined where none does. */
export function promtool() {
  const candidates = [process.env.PROMTOOL, 'promtool', existsSync(INSTALLED) ? INSTALLED : undefined].filter(Boolean);
  return candidates.find((path) => spawnSync(path, ['--version']).status === 0);
}

/** What `promtool check metrics` says about a text: its exit status and output. */
export function checked(binary, text) {
  const { status, stdout, stderr } = spawnSync(binary, ['check', 'metrics'], { input: text });
  return { status, output: `${stdout}${stderr}` };
}

/** The families of a text: name → { type, help, samples: [{ name, labels, value }] }. Throws where it is malformed. */
export function parse(text) {
  const families = new Map();
  const family = (name) => {
    if (!families.has(name)) families.set(name, { samples: [] });
    return families.get(name);
  };
  if (text !== '' && !text.endsWith('\n')) throw new Error('the last line does not end');
  for (const line of text.split('\n').slice(0, -1)) {
    const [, kind, name, rest] = line.match(/^# (HELP|TYPE) (\S+) (.*)$/) ?? [];
    if (kind) {
      const key = kind.toLowerCase();
      if (family(name)[key] !== undefined || family(name).samples.length > 0) throw new Error(`out of place: ${line}`);
      family(name)[key] = rest;
    } else if (line !== '' && !line.startsWith('#')) {
      const sample = parseSample(line);
      const base = sample.name.replace(/_(sum|count)$/, '');
      const owner = families.has(sample.name) ? sample.name : base;
      if (!families.has(owner)) throw new Error(`no TYPE before: ${line}`);
      family(owner).samples.push(sample);
    }
  }
  return families;
}

function parseSample(line) {
  const [, name, inner = '', value] = line.match(SAMPLE) ?? [];
  if (name === undefined) throw new Error(`not a sample: ${line}`);
  const labels = {};
  LABEL.lastIndex = 0;
  while (LABEL.lastIndex < inner.length) {
    const at = LABEL.lastIndex;
    const [, label, text] = LABEL.exec(inner) ?? [];
    if (label === undefined) throw new Error(`not a label at ${at}: ${line}`);
    if (label in labels) throw new Error(`${label} stands twice: ${line}`);
    labels[label] = text.replace(/\\(.)/g, (_, sign) => (sign === 'n' ? '\n' : sign));
  }
  if (Number.isNaN(Number(value))) throw new Error(`not a number: ${line}`);
  return { name, labels, value: Number(value) };
}

/** The samples of this name whose labels include these. */
export function samples(families, name, labels = {}) {
  const owner = families.get(name) ?? families.get(name.replace(/_(sum|count)$/, ''));
  return (owner?.samples ?? []).filter((sample) => sample.name === name
    && Object.entries(labels).every(([label, value]) => sample.labels[label] === value));
}

/** The sum of the samples of this name whose labels include these; undefined where there is none. */
export function total(families, name, labels) {
  const found = samples(families, name, labels);
  return found.length === 0 ? undefined : found.reduce((sum, { value }) => sum + value, 0);
}

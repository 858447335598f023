// What exercise.js and track.js answer, wherever they run.

import { readFileSync } from 'node:fs';

const count = (name, users, value = {}) => ({ name, type: 'named', count: users, event_counts: [], single_event_counts: [], value });
const wire = (event_name, more = {}) => ({ event_name, user_id: 'ann', datetime: '2026-11-24T00:00:00Z', ...more });

const read = (name) => readFileSync(new URL(name, import.meta.url), 'utf8');

/** The modules that a project gets beside its own. */
export const MODULES = { 'exercise.js': read('./exercise.js'), 'track.js': read('./track.js') };

/** Runs both, after the start of the README; `url` is the server's. */
export const everything = (url) => `
import exercise from './exercise.js';
import track from './track.js';

const outcome = { ...await exercise(), troubles: await track(${JSON.stringify(new URL(url).origin)}) };
`;

export const OUTCOME = {
  news: ['first', 'first', 'order', 'order'],
  repeat: false,
  isExact: true,
  pending: 4,
  batch: { kept: 'order', events: ['Login', 'Buy', 'Login', 'Buy'].map((name) => wire(name, name === 'Buy' ? { value: 2.5 } : {})) },
  eventIds: 4,
  isAsWanted: true,
  left: 0,
  report: { counts: [count('Buy', 1, { sum: 2.5 }), count('Login', 1)], users: 1 },
  merged: { counts: [count('Buy', 1, { sum: 2.5 }), count('Login', 2)], users: 2 },
  isSaturated: false,
  passedUnseen: 0,
  isCounted: true,
  refused: true,
  ids: 2,
  id: true,
  troubles: [],
};

/** What the server has then: the login of the README's start, and the client's. */
export const LOGINS = 2;

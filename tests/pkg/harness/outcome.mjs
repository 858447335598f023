// What exercise.js answers, wherever it runs.

import { readFileSync } from 'node:fs';

const count = (name, users, value = {}) => ({ name, type: 'named', count: users, event_counts: [], single_event_counts: [], value });
const wire = (event_name, more = {}) => ({ event_name, user_id: 'ann', datetime: '2026-11-24T00:00:00Z', ...more });

export const EXERCISE = readFileSync(new URL('./exercise.js', import.meta.url), 'utf8');

export const OUTCOME = {
  firsts: [true, true, false, false],
  isExact: true,
  pending: 2,
  batch: { events: [wire('Login'), wire('Buy', { value: 2.5 })] },
  left: 0,
  report: { counts: [count('Buy', 1, { sum: 2.5 }), count('Login', 1)], users: 1 },
  merged: { counts: [count('Buy', 1, { sum: 2.5 }), count('Login', 2)], users: 2 },
  isSaturated: false,
  passedUnseen: 0,
  isCounted: true,
  refused: true,
  ids: 2,
  id: true,
};

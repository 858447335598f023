// Makes raw events, gives them to the aggregator, and shows what it passes on.
import init, { Aggregator } from '../sdk/aggregator.js';

const NAMES = ['Landing', 'Search', 'Product', 'Review', 'Login', 'Wishlist', 'Cart', 'Coupon', 'Shipping', 'Payment', 'Purchase', 'Share'];
const ROWS_MAX = 60;
const STORM_EVENTS = 10_000;
const EVENTS_PER_FRAME = 400;

const element = (id) => document.getElementById(id);
const buttons = [...document.querySelectorAll('button')];
const encoder = new TextEncoder();
const bytesOf = (value) => encoder.encode(JSON.stringify(value)).length;
const day = () => `${new Date().toISOString().slice(0, 10)}T00:00:00Z`;

let aggregator;
let total;

function begin() {
  aggregator?.free();
  aggregator = new Aggregator();
  total = { raw: 0, rawBytes: 0, sent: 0, sentBytes: 0 };
  element('in').replaceChildren();
  element('out').replaceChildren();
  show();
}

const raw = (user, event) => (event === 'Purchase' ? { event, user, value: 19.5 } : { event, user });

function* oneUser() {
  for (const name of NAMES) yield raw('ann', name);
}

/** The more common an event, the earlier its name; everybody does everything twice. */
function* manyUsers() {
  for (let number = 1; number <= 100; number += 1) {
    const names = NAMES.slice(0, 1 + (number % NAMES.length));
    for (const name of [...names, ...names]) yield raw(`user-${number}`, name);
  }
}

function* storm() {
  for (let number = 0; number < STORM_EVENTS; number += 1) yield raw('ann', NAMES[number % NAMES.length]);
}

/** What the event would be on the wire if it were sent as it is. */
function wire({ event, user, value }) {
  return { event_name: event, user_id: user, ...(value !== undefined && { value }), datetime: day() };
}

function take(event) {
  const before = aggregator.pendingEvents;
  aggregator.record(event);
  total.raw += 1;
  total.rawBytes += bytesOf(wire(event)) + 1;
  return aggregator.pendingEvents > before;
}

/** The newest on top; of the others only how many there are. */
function list(id, rows, count, what) {
  const host = element(id);
  host.querySelector('.more')?.remove();
  host.prepend(...rows.slice(-ROWS_MAX).reverse());
  while (host.children.length > ROWS_MAX) host.lastElementChild.remove();
  if (count <= ROWS_MAX) return;
  host.append(Object.assign(document.createElement('li'), { className: 'more', textContent: `and ${(count - ROWS_MAX).toLocaleString('en')} ${what}` }));
}

function row(text, mark, tag) {
  const item = document.createElement('li');
  const label = document.createElement('span');
  label.textContent = text;
  item.append(label);
  if (mark) item.append(Object.assign(document.createElement(tag), { textContent: mark }));
  return item;
}

const frame = () => new Promise((resolve) => { requestAnimationFrame(resolve); });

async function play(events) {
  busy(true);
  let chunk = [];
  const flush = () => {
    list('in', chunk.slice(-ROWS_MAX).map(([event, isNew]) => row(`${event.user} · ${event.event}`, isNew ? 'new' : 'repeat', isNew ? 'b' : 'i')), total.raw, 'before these');
    const news = chunk.filter(([, isNew]) => isNew).length;
    if (news > 0) {
      const { events: pending } = aggregator.pending(aggregator.pendingEvents);
      const sent = pending.slice(-news);
      total.sent += news;
      total.sentBytes += sent.reduce((sum, event) => sum + bytesOf(event) + 1, 0);
      list('out', sent.slice(-ROWS_MAX).map((event) => row(JSON.stringify(event))), total.sent, 'before these');
    }
    chunk = [];
    show();
  };
  for (const event of events) {
    chunk.push([event, take(event)]);
    if (chunk.length === EVENTS_PER_FRAME) {
      flush();
      await frame();
    }
  }
  flush();
  busy(false);
}

function show() {
  const number = (id, value) => { element(id).textContent = value.toLocaleString('en'); };
  number('raw-events', total.raw);
  number('sent-events', total.sent);
  number('raw-bytes', total.rawBytes);
  number('sent-bytes', total.sentBytes);
  const share = total.rawBytes === 0 ? 0 : total.sentBytes / total.rawBytes;
  element('share').style.width = `${share * 100}%`;
  element('saving').textContent = total.raw === 0
    ? 'Nothing has happened yet.'
    : `${(share * 100).toFixed(share < 0.1 ? 2 : 0)} % of the bytes go out; the numbers are the same.`;

  const report = aggregator.report();
  element('report').replaceChildren(...report.counts.map((count) => {
    const line = document.createElement('tr');
    const name = Object.assign(document.createElement('th'), { scope: 'row', textContent: count.name });
    const cells = [count.count, count.value.sum ?? ''].map((value) => Object.assign(document.createElement('td'), { textContent: value.toLocaleString('en') }));
    line.append(name, ...cells);
    return line;
  }));
  number('users', report.users);
}

function busy(isBusy) {
  for (const button of buttons) button.disabled = isBusy;
}

const say = (text) => { element('status').textContent = text; };

async function send() {
  const token = element('token').value.trim();
  let sent = 0;
  while (aggregator.pendingEvents > 0) {
    const batch = aggregator.pending();
    const response = await fetch('../v0/analytics', {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
      body: JSON.stringify(batch),
    });
    if (!response.ok) {
      const { error } = await response.json().catch(() => ({}));
      return say(`The server refused: ${error?.what ?? response.status}`);
    }
    aggregator.drain(batch.events.length);
    sent += batch.events.length;
  }
  say(sent === 0 ? 'Nothing is waiting to be sent.' : `The server has stored ${sent.toLocaleString('en')} events.`);
}

element('one').addEventListener('click', () => play(oneUser()));
element('many').addEventListener('click', () => play(manyUsers()));
element('storm').addEventListener('click', () => play(storm()));
element('reset').addEventListener('click', () => { begin(); say('Ready.'); });
element('send').addEventListener('submit', async (event) => {
  event.preventDefault();
  busy(true);
  await send().catch((error) => say(`The server cannot be reached: ${error.message}`));
  busy(false);
});

try {
  await init();
  begin();
  busy(false);
  say('Ready.');
} catch (error) {
  say(`The aggregator could not be loaded: ${error.message}`);
}

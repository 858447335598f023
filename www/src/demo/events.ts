// What happens in the demo's store, and what an event is before and after aggregation.

export interface Raw {
  event: string;
  user: string;
  value?: number;
}

export const NAMES = ['Landing', 'Search', 'Product', 'Review', 'Login', 'Wishlist', 'Cart', 'Coupon', 'Shipping', 'Payment', 'Purchase', 'Share'];
const STORM_EVENTS = 10_000;

const raw = (user: string, event: string): Raw => (event === 'Purchase' ? { event, user, value: 19.5 } : { event, user });

export function* oneUser(): Generator<Raw> {
  for (const name of NAMES) yield raw('ann', name);
}

/** The more common an event, the earlier its name; everybody does everything twice. */
export function* manyUsers(): Generator<Raw> {
  for (let number = 1; number <= 100; number += 1) {
    const names = NAMES.slice(0, 1 + (number % NAMES.length));
    for (const name of [...names, ...names]) yield raw(`user-${number}`, name);
  }
}

export function* storm(): Generator<Raw> {
  for (let number = 0; number < STORM_EVENTS; number += 1) yield raw('ann', NAMES[number % NAMES.length] ?? '');
}

const encoder = new TextEncoder();

/** Bytes of JSON, with the comma behind it. */
export const jsonBytes = (value: unknown): number => encoder.encode(JSON.stringify(value)).length + 1;

/** What the event would be on the wire if it were sent as it is. */
export const wire = ({ event, user, value }: Raw) => ({
  event_name: event,
  user_id: user,
  ...(value !== undefined && { value }),
  datetime: `${new Date().toISOString().slice(0, 10)}T00:00:00Z`,
  id: '0123456789a',
});

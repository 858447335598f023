// Whose events are. An identity is never changed into another one: calls keep the one of their time, and so do flags.
//
// `id` is what events carry; an empty one is nobody's yet, and their events are held back. `known` is to be awaited before
// `id` is read: where ids are blind it is empty until the hash is there, and stays so where there can be none.

import { wellFormed } from './text.js';

const isId = (id) => ['string', 'bigint'].includes(typeof id) || Number.isFinite(id);

/**
 * The identity of a user id of the page, or nobody's; what cannot be an id is reported and nobody's. `hash` makes ids blind, where they are
 * to be. `properties` are for flags only. Equal ones have the same `name`.
 */
export function createIdentity(userId, properties, hash, report) {
  const isValid = userId == null || isId(userId);
  if (!isValid) report('invalid', 'a user id is a text or a number');
  const id = isValid ? wellFormed(`${userId ?? ''}`) : '';
  const copied = isValid ? copyOf(properties, report) : {};
  const identity = { id, properties: copied, name: JSON.stringify([id, copied]) };
  if (id && hash) {
    identity.id = '';
    identity.known = hash(id)
      .then((hashed) => { identity.id = hashed; })
      .catch((error) => report('blind', error));
  }
  return identity;
}

function copyOf(properties, report) {
  try {
    if (typeof (properties ?? {}) !== 'object') throw 'properties of the wrong type';
    const copy = JSON.stringify(properties ?? {}, (_, value) => (typeof value === 'string' ? wellFormed(value) : value));
    return JSON.parse(copy);
  } catch (error) {
    report('invalid', error);
    return {};
  }
}

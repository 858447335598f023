// Whose events are. An identity is never changed into another one: calls keep the one of their time.
//
// `id` is what events carry; an empty one is nobody's yet, and their events are held back. `known` is to be awaited before
// `id` is read: where ids are blind it is empty until the hash is there, and stays so where there can be none.

export const NOBODY = { id: '' };

/** The identity of a user id of the page; `hash` makes ids blind, where they are to be. `properties` are for flags only. */
export function createIdentity(userId, properties, hash, report) {
  const id = `${userId ?? ''}`;
  const identity = { id, isSomebody: id, properties };
  if (id && hash) {
    identity.id = '';
    identity.known = hash(id)
      .then((hashed) => { identity.id = hashed; })
      .catch((error) => report('blind', error));
  }
  return identity;
}

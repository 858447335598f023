// The module that says whether an event is news, as each environment loads it.

export { Seen, load } from '#environment';

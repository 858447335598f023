// What the client loads behind the page: the outbox with its aggregator, and what is not for everyone.

export { createFeatures } from './client/features.js';
export { blind } from './client/digest.js';
export { openOutbox } from './client/outbox.js';

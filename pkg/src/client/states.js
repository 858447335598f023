// What becomes of an event that is news: it is queued; while a request has it, it is being sent; then the server has acknowledged it, or
// refused it for good. A request that fails leaves it queued.

export const QUEUED = 'queued';
export const ACKNOWLEDGED = 'acknowledged';
export const REFUSED = 'refused';

/** What the client loads behind its shell; for its option `parts` where `import()` is forbidden. */
export const openOutbox: unknown;
export const createFeatures: unknown;
export const blind: unknown;

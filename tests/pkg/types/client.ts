// Compiled, never run: what the types of the client allow.

import { KimballClient } from 'kimball-edge';

export const client: typeof KimballClient = KimballClient;

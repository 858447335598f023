import { createClient } from './client/client.js';

export class KimballClient {
  constructor(options) {
    Object.assign(this, createClient(options, () => import('./parts.js')));
  }
}

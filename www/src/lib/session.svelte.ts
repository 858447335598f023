// Who uses the page: a token, kept in memory or for this tab only, and what the server says that it may do.

import { keyOf } from './place';

export type Scope = 'admin' | 'ingest' | 'read';

export interface Access {
  authentication: boolean;
  scopes: Scope[];
}

const KEY = keyOf('kimball-token');

function kept(): string {
  try {
    return sessionStorage.getItem(KEY) ?? '';
  } catch {
    return '';
  }
}

function keep(token: string): void {
  try {
    if (token) sessionStorage.setItem(KEY, token);
    else sessionStorage.removeItem(KEY);
  } catch {
    // Without storage the token is forgotten at a reload.
  }
}

class Session {
  /** The token that requests carry; empty for none. */
  token = $state(kept());
  /** What the token may do; absent until the server has said so. */
  access = $state.raw<Access>();

  may(scope: Scope): boolean {
    return this.access?.scopes.includes(scope) ?? false;
  }

  /** Takes a token that the server has accepted. */
  open(token: string, access: Access, isKept: boolean): void {
    this.token = token;
    this.access = access;
    this.reason = '';
    keep(isKept ? token : '');
  }

  /** Why the token is asked for again; empty where there is nothing to say. */
  reason = $state('');

  /** The server no longer takes the token. */
  expire(): void {
    this.close();
    this.reason = 'The server no longer takes the token that was used.';
  }

  /** Forgets the token. */
  close(): void {
    this.token = '';
    this.reason = '';
    this.access = { authentication: true, scopes: [] };
    keep('');
  }
}

export const session = new Session();

// Types of store.mjs for the dashboard.

export interface StoreEvent {
  namespace: string;
  user_id: string;
  event_name: string;
  ensure_goal?: boolean;
  value?: number;
}

export const GOAL: string;
export function storeEvents(namespace: string): StoreEvent[];

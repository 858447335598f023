// What can be deleted for good: how, and what the page says before it is. The server keeps to it: README, "Deleting".
import { removeEvent, removeFlag, removeGoal, removeNamespace } from './api';
import { count, type Shown } from './format';
import type { EventRow, Goal } from './funnel';
import { route } from './route.svelte';

export interface Deletion<T> {
  what: string;
  /** Whether its name has to be typed first. */
  isTyped?: boolean;
  remove: (name: string) => Promise<void>;
  says: (item: T) => { goes: string; stays: string; then?: string };
}

export type Counted = Pick<EventRow, 'name' | 'users' | 'isGoal' | 'sum' | 'weeks'>;

export interface Namespace {
  name: string;
  users: Shown;
  events: number;
  goals: number;
}

const BACKUPS = 'Backups keep what they hold.';
const PAGES = 'Pages forget what they have sent, and send it again when it happens again. Nothing counts twice.';
const counted = (users: Shown, sum?: Shown, weeks: unknown[] = []) =>
  [count(users, 'user'), ...(sum === undefined ? [] : ['their values']), ...(weeks.length > 0 ? ['their weeks'] : [])].join(', ');

export const ofEvent: Deletion<Counted> = {
  what: 'event',
  remove: (name) => removeEvent(route.namespace, name),
  says: ({ users, isGoal, sum, weeks }) => ({
    goes: `The event with all that was counted of it: ${counted(users, sum, weeks)}. ${isGoal ? 'What was recorded about it as a goal. ' : ''}It is also taken out of what users had done before goals: combinations that differed in nothing else become one.`,
    stays: `All other events and goals. Whoever did it is still counted among the users of the namespace. ${BACKUPS}`,
    then: `${PAGES} If this event is still sent, it can come back as a new one that counts from nothing.`,
  }),
};

export const ofGoal: Deletion<Goal> = {
  what: 'goal',
  remove: (name) => removeGoal(route.namespace, name),
  says: ({ users, sum }) => ({
    goes: 'What was recorded about the goal: the events that users had done before it, alone and in combinations. Its lift, predictions and next steps go with that.',
    stays: `The event with all that was counted of it: ${counted(users, sum)}. All other events and goals. ${BACKUPS}`,
    then: `${PAGES} The event can be made a goal again, and then records who comes to it for the first time.`,
  }),
};

export const ofNamespace: Deletion<Namespace> = {
  what: 'namespace',
  isTyped: true,
  remove: removeNamespace,
  says: ({ name, users, events, goals }) => ({
    goes: `All that is in it: ${count(users, 'user')}, ${count(events, 'event')}, ${count(goals, 'goal')}, with values and weeks. Its own minimum, below which numbers are hidden, if it has one.`,
    stays: `All other namespaces, and the flags, which are the same in all. ${name === 'default' ? 'This name, which is always in the list. ' : ''}${BACKUPS}`,
    then: `${PAGES} If events are still sent to it, it can begin anew: from nothing, and with no minimum of its own.`,
  }),
};

export const ofFlag: Deletion<{ name: string }> = {
  what: 'flag',
  remove: removeFlag,
  says: () => ({
    goes: 'The flag. It is then off for everybody who asks for it.',
    stays: 'The draw of its name: a flag that is made again under it gives every user the same.',
  }),
};

import { connect, type GateClient, pageStore } from '@nestgate/client';

/** What a test reads of the page. */
export interface TestPage {
  readonly gate: GateClient;
  /** Names of events, and of states, in order. */
  readonly events: string[];
  /** Unlike a reloaded page, one from the back/forward cache still has what was set here. */
  mark?: string;
}

const HEARD = 'heard';
const query = new URLSearchParams(location.search);
const gate = connect(query.get('gate') ?? '', { persist: pageStore() });
const events: string[] = [];
gate.on('state', ({ name }) => events.push(name));
for (const name of ['resumed', 'gap', 'error'] as const) gate.on(name, () => events.push(name));
// Kept over a reload: a push that is lost, or comes twice, shows.
gate.on('room/said', body => {
  const heard = JSON.parse(sessionStorage.getItem(HEARD) ?? '[]') as unknown[];
  sessionStorage.setItem(HEARD, JSON.stringify([...heard, body]));
});
Object.assign(globalThis, { test: { gate, events } satisfies TestPage });

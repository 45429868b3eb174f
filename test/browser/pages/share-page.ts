import type { GateClient } from '@nestgate/client';
import { connectShared } from '@nestgate/client/share';

/** What a test reads of a page that shares its connection. */
export interface SharePage {
  readonly gate: GateClient;
  readonly heard: unknown[];
  /** Names of events, and of states, in order. */
  readonly events: string[];
}

const gate = connectShared(new URLSearchParams(location.search).get('gate') ?? '');
const [heard, events]: [unknown[], string[]] = [[], []];
gate.on('state', ({ name }) => events.push(name));
for (const name of ['resumed', 'gap', 'error'] as const) gate.on(name, () => events.push(name));
gate.on('room/said', body => heard.push(body));
Object.assign(globalThis, { shared: { gate, heard, events } satisfies SharePage });

import { CONNECT_TOPIC, DETACH_TOPIC, DISCONNECT_TOPIC, RESUME_TOPIC } from '@nestgate/link/internal';
import { addHandler, type TopicMetadata } from './on-topic.decorator.js';

/**
 * The payload of {@link OnConnect}: the HTTP request that a WebSocket connection began with. For a TCP client, which has
 * none, the strings and objects are empty.
 *
 * It is an interface: import it with `import type` where it is the type of a decorated parameter.
 */
export interface ConnectEvent {
  /** Path and query, as sent. */
  readonly url: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly cookies: Readonly<Record<string, string>>;
}

/** The payload of {@link OnDisconnect}: an interface, to be imported with `import type`. */
export interface DisconnectEvent {
  /** The close code. */
  readonly code: number;
  readonly reason: string;
  /** The groups the client was in. */
  readonly groups: readonly string[];
}

/** The payload of {@link OnDetach}: an interface, to be imported with `import type`. */
export interface DetachEvent {
  /** The close code; 1006 when the connection broke. */
  readonly code: number;
  readonly reason: string;
}

/** The payload of {@link OnResume}: an interface, to be imported with `import type`. */
export interface ResumeEvent {
  /** How long the session had no connection, in milliseconds. */
  readonly awayMs: number;
  /** How many messages the client has missed. */
  readonly lost: number;
}

/**
 * Handles new clients: the method gets a {@link ConnectEvent}, and `@ClientSession()`. It runs on one worker, through the
 * whole Nest pipeline, before the first frame of the client is handled; the gate waits for it (`overTime` at most). A method
 * that throws closes the client: with 1008 for the codes `FORBIDDEN` and `UNAUTHORIZED`, else with 1011. Several methods may listen.
 *
 * While all workers that listen are gone, a new client waits for one (`workerWait`), and is then refused with 1013. When the worker is
 * lost while the method runs, another one is asked, once. A client that is refused for lack of a worker is counted by the gate
 * (`events_lost`).
 */
export function OnConnect(): MethodDecorator {
  return onEvent(CONNECT_TOPIC);
}

/**
 * Handles clients that are gone: the method gets a {@link DisconnectEvent}; `@ClientSession()` still tells uid and settings
 * as they were. It runs on one worker, after the client's last frame on that worker, and only when its {@link OnConnect} has begun. Clients of a gate that was killed have
 * nobody left to tell it.
 */
export function OnDisconnect(): MethodDecorator {
  return onEvent(DISCONNECT_TOPIC);
}

/**
 * Handles clients that have lost their connection while their session is kept (option `resume` of the gate): the method gets a
 * {@link DetachEvent}, and `@ClientSession()`. Messages to the client wait for it. {@link OnResume} or {@link OnDisconnect} follows. It
 * runs on one worker; nobody waits for it.
 */
export function OnDetach(): MethodDecorator {
  return onEvent(DETACH_TOPIC);
}

/**
 * Handles clients whose session goes on with another connection: the method gets a {@link ResumeEvent}, and `@ClientSession()`. It
 * runs on one worker; the client's frames do not wait for it.
 */
export function OnResume(): MethodDecorator {
  return onEvent(RESUME_TOPIC);
}

function onEvent(topic: string): MethodDecorator {
  return (target, key, descriptor) => {
    const metadata: TopicMetadata = Object.freeze({ topic, payload: 'json', isEvent: true });
    addHandler(target, key, descriptor, [topic], metadata);
  };
}

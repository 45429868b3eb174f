import { Controller } from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import { connect, type ConnectOptions, type GateClient, type GateState } from '@nestgate/client';
import { waitUntil } from '@nestgate/testing';
import { ClientSession, GatewayApi, GateError, OnTopic, type Session } from '@nestgate/worker';
import { WebSocket } from 'ws';

/** What the clients of these tests talk to. */
@Controller()
export class ClientTopics {
  /** Messages that have come, in order. */
  readonly noted: unknown[] = [];

  constructor(private readonly gateway: GatewayApi) {}

  @OnTopic('echo/echo', { payload: 'raw' })
  echo(@Payload() body: unknown) {
    return body;
  }

  @OnTopic('echo/note')
  note(@Payload() body: unknown) {
    this.noted.push(body);
  }

  @OnTopic('echo/fail')
  fail() {
    throw new GateError('NOT_MEMBER', 'You are no member');
  }

  @OnTopic('echo/never', { concurrent: true })
  never() {
    return new Promise(() => undefined);
  }

  @OnTopic('chat/login')
  login(@Payload() { name }: { name: string }) {
    return { uid: name };
  }

  @OnTopic('room/join')
  async join(@Payload() room: string, @ClientSession() session: Session) {
    await this.gateway.joinGroup(session.clientId, room);
    return { ok: true };
  }

  @OnTopic('room/close')
  async close(@Payload() reason: string, @ClientSession() session: Session) {
    await this.gateway.closeClient(session.clientId, 'room/closing', reason);
  }
}

/** Clients of a test, which all are closed at its end. */
export class Clients {
  private readonly clients = new Set<GateClient>();

  connect(url: string, options: ConnectOptions = {}): GateClient {
    const gate = connect(url, { WebSocket, ...options });
    this.clients.add(gate);
    return gate;
  }

  close(): void {
    for (const client of this.clients) client.close();
    this.clients.clear();
  }
}

/** Waits until the client is in this state. */
export function inState<N extends GateState['name']>(
  gate: GateClient,
  name: N,
  timeoutMs?: number,
): Promise<Extract<GateState, { name: N }>> {
  const state = (): GateState | undefined => (gate.state.name === name ? gate.state : undefined);
  return waitUntil(`the client to be ${name}`, state, timeoutMs) as Promise<Extract<GateState, { name: N }>>;
}

/** The code of the error with which a promise rejects. */
export function codeOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    value => ({ value }),
    (error: unknown) => (error as GateError).code,
  );
}

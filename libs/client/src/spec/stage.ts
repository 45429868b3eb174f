import { connect } from '../connect.js';
import type { GateClient } from '../gate-client.js';
import type { ClientEvents, ConnectOptions } from '../options.js';
import { FakeEnvironment } from '../testing/fake-environment.js';
import { type MockFrame, MockSocket } from '../testing/mock-socket.js';

/** A client, with a clock and sockets that the test moves. */
export class Stage {
  readonly environment = new FakeEnvironment();
  /** All sockets that the client has made, in order. */
  readonly sockets: MockSocket[] = [];
  /** Events of the client, in order: name and first argument. */
  readonly events: [name: string, event: unknown][] = [];
  readonly gate: GateClient;

  constructor(options: ConnectOptions = {}) {
    const { sockets, environment } = this;
    this.gate = connect('wss://gate.test/gate', {
      environment,
      WebSocket: class extends MockSocket {
        constructor(url: string, protocols: string[]) {
          super(url, protocols);
          sockets.push(this);
        }
      },
      ...options,
    });
    for (const name of ['state', 'session', 'resumed', 'gap', 'error'] satisfies (keyof ClientEvents)[]) {
      this.gate.on(name, (event: unknown) => this.events.push([name, event]));
    }
  }

  /** The newest socket. */
  get socket(): MockSocket {
    const socket = this.sockets.at(-1);
    if (!socket) throw new Error('There is no socket');
    return socket;
  }

  /** Sockets that neither side has closed. */
  get live(): number {
    return this.sockets.filter(({ closedWith }) => !closedWith).length;
  }

  /** The names of the states so far. */
  get states(): string[] {
    return this.of('state').map(state => (state as { name: string }).name);
  }

  /** The events of this name. */
  of(name: string): unknown[] {
    return this.events.filter(event => event[0] === name).map(([, event]) => event);
  }

  /** The gate accepts the newest socket, and says hello. */
  welcome({ protocol = 'gate.json', clientId = 'c1', ...body }: MockFrame & { protocol?: string } = {}): MockSocket {
    this.socket.accept(protocol);
    const session = protocol.endsWith('.2') ? { ticket: 't1', keepMs: 60_000, ackEvery: 4, ackMs: 1_000 } : undefined;
    this.socket.receive({ topic: '$gate/hello', body: { clientId, heartbeatMs: 25_000, session, ...body } });
    return this.socket;
  }

  /** The gate takes the session up again, on the newest socket. */
  resume(body: MockFrame): MockSocket {
    this.socket.accept('gate.json.2');
    this.socket.receive({ topic: '$gate/resumed', body: { clientId: 'c1', ticket: 't2', awayMs: 5, ...body } });
    return this.socket;
  }

  /** Frames that the client has sent over all sockets, without the gate's own. */
  get sent(): MockFrame[] {
    return this.sockets.flatMap(({ sent }) => sent).filter(({ topic }) => !String(topic).startsWith('$gate/'));
  }

  /** The gate's own frames that the client has sent. */
  get control(): MockFrame[] {
    return this.sockets.flatMap(({ sent }) => sent).filter(({ topic }) => String(topic).startsWith('$gate/'));
  }
}

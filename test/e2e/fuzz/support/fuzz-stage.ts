import { expect } from '@jest/globals';
import { HandlersModule } from '@nestgate-app/handlers';
import { type Link, LinkNode } from '@nestgate/link';
import { createTestCluster, type FakeClient, type TestCluster, waitUntil } from '@nestgate/testing';
import { WebSocket } from 'ws';
import { withNeighbour } from '../../support/raw-neighbour.js';

/** What the nodes of the stages have in common. */
export const SECRET = 'a secret of the tests';
/** How often the neighbour of a target asks and is pushed to. */
const QUIET = { everyMs: 20 };

/** A client that insiders may do anything to. What they send it may be no frame, so it looks at nothing but its hello. */
export class Victim {
  private socket: WebSocket | undefined;
  private id = '';

  constructor(private readonly cluster: TestCluster) {}

  /** Its id; it comes back when it was closed. */
  async clientId(): Promise<string> {
    if (this.socket?.readyState === WebSocket.OPEN) return this.id;
    const socket = new WebSocket(this.cluster.gate.url, { perMessageDeflate: false });
    this.socket = socket;
    this.id = '';
    socket.on('error', () => undefined);
    socket.once('message', data => {
      this.id = (JSON.parse((data as Buffer).toString()) as { body: { clientId: string } }).body.clientId;
    });
    return waitUntil('the hello to the victim', () => this.id);
  }

  end(): void {
    this.socket?.terminate();
  }
}

/** A gate and a worker in this process, clients that must not notice anything, and one that may. */
export class Stage {
  readonly victim: Victim;
  private constructor(readonly cluster: TestCluster) {
    this.victim = new Victim(cluster);
  }

  static async open(link: (role: 'gate' | 'worker') => Link): Promise<Stage> {
    const handlers = { imports: [HandlersModule] };
    const gate = { maxConnectionsPerIp: 0, maxConnectionRate: 100_000, messageRate: 0 };
    return new Stage(await createTestCluster({ handlers, gate, workers: 1, link }));
  }

  get gate(): LinkNode {
    return this.cluster.gate.app.get(LinkNode);
  }

  get worker(): LinkNode {
    return (this.cluster.workers[0] as TestCluster['workers'][0]).app.get(LinkNode);
  }

  /** Runs a target beside a neighbour. After each input another client asks for an echo. */
  run(target: (witness: FakeClient, ids: readonly string[]) => Promise<void>): Promise<void> {
    const { cluster, victim } = this;
    const beside = async (): Promise<void> => {
      const witness = await cluster.connect();
      try {
        await target(witness, await cluster.api.getAllClientIdList());
      } finally {
        await witness.close();
        victim.end();
      }
    };
    return withNeighbour(cluster, beside, QUIET);
  }
}

/** Shows that a gate and its worker serve a client. */
export async function echo(witness: FakeClient): Promise<void> {
  expect(await witness.request('echo/echo', 'here')).toBe('here');
  witness.frames.length = 1;
}

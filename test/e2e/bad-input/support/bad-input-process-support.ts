import { expect } from '@jest/globals';
import { freePort, waitUntil } from '@nestgate/testing';
import { NO_DEFECTS } from '../../../faults/support/no-defects.js';
import type { StreamReport } from '../../../faults/support/ledger.js';
import { LedgerClient } from '../../../faults/support/ledger-client.js';
import { Load } from '../../../faults/support/load.js';
import { NodeProcess } from '../../../faults/support/node-process.js';
import { PushFlow, pushOf } from '../../../faults/support/push-flow.js';
import { resetRawSockets } from '../../support/raw-socket.js';

const RUN = 'bad-input';
const NEIGHBOURS = 3;
export const SECRET = 'a secret of the tests';

/**
 * A gate and a worker in processes of their own, and neighbours that ask and are pushed to from the beginning to the end: the
 * ledgers say whether anything that was done to the gate has touched them.
 */
export class HostileStage {
  private readonly load: Load;

  private constructor(
    readonly gate: NodeProcess,
    readonly worker: NodeProcess,
    /** Where the gate's link listens. */
    readonly linkPort: number,
    private readonly neighbours: LedgerClient[],
    private readonly flow: PushFlow,
  ) {
    this.load = new Load(neighbours, { everyMs: 20, workMs: 1 });
  }

  /** `options`: of the gate, beside those of `apps/gate`. */
  static async start(options: object): Promise<HostileStage> {
    const linkPort = await freePort();
    const env = {
      NESTGATE_LINK: `tcp://127.0.0.1:${linkPort}`,
      NESTGATE_SECRET: SECRET,
      NESTGATE_MSG_RATE: '0',
      NESTGATE_MAX_PER_IP: '0',
      LOG_LEVEL: 'debug',
      NO_COLOR: '1',
    };
    const nodes: NodeProcess[] = [];
    try {
      const gate = await NodeProcess.start('gate', 'g1', { ...env, FAULTS_GATE: JSON.stringify(options) });
      nodes.push(gate);
      const worker = await NodeProcess.start('worker', 'w1', { ...env, FAULTS_EFFECTS: '/dev/null' });
      nodes.push(worker);
      await waitUntil('the gate to know the worker', async () => (await gate.state()).peers.includes('w1'));
      const neighbours: LedgerClient[] = [];
      for (let i = 0; i < NEIGHBOURS; i++) {
        neighbours.push(await LedgerClient.connect(gate.port, RUN, `neighbour-${i}`));
      }
      // The first one has the worker push to all.
      const flow = await PushFlow.start(pushOf(neighbours[0] as LedgerClient), 'neighbours', neighbours);
      return new HostileStage(gate, worker, linkPort, neighbours, flow);
    } catch (error) {
      for (const node of nodes) await node.end();
      throw error;
    }
  }

  /** What the gate has counted under a name and label. */
  async counted(name: string, label: string | number): Promise<number> {
    return (await this.gate.state()).counts?.[name]?.[label] ?? 0;
  }

  /** Runs a case that the gate must count so many times. Returns what is wrong, if anything is. */
  async attempt(
    what: string,
    name: string,
    label: string | number,
    run: () => Promise<string | undefined | void>,
    times = 1,
  ): Promise<string[]> {
    const before = await this.counted(name, label);
    const wrong = await run().catch((error: Error) => error.message);
    const goal = before + times;
    await waitUntil('the count', async () => (await this.counted(name, label)) >= goal, 2_000).catch(() => undefined);
    const counted = (await this.counted(name, label)) - before;
    return [
      ...(wrong === undefined ? [] : [`${what}: ${wrong}`]),
      ...(counted === times ? [] : [`${what}: counted ${counted} times as ${name} ${label}, and not ${times}`]),
    ];
  }

  /** The neighbours go on, the nodes still know each other, and nobody is there who should not be. */
  async check(): Promise<void> {
    resetRawSockets();
    await this.load.flows(3);
    await waitUntil('the gate to be alone with the neighbours', async () => {
      const { clients, peers } = await this.gate.state();
      return clients === NEIGHBOURS && peers.length === 2 && peers.includes('w1');
    });
    this.checkLedgers();
  }

  /** Ends the traffic, and looks at all of it. */
  async finish(): Promise<void> {
    await this.flow.stop();
    await this.load.stop();
    this.checkLedgers();
    for (const { strays, closedWith, requests } of this.neighbours) {
      expect([strays, closedWith]).toEqual([[], undefined]);
      const { sent, received } = requests.report();
      expect(received).toBe(sent);
      expect(sent).toBeGreaterThan(50);
    }
    const { sent, received } = this.flow.ledger.total();
    expect(received).toBe(sent);
    expect(sent).toBeGreaterThan(50);
    for (const node of [this.gate, this.worker]) expect(node.isOver).toBe(false);
  }

  async end(): Promise<void> {
    for (const client of this.neighbours) client.end();
    for (const node of [this.gate, this.worker]) await node.end();
  }

  /** What has been accepted and is not here yet may be under way; nothing else may be wrong. */
  private checkLedgers(): void {
    const reports: StreamReport[] = [
      ...this.neighbours.map(({ requests }) => requests.report()),
      this.flow.ledger.total(),
    ];
    for (const { dup, reorder, foreign, errors } of reports) {
      const { dup: noDup, reorder: noReorder, foreign: noForeign } = NO_DEFECTS;
      expect({ dup, reorder, foreign, errors }).toEqual({
        dup: noDup,
        reorder: noReorder,
        foreign: noForeign,
        errors: {},
      });
    }
  }
}

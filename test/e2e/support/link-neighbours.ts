import { expect } from '@jest/globals';
import { TcpLink, type TcpLinkOptions } from '@nestgate/link';
import { LinkProbe, waitUntil } from '@nestgate/testing';
import { nodeInfo } from './raw-link-peer.js';

const text = (count: number): string => `frame ${count} ${'.'.repeat((count * 131) % 3_000)}`;

/**
 * A gate and a worker that send each other numbered frames all the time, so that a test can see whether what it does to
 * the gate has touched them.
 */
export class LinkNeighbours {
  private running = true;
  private sent = 0;
  private readonly work: Promise<void>;

  private constructor(
    readonly gate: LinkProbe,
    readonly worker: LinkProbe,
  ) {
    this.work = this.talk();
  }

  /** `rest`: what the gate's link is told besides. */
  static async start(secret: string, rest: Partial<TcpLinkOptions> = {}): Promise<LinkNeighbours> {
    const options = { url: 'tcp://127.0.0.1:0', secret, ...rest };
    const gate = await new LinkProbe(new TcpLink(options), nodeInfo('g1', 'gate')).open();
    const url = `tcp://127.0.0.1:${(gate.link as TcpLink).address?.port}`;
    const worker = await new LinkProbe(new TcpLink({ ...options, url }), nodeInfo('w1')).open();
    await gate.meets('w1');
    return new LinkNeighbours(gate, worker);
  }

  /** The gate's port. */
  get port(): number {
    return this.link.address?.port ?? 0;
  }

  get link(): TcpLink {
    return this.gate.link as TcpLink;
  }

  /** Waits until the gate is connected with nobody but the worker. */
  async alone(): Promise<void> {
    await waitUntil('the gate to have one peer', () => this.gate.link.peers().size === 1);
  }

  /** Ends the talk, and checks that nothing of it was lost, doubled, reordered or changed, and nothing came besides. */
  async check(): Promise<void> {
    const more = this.sent + 10;
    await waitUntil('the two to go on talking', () => this.sent >= more);
    this.running = false;
    await this.work;
    const { gate, sent, worker } = this;
    await waitUntil('all frames', () => gate.texts('w1').length >= sent && worker.texts('g1').length >= sent);
    const all = Array.from({ length: sent }, (_, i) => text(i));
    expect(gate.texts('w1')).toEqual(all);
    expect(worker.texts('g1')).toEqual(all);
    expect(gate.story('w1')).toEqual(['join 1']);
    expect(worker.changes).toEqual([{ type: 'join', node: gate.info }]);
    expect(gate.link.peers().get('w1')).toEqual(worker.info);
  }

  async end(): Promise<void> {
    this.running = false;
    await this.work;
    await this.worker.link.close({ drain: false });
    await this.gate.link.close({ drain: false });
  }

  private async talk(): Promise<void> {
    while (this.running) {
      const frame = Buffer.from(text(this.sent));
      if (this.gate.link.send('w1', frame) === 'refused' || this.worker.link.send('g1', frame) === 'refused') return;
      this.sent++;
      await new Promise(resolve => setTimeout(resolve, 2));
    }
  }
}

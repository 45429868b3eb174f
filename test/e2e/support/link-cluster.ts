import { TcpLink, type TcpLinkOptions } from '@nestgate/link';
import { LinkProbe, TcpRelay, waitUntil } from '@nestgate/testing';
import { nodeInfo, RawLinkGate, type RawLinkPeer } from './raw-link-peer.js';

/** Ports of this machine, as a URL lists them. */
export const onPorts = (...ports: readonly number[]): string => ports.map(port => `127.0.0.1:${port}`).join(',');

/** Nodes of one test over the tcp link, and what stands between them. */
export class LinkCluster {
  private readonly probes: LinkProbe[] = [];
  private readonly relays: TcpRelay[] = [];
  private readonly listeners: RawLinkGate[] = [];

  /** `options`: what all links are told besides their URL. */
  constructor(private readonly options: Omit<TcpLinkOptions, 'url'>) {}

  /** The port that a gate listens on. */
  static portOf(gate: LinkProbe): number {
    return (gate.link as TcpLink).address?.port ?? 0;
  }

  async openGate(id: string, { epoch = '1', url = 'tcp://127.0.0.1:0' } = {}): Promise<LinkProbe> {
    return this.keep(new LinkProbe(new TcpLink({ url, ...this.options }), nodeInfo(id, 'gate', epoch))).open();
  }

  /** Opens the link of a worker that dials these addresses. */
  async openWorker(hosts: string, { id = 'w1', epoch = '1' } = {}): Promise<LinkProbe> {
    const link = new TcpLink({ url: `tcp://${hosts}`, ...this.options });
    return this.keep(new LinkProbe(link, nodeInfo(id, 'worker', epoch))).open();
  }

  /** Closes it when the test ends. */
  keep(probe: LinkProbe): LinkProbe {
    this.probes.push(probe);
    return probe;
  }

  /** Puts something that breaks in front of a port, or of a gate. */
  async relayTo(target: number | LinkProbe): Promise<TcpRelay> {
    const relay = await TcpRelay.start(typeof target === 'number' ? target : LinkCluster.portOf(target));
    this.relays.push(relay);
    return relay;
  }

  /** Listens where nodes look for a gate, and lets the test answer them. */
  async listen(onPeer: (peer: RawLinkPeer) => void): Promise<RawLinkGate> {
    const listener = await RawLinkGate.listen(this.options.secret ?? '', onPeer);
    this.listeners.push(listener);
    return listener;
  }

  async end(): Promise<void> {
    for (const listener of this.listeners.splice(0)) await listener.end();
    for (const { link } of this.probes.splice(0)) await link.close({ drain: false });
    for (const relay of this.relays.splice(0)) await relay.end();
  }
}

/** Lets each of two nodes send the other a frame. */
export async function exchange(one: LinkProbe, other: LinkProbe): Promise<void> {
  const [before, after] = [one.frames.length, other.frames.length];
  one.link.send(other.info.id, Buffer.from('ping'));
  other.link.send(one.info.id, Buffer.from('pong'));
  await waitUntil('both frames', () => one.frames.length > before && other.frames.length > after);
}

/** Lets two exchange frames for longer than a few attempts to connect take. */
export async function talk(one: LinkProbe, other: LinkProbe): Promise<void> {
  const since = performance.now();
  while (performance.now() - since < 1_000) await exchange(one, other);
}

import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { GateError } from '@nestgate/protocol';
import { ALL_GATES, type Link, type LinkEvents, type NodeId, type NodeInfo, type SendResult } from '../link.js';
import { type HostPort, isLoopback, parseTcpUrl, type TcpUrl } from './tcp-address.js';
import { TcpChannel, type TcpChannelEvents } from './tcp-channel.js';
import { TcpDialer } from './tcp-dialer.js';

/** How a {@link TcpLink} works. */
export interface TcpLinkOptions {
  /** `tcp://host:port[,host:port…][?peers=host:port,…]`: gates listen on the first address, others dial all of them. */
  readonly url: string;
  /** What all nodes of the cluster know. May be empty on loopback only. */
  readonly secret?: string;
}

/** Links nodes by TCP connections, without a broker: every worker is connected to every gate. */
export class TcpLink implements Link, TcpChannelEvents {
  /** Every cast reaches every gate. */
  readonly routesChannels = false;
  private readonly url: TcpUrl;
  private readonly secret: string;
  private self: NodeInfo | undefined;
  private events: LinkEvents | undefined;
  private server: Server | undefined;
  private dialer: TcpDialer | undefined;
  private readonly known = new Map<NodeId, NodeInfo>();
  private readonly channelsByPeer = new Map<NodeId, TcpChannel>();
  private readonly all = new Set<TcpChannel>();
  private readonly closeListeners = new Map<TcpChannel, () => void>();
  private readonly joined = new Set<string>();
  private refusal: string | undefined;
  private isClosed = false;

  /** @throws {GateError} `BAD_ARGUMENT` for a malformed URL. */
  constructor({ url, secret = '' }: TcpLinkOptions) {
    this.url = parseTcpUrl(url);
    this.secret = secret;
  }

  /** Where a gate listens: the port is the real one when the URL said 0. */
  get address(): HostPort | undefined {
    const address = this.server?.address() as AddressInfo | null | undefined;
    return address ? { host: address.address, port: address.port } : undefined;
  }

  /**
   * Listens or dials. A worker does not wait for gates that are not there: it goes on trying.
   * @throws {GateError} `BAD_ARGUMENT` for an empty secret on an address that others can reach, and for an id that is taken.
   */
  async open(self: NodeInfo, events: LinkEvents): Promise<void> {
    if (this.self) throw new GateError('BAD_ARGUMENT', 'The link is open already');
    this.self = self;
    this.events = events;
    if (self.role === 'gate') await this.listen();
    const targets = self.role === 'gate' ? this.url.peers : this.url.addresses;
    this.dialer = new TcpDialer(targets, socket => this.attach(socket, true));
    await this.dialer.start();
    if (this.refusal !== undefined && this.channelsByPeer.size === 0) {
      await this.close({ drain: false });
      throw new GateError('BAD_ARGUMENT', `The cluster refuses this node: ${this.refusal}`);
    }
  }

  peers(): ReadonlyMap<NodeId, NodeInfo> {
    return this.known;
  }

  announce(self: NodeInfo): void {
    this.self = self;
    for (const channel of this.channelsByPeer.values()) channel.announce(self);
  }

  send(to: NodeId, frame: Buffer): SendResult {
    return this.channelsByPeer.get(to)?.send(frame) ?? 'refused';
  }

  cast(name: string, frame: Buffer): SendResult {
    if (this.isClosed || !this.self) return 'refused';
    let result: SendResult = 'sent';
    for (const [id, channel] of this.channelsByPeer) {
      if (this.known.get(id)?.role !== 'gate') continue;
      const one = channel.cast(name, frame);
      if (one === 'refused' || result === 'sent') result = one;
    }
    return result;
  }

  /** Every cast reaches every gate; here it is decided what is heard of it. */
  join(channel: string): Promise<void> {
    this.joined.add(channel);
    return Promise.resolve();
  }

  leave(channel: string): void {
    this.joined.delete(channel);
  }

  async close({ drain }: { readonly drain: boolean }): Promise<void> {
    this.isClosed = true;
    this.dialer?.stop();
    const closed = Array.from(
      this.all,
      channel => new Promise<void>(resolve => this.closeListeners.set(channel, resolve)),
    );
    for (const channel of this.all) channel.close(drain);
    const { server } = this;
    if (server) closed.push(new Promise(resolve => server.close(() => resolve())));
    await Promise.all(closed);
    this.known.clear();
  }

  // What the channels tell.

  admit(channel: TcpChannel, peer: NodeInfo): void {
    const self = this.self as NodeInfo;
    const isGate = peer.role === 'gate';
    if (channel.isDialer ? !isGate : isGate && this.url.peers.length === 0) {
      // Only what was dialled as a gate is one, unless this gate was told that it has peers.
      throw new GateError('FORBIDDEN', `A ${peer.role} is not expected here`);
    }
    if (peer.id === self.id) throw new GateError('BAD_ARGUMENT', `The id "${peer.id}" is the gate's own`);
    const incumbent = this.channelsByPeer.get(peer.id);
    if (incumbent) {
      // The same boot has lost its connection and come back, perhaps before the loss was seen here.
      if (incumbent.peer?.epoch !== peer.epoch) throw new GateError('BAD_ARGUMENT', `The id "${peer.id}" is taken`);
      this.drop(incumbent, 'lost');
      incumbent.close(false);
    }
  }

  onReady(channel: TcpChannel, peer: NodeInfo): void {
    this.channelsByPeer.set(peer.id, channel);
    this.known.set(peer.id, peer);
    this.dialer?.noteReady(channel.socket);
    this.events?.onPeer({ type: 'join', node: peer });
  }

  onFrame(channel: TcpChannel, frame: Buffer): void {
    if (this.isCurrent(channel)) this.events?.onFrame((channel.peer as NodeInfo).id, frame);
  }

  onCast(channel: TcpChannel, name: string, frame: Buffer): void {
    if (name === ALL_GATES || this.joined.has(name)) this.onFrame(channel, frame);
  }

  onInfo(channel: TcpChannel, peer: NodeInfo): void {
    if (!this.isCurrent(channel)) return;
    this.known.set(peer.id, peer);
    this.events?.onPeer({ type: 'change', node: peer });
  }

  onDrain(channel: TcpChannel): void {
    if (channel.peer) this.events?.onDrain(channel.peer.id);
  }

  onClose(channel: TcpChannel, refusal: string | undefined): void {
    this.all.delete(channel);
    if (refusal !== undefined) this.refusal = refusal;
    this.drop(channel, channel.saidBye ? 'leave' : 'lost');
    this.closeListeners.get(channel)?.();
    this.closeListeners.delete(channel);
  }

  private isCurrent(channel: TcpChannel): boolean {
    return channel.peer !== undefined && this.channelsByPeer.get(channel.peer.id) === channel;
  }

  private drop(channel: TcpChannel, type: 'leave' | 'lost'): void {
    if (!this.isCurrent(channel)) return;
    const { id } = channel.peer as NodeInfo;
    this.channelsByPeer.delete(id);
    this.known.delete(id);
    if (!this.isClosed) this.events?.onPeer({ type, id });
  }

  private async listen(): Promise<void> {
    const { host, port } = this.url.addresses[0] as HostPort;
    if (this.secret === '' && !isLoopback(host)) {
      throw new GateError(
        'BAD_ARGUMENT',
        `A secret is needed to listen on ${host}: others can reach it (NESTGATE_SECRET)`,
      );
    }
    const server = createServer(socket => this.attach(socket, false));
    this.server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, () => {
        server.off('error', reject);
        resolve();
      });
    });
  }

  private attach(socket: Socket, isDialer: boolean): void {
    this.all.add(new TcpChannel(socket, this.secret, isDialer, () => this.self as NodeInfo, this));
  }
}

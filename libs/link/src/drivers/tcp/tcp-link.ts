import type { Socket } from 'node:net';
import { GateError } from '@nestgate/protocol';
import { assertKnownOptions, optionKeys } from '../../common/options.js';
import {
  ALL_GATES,
  bytesOf,
  type Link,
  type LinkEvents,
  type LinkFrame,
  type NodeId,
  type NodeInfo,
  type SendResult,
} from '../../link.js';
import {
  type HostPort,
  isLoopback,
  nameOf,
  parseTcpUrl,
  type TcpTlsOptions,
  type TcpUrl,
} from './endpoint/tcp-address.js';
import { SocketFastPath } from '../../sockets/socket-fast-path.js';
import { TcpChannel, type TcpChannelEvents } from './tcp-channel.js';
import { type DialTimes, TcpDialer } from './endpoint/tcp-dialer.js';
import type { Verdict } from './tcp-greeting.js';
import { TcpHandshake } from './tcp-handshake.js';
import { type TcpLinkCounters, TcpListener } from './endpoint/tcp-listener.js';
import { castHeader } from './tcp-message.js';
import { type LookupAll, TcpResolver } from './endpoint/tcp-resolver.js';
import { TcpPeerTable } from './tcp-peer-table.js';
import { TcpTls } from './endpoint/tcp-tls.js';
import { present } from '../../common/checked.js';

/** How a {@link TcpLink} works. */
export interface TcpLinkOptions {
  /**
   * `tcp://host:port[,host:port…]`: gates listen on the first address, others dial all of them. A name with several
   * addresses is several gates. In the query, `peers=host:port,…` lets gates dial each other; `cert`, `key`, `ca` and
   * `checkHost` stand for `tls`.
   */
  readonly url: string;
  /** Shared secret of all nodes. At least 8 characters; on loopback and with TLS it may be shorter or empty. */
  readonly secret?: string | undefined;
  /** Encrypts, and admits only nodes with a certificate of the same authority. With a secret, both are checked. */
  readonly tls?: TcpTlsOptions | undefined;
}

const KEYS = optionKeys<TcpLinkOptions>({ url: true, secret: true, tls: true });
const TLS_KEYS = optionKeys<TcpTlsOptions>({ certFile: true, keyFile: true, caFile: true, checkHost: true });
/** Minimum length of the secret when other machines can reach the link. A shorter secret is easy to guess. */
const MIN_SECRET = 8;

/** Parts that tests replace. */
interface TcpLinkParts {
  readonly lookupAll?: LookupAll;
  readonly times?: DialTimes;
  readonly fastPath?: SocketFastPath;
}

/** Links nodes by TCP connections, without a broker: every worker connects to every gate. */
export class TcpLink implements Link, TcpChannelEvents {
  /** Every cast reaches every gate. */
  readonly routesChannels = false;
  private readonly url: TcpUrl;
  private self: NodeInfo | undefined;
  private events: LinkEvents | undefined;
  private tls: TcpTls | undefined;
  private peerTable: TcpPeerTable<TcpChannel> | undefined;
  private listener: TcpListener | undefined;
  private dialer: TcpDialer | undefined;
  /** All connections, each with a callback for its end. */
  private readonly all = new Map<TcpChannel, () => void>();
  private readonly joined = new Set<string>();
  /** All connections share one read buffer where Node allows it. */
  private readonly fastPath: SocketFastPath;
  /** Why the cluster refused this node, until it has joined. */
  private refusal: string | undefined;
  private closing: Promise<void> | undefined;

  /** @throws {GateError} `BAD_ARGUMENT` for a malformed URL, and for TLS set both in the URL and in the options. */
  constructor(
    private readonly options: TcpLinkOptions,
    private readonly parts: TcpLinkParts = {},
  ) {
    assertKnownOptions('TcpLink', options, KEYS);
    this.fastPath = parts.fastPath ?? new SocketFastPath();
    if (options.tls !== undefined) assertKnownOptions('TcpLink', options.tls, TLS_KEYS, 'tls.');
    this.url = parseTcpUrl(options.url);
    if (options.tls && this.url.tls) {
      throw new GateError(
        'BAD_ARGUMENT',
        'link: TLS is set both in the URL and in the option tls; allowed: one of them',
      );
    }
  }

  /** Address on which a gate listens, with the actual port when the URL has port 0. */
  get address(): HostPort | undefined {
    return this.listener?.address;
  }

  /** Connections that a gate has closed since its start, by reason. */
  get counters(): Readonly<TcpLinkCounters> | undefined {
    return this.listener?.counters;
  }

  /**
   * Listens or dials. A worker does not wait for unreachable gates: it continues to dial them in the background.
   * @throws {GateError} `BAD_ARGUMENT` without a secret of 8 characters or TLS on an address that other machines can reach, for
   * unusable TLS files, for an untrusted certificate of a gate, and when the cluster refuses this node: its secret is wrong, or
   * its id is in use.
   */
  async open(self: NodeInfo, events: LinkEvents): Promise<void> {
    if (this.self) throw new GateError('BAD_ARGUMENT', 'The link is open already');
    const tls = this.options.tls ?? this.url.tls;
    this.tls = tls && new TcpTls(tls);
    this.self = self;
    this.events = events;
    const isGate = self.role === 'gate';
    this.peerTable = new TcpPeerTable(self, this.url.peers.length > 0);
    if (isGate) await this.listen(present(this.url.addresses[0]));
    const { lookupAll, times } = this.parts;
    this.dialer = new TcpDialer({
      resolver: new TcpResolver(isGate ? this.url.peers : this.url.addresses, lookupAll),
      connect: this.tls?.dialer(why => (this.refusal ??= why)),
      onConnect: socket => this.attach(socket, true),
      onChange: () => this.review(),
      onDefect: (error, where) => events.onDefect?.(error, where),
      times,
    });
    this.review();
    await this.dialer.start();
    if (this.refusal !== undefined && this.peers().size === 0) {
      await this.close({ drain: false });
      throw new GateError('BAD_ARGUMENT', this.refusal);
    }
  }

  describe(): string {
    const { address } = this;
    const security = this.tls ? 'TLS' : 'plaintext';
    if (address) return `tcp (${security}), accepts nodes on ${nameOf(address)}`;
    return `tcp (${security}), connects to gates at ${this.url.addresses.map(nameOf).join(', ')}`;
  }

  peers(): ReadonlyMap<NodeId, NodeInfo> {
    return this.peerTable?.known ?? new Map();
  }

  announce(self: NodeInfo): void {
    this.self = self;
    for (const channel of this.channels()) channel.announce(self);
  }

  send(to: NodeId, frame: LinkFrame): SendResult {
    return this.peerTable?.channels.get(to)?.send(frame) ?? 'refused';
  }

  cast(name: string, frame: LinkFrame): SendResult {
    if (this.closing || !this.self) return 'refused';
    const header = castHeader(name, bytesOf(frame));
    let result: SendResult = 'sent';
    for (const channel of this.channels()) {
      if (channel.peer?.role !== 'gate') continue;
      const one = channel.send(frame, header);
      if (one === 'refused' || result === 'sent') result = one;
    }
    return result;
  }

  /** Every cast reaches every gate. The set of joined channels decides which casts this node delivers. */
  join(channel: string): Promise<void> {
    this.joined.add(channel);
    return Promise.resolve();
  }

  leave(channel: string): void {
    this.joined.delete(channel);
  }

  close({ drain }: { readonly drain: boolean }): Promise<void> {
    this.closing ??= this.shut(drain);
    return this.closing;
  }

  // Events of the channels.

  meet(channel: TcpChannel, peer: NodeInfo): Verdict {
    return present(this.peerTable).meet(channel, peer);
  }

  admit(channel: TcpChannel, peer: NodeInfo): Verdict {
    return present(this.peerTable).admit(channel, peer);
  }

  onDuplicate(channel: TcpChannel): void {
    // A listener that reports a duplicate before its proof is this node itself.
    const id = channel.proved?.id ?? this.self?.id ?? '';
    if (!channel.isDialer || !this.peerTable?.includes(id)) return;
    this.dialer?.noteDuplicate(channel.socket, id, this.isThere(id));
  }

  onDefect(error: unknown, where: string): void {
    this.events?.onDefect?.(error, where);
  }

  onFault(channel: TcpChannel, fault: GateError): void {
    // Malformed data before the proof does not come from a node, but for example from an HTTP server.
    const why = fault.code === 'LINK_CORRUPT' && !channel.proved ? 'Not a nestgate node' : fault.message;
    if (channel.isDialer) {
      this.dialer?.noteReason(channel.socket, why);
      // A port of another service is not a refusal by the cluster.
      if (fault.code !== 'LINK_CORRUPT') this.noteRefusal(fault.message);
    } else {
      this.listener?.noteFault(fault, channel.socket, why);
    }
    this.part(channel);
  }

  onReady(channel: TcpChannel, peer: NodeInfo): void {
    const incumbent = this.peerTable?.enter(channel, peer);
    if (incumbent) {
      this.tellGone(incumbent, 'lost');
      incumbent.destroy();
    }
    if (channel.isDialer) this.dialer?.noteReady(channel.socket, peer.id);
    else this.listener?.noteReady(channel.socket);
    this.events?.onPeer({ type: 'join', node: peer });
    this.review();
    if (!channel.isDialer && peer.role === 'gate') this.dialer?.hurry();
  }

  onFrame(channel: TcpChannel, frame: Buffer): boolean {
    if (!this.peerTable?.has(channel)) return true;
    return this.events?.onFrame(present(channel.peer).id, frame) === true;
  }

  onCast(channel: TcpChannel, name: string, frame: Buffer): void {
    if (name === ALL_GATES || this.joined.has(name)) this.onFrame(channel, frame);
  }

  onInfo(channel: TcpChannel, peer: NodeInfo): void {
    if (this.peerTable?.update(channel, peer)) this.events?.onPeer({ type: 'change', node: peer });
  }

  onDrain(channel: TcpChannel): void {
    if (this.peerTable?.has(channel)) this.events?.onDrain(present(channel.peer).id);
  }

  onClose(channel: TcpChannel): void {
    const onEnd = this.all.get(channel);
    this.all.delete(channel);
    if (channel.isDialer && channel.refusal !== undefined) {
      this.dialer?.noteReason(channel.socket, channel.refusal);
      this.noteRefusal(channel.refusal);
    }
    this.part(channel);
    onEnd?.();
  }

  /** Removes a connection from the peer table. */
  private part(channel: TcpChannel): void {
    const was = this.peerTable?.remove(channel);
    if (was === 'peer') this.tellGone(channel, channel.saidBye ? 'leave' : 'lost');
    if (was && channel.proved) this.dialer?.wake(channel.proved.id);
    if (was) this.review();
  }

  /** Reports which of the configured gates are unreachable. */
  private review(): void {
    if (!this.dialer || this.closing) return;
    this.events?.onUnreached?.(this.dialer.unreached(id => this.isThere(id)));
  }

  /** Whether a node is connected, or is this node. */
  private isThere(id: NodeId): boolean {
    return id === this.self?.id || this.peerTable?.channels.has(id) === true;
  }

  private channels(): Iterable<TcpChannel> {
    return this.peerTable?.channels.values() ?? [];
  }

  private tellGone(channel: TcpChannel, type: 'leave' | 'lost'): void {
    if (this.closing) return;
    this.events?.onPeer({ type, id: present(channel.peer).id });
  }

  private noteRefusal(why: string): void {
    this.refusal ??= `The cluster refuses this node: ${why}`;
  }

  private async listen(address: HostPort): Promise<void> {
    if (!this.options.secret && !this.tls && !isLoopback(address.host)) {
      throw new GateError(
        'BAD_ARGUMENT',
        `A secret or TLS is needed to listen on ${address.host}: others can reach it (NESTGATE_SECRET)`,
      );
    }
    if (this.options.secret && this.options.secret.length < MIN_SECRET && !this.tls && !isLoopback(address.host)) {
      throw new GateError(
        'BAD_ARGUMENT',
        `The secret is too short to listen on ${address.host}, which others can reach: ${MIN_SECRET} characters at least, better 32 random ones`,
      );
    }
    const accept = (socket: Socket): void => {
      try {
        this.attach(socket, false);
      } catch (error) {
        this.events?.onDefect?.(error, 'tcp.accept');
        socket.destroy();
      }
    };
    this.listener = new TcpListener(accept, this.tls, (who, why) => this.events?.onRefused?.(who, why));
    await this.listener.listen(address);
  }

  private attach(socket: Socket, isDialer: boolean): void {
    const handshake = new TcpHandshake(this.options.secret ?? '', isDialer, TcpTls.bindingOf(socket));
    const channel = new TcpChannel(socket, isDialer, handshake, () => present(this.self), this, this.fastPath);
    this.all.set(channel, () => undefined);
  }

  private async shut(drain: boolean): Promise<void> {
    this.dialer?.stop();
    const closed = Array.from(this.all.keys(), channel => new Promise<void>(resolve => this.all.set(channel, resolve)));
    for (const channel of this.all.keys()) channel.close(drain);
    if (this.listener) closed.push(this.listener.close());
    await Promise.all(closed);
  }
}

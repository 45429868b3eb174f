import type { Socket } from 'node:net';
import { GateError } from '@nestgate/protocol';
import { assertKnownOptions, optionKeys } from '../options.js';
import {
  ALL_GATES,
  bytesOf,
  type Link,
  type LinkEvents,
  type LinkFrame,
  type NodeId,
  type NodeInfo,
  type SendResult,
} from '../link.js';
import { type HostPort, isLoopback, nameOf, parseTcpUrl, type TcpTlsOptions, type TcpUrl } from './tcp-address.js';
import { TcpChannel, type TcpChannelEvents } from './tcp-channel.js';
import { type DialTimes, TcpDialer } from './tcp-dialer.js';
import type { Verdict } from './tcp-greeting.js';
import { TcpHandshake } from './tcp-handshake.js';
import { type TcpLinkCounters, TcpListener } from './tcp-listener.js';
import { castHeader } from './tcp-message.js';
import { type LookupAll, TcpResolver } from './tcp-resolver.js';
import { TcpRoster } from './tcp-roster.js';
import { TcpTls } from './tcp-tls.js';

/** How a {@link TcpLink} works. */
export interface TcpLinkOptions {
  /**
   * `tcp://host:port[,host:port…]`: gates listen on the first address, others dial all of them. A name with several
   * addresses is several gates. In the query, `peers=host:port,…` lets gates dial each other; `cert`, `key`, `ca` and
   * `checkHost` stand for `tls`.
   */
  readonly url: string;
  /** What all nodes of the cluster know. Eight characters at least; on loopback and with TLS it may be shorter or empty. */
  readonly secret?: string | undefined;
  /** Encrypts, and lets in only nodes with a certificate of the same authority. With a secret, both are checked. */
  readonly tls?: TcpTlsOptions | undefined;
}

const KEYS = optionKeys<TcpLinkOptions>({ url: true, secret: true, tls: true });
const TLS_KEYS = optionKeys<TcpTlsOptions>({ certFile: true, keyFile: true, caFile: true, checkHost: true });
/** Characters that a secret must have where others can reach the link: what is shorter is soon guessed. */
const MIN_SECRET = 8;

/** What tests replace. */
interface TcpLinkParts {
  readonly lookupAll?: LookupAll;
  readonly times?: DialTimes;
}

/** Links nodes by TCP connections, without a broker: every worker is connected to every gate. */
export class TcpLink implements Link, TcpChannelEvents {
  /** Every cast reaches every gate. */
  readonly routesChannels = false;
  private readonly url: TcpUrl;
  private self: NodeInfo | undefined;
  private events: LinkEvents | undefined;
  private tls: TcpTls | undefined;
  private roster: TcpRoster<TcpChannel> | undefined;
  private listener: TcpListener | undefined;
  private dialer: TcpDialer | undefined;
  /** All connections, with what to call when they have ended. */
  private readonly all = new Map<TcpChannel, () => void>();
  private readonly joined = new Set<string>();
  /** Why this node cannot join, as long as it has not. */
  private refusal: string | undefined;
  private closing: Promise<void> | undefined;

  /** @throws {GateError} `BAD_ARGUMENT` for a malformed URL, and for TLS that is told of twice. */
  constructor(
    private readonly options: TcpLinkOptions,
    private readonly parts: TcpLinkParts = {},
  ) {
    assertKnownOptions('TcpLink', options, KEYS);
    if (options.tls !== undefined) assertKnownOptions('TcpLink', options.tls, TLS_KEYS, 'tls.');
    this.url = parseTcpUrl(options.url);
    if (options.tls && this.url.tls) {
      throw new GateError(
        'BAD_ARGUMENT',
        'link: TLS is told of both in the URL and in the option tls; allowed: one of them',
      );
    }
  }

  /** Where a gate listens: the port is the real one when the URL said 0. */
  get address(): HostPort | undefined {
    return this.listener?.address;
  }

  /** Connections that a gate has closed since the start, by why. */
  get counters(): Readonly<TcpLinkCounters> | undefined {
    return this.listener?.counters;
  }

  /**
   * Listens or dials. A worker does not wait for gates that are not there: it goes on trying.
   * @throws {GateError} `BAD_ARGUMENT` for neither a secret of 8 characters nor TLS on an address that others can reach, for files of TLS
   * that cannot be used, for gates whose certificate is not trusted, and when the cluster refuses this node: it does not
   * know the secret, or its id is taken.
   */
  async open(self: NodeInfo, events: LinkEvents): Promise<void> {
    if (this.self) throw new GateError('BAD_ARGUMENT', 'The link is open already');
    const tls = this.options.tls ?? this.url.tls;
    this.tls = tls && new TcpTls(tls);
    this.self = self;
    this.events = events;
    const isGate = self.role === 'gate';
    this.roster = new TcpRoster(self, this.url.peers.length > 0);
    if (isGate) await this.listen(this.url.addresses[0] as HostPort);
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
    return this.roster?.known ?? new Map();
  }

  announce(self: NodeInfo): void {
    this.self = self;
    for (const channel of this.channels()) channel.announce(self);
  }

  send(to: NodeId, frame: LinkFrame): SendResult {
    return this.roster?.channels.get(to)?.send(frame) ?? 'refused';
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

  /** Every cast reaches every gate; here it is decided what is heard of it. */
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

  // What the channels tell.

  meet(channel: TcpChannel, peer: NodeInfo): Verdict {
    return (this.roster as TcpRoster<TcpChannel>).meet(channel, peer);
  }

  admit(channel: TcpChannel, peer: NodeInfo): Verdict {
    return (this.roster as TcpRoster<TcpChannel>).admit(channel, peer);
  }

  onTwin(channel: TcpChannel): void {
    // A listener that says so before it has proved itself is this node's own.
    const id = channel.proved?.id ?? this.self?.id ?? '';
    if (!channel.isDialer || !this.roster?.includes(id)) return;
    this.dialer?.noteTwin(channel.socket, id, this.isThere(id));
  }

  onDefect(error: unknown, where: string): void {
    this.events?.onDefect?.(error, where);
  }

  onFault(channel: TcpChannel, fault: GateError): void {
    // What speaks otherwise before it has proved anything is no node: an HTTP server, for example.
    const why = fault.code === 'LINK_CORRUPT' && !channel.proved ? 'Not a nestgate node' : fault.message;
    if (channel.isDialer) {
      this.dialer?.noteReason(channel.socket, why);
      // A port where somebody else listens is no cluster.
      if (fault.code !== 'LINK_CORRUPT') this.noteRefusal(fault.message);
    } else {
      this.listener?.noteFault(fault, channel.socket, why);
    }
    this.part(channel);
  }

  onReady(channel: TcpChannel, peer: NodeInfo): void {
    const incumbent = this.roster?.enter(channel, peer);
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

  onFrame(channel: TcpChannel, frame: Buffer): void {
    if (this.roster?.has(channel)) this.events?.onFrame((channel.peer as NodeInfo).id, frame);
  }

  onCast(channel: TcpChannel, name: string, frame: Buffer): void {
    if (name === ALL_GATES || this.joined.has(name)) this.onFrame(channel, frame);
  }

  onInfo(channel: TcpChannel, peer: NodeInfo): void {
    if (this.roster?.update(channel, peer)) this.events?.onPeer({ type: 'change', node: peer });
  }

  onDrain(channel: TcpChannel): void {
    if (this.roster?.has(channel)) this.events?.onDrain((channel.peer as NodeInfo).id);
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

  /** A connection does not count any more. */
  private part(channel: TcpChannel): void {
    const was = this.roster?.remove(channel);
    if (was === 'peer') this.tellGone(channel, channel.saidBye ? 'leave' : 'lost');
    if (was && channel.proved) this.dialer?.wake(channel.proved.id);
    if (was) this.review();
  }

  /** Tells which of the configured gates are out of reach. */
  private review(): void {
    if (!this.dialer || this.closing) return;
    this.events?.onUnreached?.(this.dialer.unreached(id => this.isThere(id)));
  }

  /** Whether a node is connected, or this one. */
  private isThere(id: NodeId): boolean {
    return id === this.self?.id || this.roster?.channels.has(id) === true;
  }

  private channels(): Iterable<TcpChannel> {
    return this.roster?.channels.values() ?? [];
  }

  private tellGone(channel: TcpChannel, type: 'leave' | 'lost'): void {
    if (this.closing) return;
    this.events?.onPeer({ type, id: (channel.peer as NodeInfo).id });
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
    const channel = new TcpChannel(socket, isDialer, handshake, () => this.self as NodeInfo, this);
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

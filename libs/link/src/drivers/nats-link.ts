import { createHash } from 'node:crypto';
import { GateError } from '@nestgate/protocol';
import {
  connect,
  type Msg,
  type NatsConnection,
  type NodeConnectionOptions,
  RequestError,
  type Subscription,
  TimeoutError,
} from '@nats-io/transport-node';
import { ALL_GATES, type Link, type LinkEvents, type NodeId, type NodeInfo, type SendResult } from '../link.js';
import { readNodeInfo } from '../node-info.js';
import { NatsFragments } from './nats-fragments.js';
import { NatsPressure } from './nats-pressure.js';

/** How a {@link NatsLink} works. */
export interface NatsLinkOptions {
  /** `nats://host:port[,host:port…]`, or `tls://…`. */
  readonly url: string;
  /** What all subjects start with: clusters of different namespaces do not see each other. @defaultValue 'nestgate' */
  readonly namespace?: string;
  /** Credentials, TLS and whatever else the client takes. How it reconnects is not negotiable. */
  readonly connection?: Omit<NodeConnectionOptions, 'servers' | 'reconnect' | 'maxReconnectAttempts' | 'noEcho'>;
}

const HEARTBEAT_MS = 1_000;
/** Three missing signs of life are death. */
const DEAD_MS = 3_500;
/** How long the question takes whether an id is free, in milliseconds. */
const ID_CHECK_MS = 500;
const NO_RESPONDERS = 503;
const NAMESPACE = /^[A-Za-z0-9_-]{1,64}$/;

/** Links nodes through NATS: a subject for each node, and one for each channel that a gate has joined. */
export class NatsLink implements Link {
  readonly routesChannels = true;
  private readonly prefix: string;
  private readonly fragments = new NatsFragments();
  private readonly known = new Map<NodeId, NodeInfo>();
  private readonly heardAt = new Map<NodeId, number>();
  private readonly channels = new Map<string, { readonly subscription: Subscription; readonly heard: Promise<void> }>();
  private nats: NatsConnection | undefined;
  private pressure: NatsPressure | undefined;
  private self: NodeInfo | undefined;
  private events: LinkEvents | undefined;
  private timer: NodeJS.Timeout | undefined;
  private isUp = false;
  private isClosed = false;

  /** @throws {GateError} `BAD_ARGUMENT` for a namespace that is no subject token. */
  constructor(private readonly options: NatsLinkOptions) {
    const { namespace = 'nestgate' } = options;
    if (!NAMESPACE.test(namespace)) {
      throw new GateError(
        'BAD_ARGUMENT',
        `link: the namespace ${JSON.stringify(namespace)} is not allowed; allowed: A-Z a-z 0-9 _ -`,
      );
    }
    this.prefix = namespace;
  }

  async open(self: NodeInfo, events: LinkEvents): Promise<void> {
    if (this.self) throw new GateError('BAD_ARGUMENT', 'The link is open already');
    this.self = self;
    this.events = events;
    const nats = await connect({
      pingInterval: HEARTBEAT_MS,
      maxPingOut: 3,
      reconnectTimeWait: 200,
      reconnectJitter: 300,
      ignoreAuthErrorAbort: true,
      name: `nestgate ${self.role} ${self.id}`,
      ...this.options.connection,
      servers: this.options.url.replace(/^nats:\/\//, '').split(','),
      reconnect: true,
      maxReconnectAttempts: -1,
      noEcho: true,
    });
    this.nats = nats;
    this.isUp = true;
    this.pressure = new NatsPressure(nats, () => events.onDrain(undefined));
    if (await this.isTaken(nats, self)) {
      await this.close({ drain: false });
      throw new GateError('BAD_ARGUMENT', `A node with the id "${self.id}" is on the link already`);
    }
    this.subscribe(nats, self);
    void this.watch(nats);
    await nats.flush();
    this.introduce(true);
    await nats.flush();
    this.timer = setInterval(() => this.beat(), HEARTBEAT_MS);
  }

  peers(): ReadonlyMap<NodeId, NodeInfo> {
    return this.known;
  }

  announce(self: NodeInfo): void {
    this.self = self;
    this.introduce(false);
  }

  send(to: NodeId, frame: Buffer): SendResult {
    if (!this.known.has(to)) return 'refused';
    // Nobody at this subject any more: the server says so at once, to this reply subject.
    return this.publish(`${this.prefix}.node.${to}`, frame, `${this.prefix}.lost.${(this.self as NodeInfo).id}.${to}`);
  }

  cast(channel: string, frame: Buffer): SendResult {
    return this.publish(this.subjectOf(channel), frame, undefined);
  }

  join(channel: string): Promise<void> {
    const { nats } = this;
    if (!nats || this.isClosed) return Promise.resolve();
    const joined = this.channels.get(channel);
    // Whoever comes second waits for the subscription of the first.
    if (joined) return joined.heard;
    const subscription = nats.subscribe(this.subjectOf(channel), { callback: (_error, msg) => this.receive(msg) });
    // A cast that is published before the server knows of the subscription does not come here. Without a connection nobody
    // can cast, and the client subscribes again before anything else when it has one.
    const heard = this.isUp ? nats.flush().catch(() => undefined) : Promise.resolve();
    this.channels.set(channel, { subscription, heard });
    return heard;
  }

  leave(channel: string): void {
    this.channels.get(channel)?.subscription.unsubscribe();
    this.channels.delete(channel);
  }

  async close({ drain }: { readonly drain: boolean }): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    clearInterval(this.timer);
    this.pressure?.stop();
    const { nats, self } = this;
    if (!nats) return;
    if (this.isUp && this.timer && self) nats.publish(`${this.prefix}.bye`, JSON.stringify(self));
    if (drain && this.isUp) await nats.drain().catch(() => undefined);
    else {
      if (this.isUp) await nats.flush().catch(() => undefined);
      await nats.close();
    }
    this.known.clear();
  }

  private async isTaken(nats: NatsConnection, { id, epoch }: NodeInfo): Promise<boolean> {
    try {
      const answer = await nats.request(`${this.prefix}.id.${id}`, epoch, { timeout: ID_CHECK_MS });
      return answer.string() !== epoch;
    } catch (error) {
      // Nobody has it; whoever has it and does not answer is as good as dead.
      if (error instanceof TimeoutError || (error instanceof RequestError && error.isNoResponders())) return false;
      throw error;
    }
  }

  private subscribe(nats: NatsConnection, { id, epoch, role }: NodeInfo): void {
    const { prefix } = this;
    nats.subscribe(`${prefix}.id.${id}`, { callback: (_error, msg) => void msg.respond(epoch) });
    nats.subscribe(`${prefix}.node.${id}`, { callback: (_error, msg) => this.receive(msg) });
    nats.subscribe(`${prefix}.lost.${id}.*`, { callback: (_error, msg) => this.noteLost(msg) });
    nats.subscribe(`${prefix}.info`, { callback: (_error, msg) => this.meet(msg) });
    nats.subscribe(`${prefix}.bye`, { callback: (_error, msg) => this.part(msg) });
    if (role === 'gate') nats.subscribe(this.subjectOf(ALL_GATES), { callback: (_error, msg) => this.receive(msg) });
  }

  /** Follows the connection: while it is down nothing can be published, because the client would lose it silently. */
  private async watch(nats: NatsConnection): Promise<void> {
    for await (const { type } of nats.status()) {
      if (type === 'disconnect' || type === 'staleConnection') {
        this.goDown();
      } else if (type === 'reconnect') {
        this.isUp = true;
        this.introduce(true);
        if (!this.isClosed) this.events?.onStatus(true);
      }
    }
  }

  private goDown(): void {
    if (!this.isUp) return;
    this.isUp = false;
    if (this.isClosed) return;
    this.events?.onUncertain(this.pressure?.reset() ?? 0);
    this.events?.onStatus(false);
  }

  /** Tells everybody who this is; with `ask`, they tell in return. */
  private introduce(ask: boolean): void {
    if (!this.isUp || this.isClosed || !this.nats) return;
    const reply = ask ? `${this.prefix}.info` : undefined;
    this.nats.publish(`${this.prefix}.info`, JSON.stringify(this.self), { reply });
  }

  private beat(): void {
    this.introduce(false);
    if (this.isUp) this.pressure?.confirm();
    const now = Date.now();
    for (const [id, heardAt] of this.heardAt) if (now - heardAt > DEAD_MS) this.lose(id, 'lost');
  }

  private meet(msg: Msg): void {
    const node = this.infoOf(msg);
    if (!node || node.id === this.self?.id || this.isClosed) return;
    const before = this.known.get(node.id);
    this.heardAt.set(node.id, Date.now());
    if (msg.reply) this.introduce(false);
    if (before && before.epoch !== node.epoch) this.lose(node.id, 'leave');
    else if (before && JSON.stringify(before) === JSON.stringify(node)) return;
    this.heardAt.set(node.id, Date.now());
    this.known.set(node.id, node);
    this.events?.onPeer({ type: before?.epoch === node.epoch ? 'change' : 'join', node });
  }

  private part(msg: Msg): void {
    const node = this.infoOf(msg);
    if (node && this.known.get(node.id)?.epoch === node.epoch) this.lose(node.id, 'leave');
  }

  private noteLost(msg: Msg): void {
    if (msg.headers?.code === NO_RESPONDERS) this.lose(msg.subject.slice(msg.subject.lastIndexOf('.') + 1), 'lost');
  }

  private lose(id: NodeId, type: 'leave' | 'lost'): void {
    this.heardAt.delete(id);
    this.fragments.forget(id);
    if (this.known.delete(id) && !this.isClosed) this.events?.onPeer({ type, id });
  }

  private receive(msg: Msg): void {
    const whole = this.fragments.take(msg.data);
    if (whole && this.known.get(whole.from)?.epoch === whole.epoch) this.events?.onFrame(whole.from, whole.frame);
  }

  private publish(subject: string, frame: Buffer, reply: string | undefined): SendResult {
    const { nats, pressure } = this;
    if (!nats || !pressure || !this.isUp || this.isClosed || pressure.isFull) return 'refused';
    const { id, epoch } = this.self as NodeInfo;
    const limit = nats.info?.max_payload ?? 1024 * 1024;
    for (const part of this.fragments.split(id, epoch, frame, limit)) {
      nats.publish(subject, part, { reply });
      pressure.note(part.length);
    }
    return pressure.isHigh ? 'congested' : 'sent';
  }

  private infoOf(msg: Msg): NodeInfo | undefined {
    try {
      return readNodeInfo(Buffer.from(msg.data));
    } catch {
      return undefined;
    }
  }

  /** Channel names are free text, and subjects are not: `*`, `>` and spaces mean something there. */
  private subjectOf(channel: string): string {
    return `${this.prefix}.channel.${createHash('sha1').update(channel).digest('hex')}`;
  }
}

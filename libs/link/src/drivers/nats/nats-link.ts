import { setTimeout as sleep } from 'node:timers/promises';
import { GateError } from '@nestgate/protocol';
import type { NodeConnectionOptions } from '@nats-io/transport-node';
import { assertKnownOptions, optionKeys } from '../../common/options.js';
import type { Link, LinkEvents, LinkFrame, NodeId, NodeInfo, SendResult } from '../../link.js';
import { accessOf } from './nats-access.js';
import { NatsLinkConnection } from './connection/nats-link-connection.js';
import { HEARTBEAT_MS } from './membership/nats-member-table.js';
import { NatsMembership } from './membership/nats-membership.js';
import { channelSubject, isSubjectToken } from './nats-subjects.js';
import { type NatsUrl, parseNatsUrl } from './nats-url.js';
import { NatsWarnings } from './connection/nats-warnings.js';
import { present } from '../../common/checked.js';

/** How a {@link NatsLink} works. */
export interface NatsLinkOptions {
  /**
   * `nats://[user:password@|token@]host[:port][,host[:port]…]`, or `tls://…`, with `namespace`, `creds`, `nkey`, `ca`, `cert`
   * and `key` as query keys: see docs/nats.md.
   */
  readonly url: string;
  /**
   * What all subjects start with: clusters of different namespaces do not see each other.
   * @defaultValue that of the URL, or else `nestgate`
   */
  readonly namespace?: string | undefined;
  /** Authenticators, TLS and whatever else the client takes; it wins over the URL. How it reconnects is not negotiable. */
  readonly connection?:
    | Omit<
        NodeConnectionOptions,
        | 'servers'
        | 'port'
        | 'reconnect'
        | 'maxReconnectAttempts'
        | 'waitOnFirstConnect'
        | 'ignoreAuthErrorAbort'
        | 'noEcho'
      >
    | undefined;
  /**
   * Receives warnings: no server at the start, denied permissions, two nodes with one id.
   * @defaultValue a warning of the process, with the code `NESTGATE_NATS`
   */
  readonly onWarning?: ((message: string) => void) | undefined;
  /**
   * Whether a gate's frames may wait up to a millisecond for others, while more than 2000 turns a second of its event loop send few of
   * them: they cost less then, and arrive later.
   * @defaultValue true
   */
  readonly lingers?: boolean | undefined;
}

/** What a {@link NatsLink} has counted since the start. */
export interface NatsCounters {
  /** Subscriptions and messages that the server did not permit. */
  readonly denied: number;
  /** Messages that were malformed, or did not come from a peer under the tag of its meeting with this node. */
  readonly dropped: number;
  /** Frames in several messages whose rest has not come. */
  readonly broken: number;
}

const KEYS = optionKeys<NatsLinkOptions>({
  url: true,
  namespace: true,
  connection: true,
  onWarning: true,
  lingers: true,
});
/** How often the state of things is looked at, in milliseconds. */
const TICK_MS = 100;
/** How long a node waits at its start for others to make themselves known: until none has for so long, and at most. */
const QUIET_MS = 100;
const MEET_MS = 1_000;
/** How long the others have to come back after a break, in milliseconds, before casts that miss them are accepted. */
const SETTLE_MS = 1_000;

/** A node on NATS. */
interface Opened {
  readonly linkConnection: NatsLinkConnection;
  readonly membership: NatsMembership;
  readonly events: LinkEvents;
}

/** Links nodes through NATS: a subject for each node, and one for each channel that a gate has joined. */
export class NatsLink implements Link {
  readonly routesChannels = true;
  /** Each batch wakes two nodes and the broker. */
  readonly lingers: boolean;
  private readonly url: NatsUrl;
  private readonly namespace: string;
  private readonly warnings: NatsWarnings;
  private readonly channels = new Set<string>();
  private opened: Opened | undefined;
  private closing: Promise<void> | undefined;
  private timer: NodeJS.Timeout | undefined;
  private settling: NodeJS.Timeout | undefined;
  private beatAt = 0;
  private isUp = false;

  /** @throws {GateError} `BAD_ARGUMENT` for a malformed URL, or a namespace that is no subject token. */
  constructor(private readonly options: NatsLinkOptions) {
    assertKnownOptions('NatsLink', options, KEYS);
    this.url = parseNatsUrl(options.url);
    this.namespace = options.namespace ?? this.url.namespace ?? 'nestgate';
    this.warnings = new NatsWarnings(options.onWarning);
    this.lingers = options.lingers ?? true;
    assertToken('namespace', this.namespace);
  }

  get counters(): NatsCounters {
    const { linkConnection, membership } = this.opened ?? {};
    return {
      denied: linkConnection?.denied ?? 0,
      dropped: membership?.dropped ?? 0,
      broken: membership?.fragments.broken ?? 0,
    };
  }

  /**
   * Waits for a server when none is there.
   * @throws {GateError} `BAD_ARGUMENT` for files that cannot be used and an id that is taken, `UNAUTHORIZED` for credentials that the
   * server refuses, `FORBIDDEN` for what it does not permit, `LINK_UNAVAILABLE` when TLS fails, `LINK_CLOSED` when closed meanwhile.
   */
  async open(self: NodeInfo, events: LinkEvents): Promise<void> {
    if (this.opened) throw new GateError('BAD_ARGUMENT', 'The link is open already');
    assertToken('epoch', self.epoch);
    const { connection = {} } = this.options;
    const options: NodeConnectionOptions = {
      name: `nestgate ${self.role} ${self.id}`,
      ...connection,
      ...accessOf(this.url, connection),
      servers: [...this.url.servers],
    };
    const linkConnection = new NatsLinkConnection(options, this.warnings, {
      onUp: () => this.comeBack(),
      onDown: () => this.goDown(),
      onDrain: () => events.onDrain(undefined),
      onDefect: (error, where) => events.onDefect?.(error, where),
    });
    const membership = new NatsMembership(self, this.namespace, linkConnection, this.warnings, {
      onFrame: (from, frame) => events.onFrame(from, frame),
      onPeer: change => {
        if (!this.closing) events.onPeer(change);
      },
      onSign: () => this.settle(false),
      onDefect: (error, where) => events.onDefect?.(error, where),
    });
    this.opened = { linkConnection, membership, events };
    for (const channel of this.channels) membership.join(channel);
    try {
      await linkConnection.open(nats => membership.enter(nats));
    } catch (error) {
      await this.close({ drain: false });
      throw error;
    }
    this.isUp = true;
    this.beatAt = performance.now();
    this.timer = setInterval(() => this.guarded('nats.tick', () => this.tick()), TICK_MS);
    await this.untilMet();
  }

  describe(): string {
    return `NATS at ${this.url.servers.join(', ')}, namespace ${this.namespace}`;
  }

  /** Waits until no new peer makes itself known: who asks the cluster at once should ask all of it. */
  private async untilMet(): Promise<void> {
    const end = performance.now() + MEET_MS;
    for (let known = -1; known !== this.peers().size && performance.now() < end && !this.closing;) {
      known = this.peers().size;
      await sleep(QUIET_MS);
    }
  }

  peers(): ReadonlyMap<NodeId, NodeInfo> {
    return this.opened?.membership.members.peers ?? new Map();
  }

  announce(self: NodeInfo): void {
    this.opened?.membership.announce(self);
  }

  send(to: NodeId, frame: LinkFrame): SendResult {
    const member = this.opened?.membership.members.reachable(to);
    // Where nobody listens any more, the server says so at once, to the reply subject.
    return member ? this.publish(member.subject, member.head, frame, member.lost) : 'refused';
  }

  cast(channel: string, frame: LinkFrame): SendResult {
    if (!this.isUp || !this.opened) return 'refused';
    return this.publish(
      channelSubject(this.namespace, channel),
      this.opened.membership.members.castHead,
      frame,
      undefined,
    );
  }

  /** @throws {GateError} `FORBIDDEN` when the server does not permit it. */
  async join(channel: string): Promise<void> {
    this.channels.add(channel);
    if (!this.opened || this.closing) return;
    const { linkConnection, membership } = this.opened;
    const subject = channelSubject(this.namespace, channel);
    membership.join(channel);
    await Promise.all([linkConnection.subscriptions.whenConfirmed(subject), membership.whenReached()]);
    if (linkConnection.subscriptions.isDenied(subject))
      throw new GateError('FORBIDDEN', `link: NATS does not permit ${subject}`);
  }

  leave(channel: string): void {
    this.channels.delete(channel);
    this.opened?.linkConnection.subscriptions.delete(channelSubject(this.namespace, channel));
  }

  /** Ends within seconds, whatever state the server is in. */
  close({ drain }: { readonly drain: boolean }): Promise<void> {
    this.closing ??= this.end(drain);
    return this.closing;
  }

  private async end(drain: boolean): Promise<void> {
    clearInterval(this.timer);
    clearTimeout(this.settling);
    this.isUp = false;
    if (!this.opened) return;
    const { linkConnection, membership } = this.opened;
    membership.leave();
    await linkConnection.close(drain);
    membership.members.clear();
  }

  private publish(subject: string, head: Buffer, frame: LinkFrame, reply: string | undefined): SendResult {
    const { linkConnection, membership } = present(this.opened);
    const parts = membership.fragments.split(head, frame, linkConnection.maxPayload);
    return parts ? linkConnection.send(subject, parts, reply) : 'refused';
  }

  /** Called by timers: the next one goes on. */
  private guarded(where: string, act: () => void): void {
    try {
      act();
    } catch (error) {
      this.opened?.events.onDefect?.(error, where);
    }
  }

  private tick(): void {
    const { linkConnection, membership } = present(this.opened);
    const now = performance.now();
    if (now - this.beatAt > HEARTBEAT_MS - TICK_MS / 2) {
      this.beatAt = now;
      membership.introduce(false);
    }
    linkConnection.confirm();
    membership.members.lookAround(linkConnection.isConnected && linkConnection.isDeaf, !linkConnection.isConnected);
  }

  private goDown(): void {
    const wasUp = this.isUp;
    clearTimeout(this.settling);
    this.settling = undefined;
    this.isUp = false;
    const { events } = present(this.opened);
    if (this.closing) return;
    if (wasUp) events.onStatus(false);
  }

  private comeBack(): void {
    const { members } = present(this.opened).membership;
    members.expectAll();
    present(this.opened).membership.introduce(true);
    this.settling = setTimeout(() => this.guarded('nats.settle', () => this.settle(true)), SETTLE_MS);
    this.settle(false);
  }

  /**
   * After a break, the link is up when all peers have said something: they hear their channels again then. Who has not
   * in time is lost, and known to be.
   */
  private settle(force: boolean): void {
    if (!this.settling || this.closing) return;
    const { membership, events } = present(this.opened);
    if (force) membership.members.loseStale();
    else if (membership.members.staleCount > 0) return;
    clearTimeout(this.settling);
    this.settling = undefined;
    this.isUp = true;
    events.onStatus(true);
  }
}

function assertToken(key: string, value: string): void {
  if (isSubjectToken(value)) return;
  throw new GateError(
    'BAD_ARGUMENT',
    `link: the ${key} ${JSON.stringify(value)} is not allowed; allowed: 1 to 64 of A-Z a-z 0-9 _ -`,
  );
}

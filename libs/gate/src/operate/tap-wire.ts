import type { Body, DecodedFrame, ErrorBody, FrameFault } from '@nestgate/protocol';
import type { ClientAgent } from '../client/client-agent.js';
import type { Wire } from '../codec/wire.js';
import type { SessionTap } from './session-tap.js';

/** Requests whose topic is remembered for their answer. */
const MAX_TOPICS = 256;

/**
 * The wire of a tapped client: the one that it had, with an ear. Only clients that are tapped have one, so that all others pay nothing
 * for it.
 */
export class TapWire implements Wire {
  readonly taps = new Set<SessionTap>();
  readonly codec: string;
  readonly copiesBodies: boolean | undefined;
  readonly pushesResults: boolean;
  readonly item: Wire['item'];
  readonly end: Wire['end'];
  readonly ask: Wire['ask'];
  private readonly topics = new Map<number, string>();

  constructor(
    readonly inner: Wire,
    private readonly agent: ClientAgent,
  ) {
    this.codec = inner.codec;
    this.copiesBodies = inner.copiesBodies;
    this.pushesResults = inner.pushesResults;
    // Whether a wire has these is how others know what its codec can do.
    this.item =
      inner.item && ((id, body) => this.out('item', this.topics.get(id), id, inner.item?.(id, body), { body }));
    this.end = inner.end && (id => this.out('end', this.topicOf(id), id, inner.end?.(id)));
    this.ask =
      inner.ask &&
      ((topic, body, number) => this.out('call', topic, number, inner.ask?.(topic, body, number), { body }));
  }

  get frame(): DecodedFrame {
    return this.inner.frame;
  }

  decode(data: Buffer): FrameFault | undefined {
    const fault = this.inner.decode(data);
    this.noteIn(fault, data.length);
    return fault;
  }

  hello(clientId: string, heartbeatMs: number): Buffer | undefined {
    return this.inner.hello(clientId, heartbeatMs);
  }

  push(topic: string, body: Body): Buffer | undefined {
    return this.out('push', topic, 0, this.inner.push(topic, body), { body });
  }

  reply(id: number, body: Body): Buffer | undefined {
    return this.out('reply', this.topicOf(id), id, this.inner.reply(id, body), { body });
  }

  error(id: number, error: ErrorBody, topic: string | undefined): Buffer | undefined {
    const known = this.topicOf(id) ?? topic;
    return this.out('error', known, id, this.inner.error(id, error, topic), { code: error.code });
  }

  pong(id: number): Buffer | undefined {
    return this.out('pong', undefined, id, this.inner.pong(id));
  }

  private noteIn(fault: FrameFault | undefined, bytes: number): void {
    if (fault === 'VIOLATION' || fault === 'BAD_FRAME') {
      for (const tap of this.taps)
        tap.note({ way: 'in', kind: 'malformed', topic: undefined, id: 0, bytes }, this.agent);
      return;
    }
    const { topic, id, body, control, target = 0 } = this.frame;
    const isMessage = control === undefined;
    if (isMessage && id > 0) this.remember(id, topic);
    const kind = control ?? (id > 0 ? 'request' : 'message');
    const about = isMessage ? topic : undefined;
    for (const tap of this.taps) tap.note({ way: 'in', kind, topic: about, id: id || target, bytes, body }, this.agent);
  }

  private out(
    kind: 'push' | 'reply' | 'error' | 'pong' | 'item' | 'end' | 'call',
    topic: string | undefined,
    id: number,
    frame: Buffer | undefined,
    more: { readonly body?: Body; readonly code?: string } = {},
  ): Buffer | undefined {
    // One that the wire cannot carry is not sent.
    if (frame)
      for (const tap of this.taps) tap.note({ way: 'out', kind, topic, id, bytes: frame.length, ...more }, this.agent);
    return frame;
  }

  private remember(id: number, topic: string): void {
    if (this.topics.size >= MAX_TOPICS) this.topics.clear();
    this.topics.set(id, topic);
  }

  /** The topic of a request that ends with this answer. */
  private topicOf(id: number): string | undefined {
    const topic = this.topics.get(id);
    this.topics.delete(id);
    return topic;
  }
}

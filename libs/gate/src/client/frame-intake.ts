import {
  type AnswerError,
  type Body,
  CLOSE,
  type DecodedFrame,
  type ErrorBody,
  GATE_TOPIC_PREFIX,
  GateError,
} from '@nestgate/protocol';
import { TokenBucket } from '../admission/token-bucket.js';
import { isWellFormed } from '../body-value.js';
import type { Wire } from '../codec/wire.js';
import type { Connection } from '../connection/connection.js';
import type { GateCounters } from '../gate-counters.js';
import { Credit } from './credit.js';

/** Number of malformed frames at which a connection is closed. */
const MAX_BAD_FRAMES = 10;
/** How long a client may exceed its rate before it is closed, in milliseconds. */
const PATIENCE_MS = 10_000;
/** After this time without a limited frame, a new period above the rate starts, in milliseconds. */
const PAUSE_MS = 1_000;

/** The client that sends the frames, as {@link FrameIntake} needs it. */
export interface FrameOwner {
  recvNum: number;
  readonly isClosed: boolean;
  readonly wire: Wire;
  readonly connection: Connection;
  readonly streams: OpenStreams | undefined;
  readonly asks: OpenAsks | undefined;
  /** Passes on the message that the wire has just decoded. */
  route(): void;
  sendFrame(frame: Uint8Array | undefined): boolean;
  sendError(id: number, error: ErrorBody, topic?: string): void;
  /** Ends a frame after an exception before its handler. `wasBegun`: the frame counts as unanswered. */
  failFrame(id: number, topic: string | undefined, error: unknown, wasBegun: boolean): void;
  close(code: number, reason: string): void;
}

/** State that all intakes of a gate share. */
interface IntakeHost {
  readonly options: { readonly concurrentTasks: number; readonly messageRate: number };
  readonly counters: GateCounters;
}

/**
 * Decodes and checks the incoming frames of one client, and passes them on in order and within the credit. It extends `Credit`
 * instead of owning one, because every frame needs both objects.
 */
export class FrameIntake extends Credit {
  /** Created with the first frame: most clients are idle. */
  private rate: MessageRate | undefined;
  private badFrames = 0;

  constructor(
    private readonly agent: FrameOwner,
    private readonly host: IntakeHost,
    connection: Connection,
  ) {
    super(host.options.concurrentTasks, connection);
  }

  onFrame(data: Buffer): void {
    if (this.isFree) this.take(data);
    else this.defer(data);
  }

  /** Processes held frames while there is credit. */
  pump(): void {
    while (!this.agent.isClosed) {
      const data = this.next();
      if (!data) break;
      this.take(data);
    }
  }

  /** Handles a malformed frame. The error has no id, and the tenth one closes the connection. */
  refuseBadFrame(): void {
    const { agent } = this;
    agent.sendError(0, BAD_FRAME);
    if (++this.badFrames >= MAX_BAD_FRAMES) agent.close(CLOSE.policy.code, 'too many malformed frames');
  }

  /** Error boundary of a frame: an exception on its way to the link ends only this frame. */
  private take(data: Buffer): void {
    const { agent, unanswered } = this;
    agent.recvNum++;
    this.host.counters.framesReceived++;
    let id = 0;
    let topic: string | undefined;
    try {
      const { wire } = agent;
      const verdict = this.checkRate();
      const fault = wire.decode(data);
      const { frame } = wire;
      ({ id, topic } = frame);
      if (fault === 'VIOLATION') {
        agent.close(CLOSE.protocolError.code, 'malformed frame');
      } else if (verdict !== 'pass') {
        agent.connection.session?.skipFrame();
        agent.sendError(fault === 'BAD_FRAME' ? 0 : id, RATE_LIMITED, fault ? undefined : topic);
        if (verdict === 'close') agent.close(CLOSE.policy.code, 'message rate');
      } else if (fault === 'BAD_FRAME') {
        this.refuseBadFrame();
      } else if (fault === 'BAD_TOPIC') {
        if (topic.startsWith(GATE_TOPIC_PREFIX)) agent.connection.session?.skipFrame();
        agent.sendError(id, BAD_TOPIC, topic);
      } else if (id > 0 && this.hasId(id)) {
        this.refuseDuplicate(id, topic);
      } else if (frame.control) {
        this.takeControl(frame, id);
      } else {
        agent.route();
      }
    } catch (error) {
      agent.failFrame(id, topic, error, this.unanswered > unanswered);
    }
  }

  /** Handles a ping, the cancel of a stream, or the answer to a call. */
  private takeControl({ control, target = 0, body, error }: DecodedFrame, id: number): void {
    const { agent } = this;
    const { counters } = this.host;
    if (control === 'answer') {
      if (!agent.asks?.answer(target, body, error)) counters.add('frames_ignored', control);
      return;
    }
    agent.connection.session?.skipFrame();
    if (control === 'ping') agent.sendFrame(agent.wire.pong(id));
    else if (control === 'cancel' && !agent.streams?.cancel(target)) counters.add('frames_ignored', control);
  }

  /** Holds a frame without credit. A frame that cancels a stream does not wait, because it may free credit. */
  private defer(data: Buffer): void {
    if (this.streams > 0 && this.isCancel(data)) {
      this.take(data);
      return;
    }
    const { isPaused } = this;
    this.keep(data);
    if (this.isPaused && !isPaused) {
      const isSpent = this.unanswered >= this.host.options.concurrentTasks;
      this.host.counters.add('reads_paused', isSpent ? 'unanswered' : 'waiting');
    }
  }

  private isCancel(data: Buffer): boolean {
    const { wire, streams } = this.agent;
    return (
      wire.decode(data) === undefined &&
      wire.frame.control === 'cancel' &&
      streams?.has(wire.frame.target ?? 0) === true
    );
  }

  private checkRate(): RateVerdict {
    const { messageRate } = this.host.options;
    if (messageRate === 0) return 'pass';
    const now = performance.now();
    return (this.rate ??= new MessageRate(messageRate, now)).check(now);
  }

  /** Handles a frame with the id of an unanswered request. A malformed frame is reported as malformed first. */
  private refuseDuplicate(id: number, topic: string): void {
    if (isWellFormed(this.agent.wire.frame.body)) this.agent.sendError(id, DUPLICATE_ID, topic);
    else this.refuseBadFrame();
  }
}

export type RateVerdict = 'pass' | 'limited' | 'close';

/** Message rate of one client: a token bucket with a burst of twice the rate, and a close after 10 s above it. */
export class MessageRate {
  private readonly bucket: TokenBucket;
  private limitedSince = 0;
  private limitedLast = 0;

  constructor(perSecond: number, now: number) {
    this.bucket = new TokenBucket(perSecond, perSecond * 2, now);
  }

  check(now: number): RateVerdict {
    if (this.bucket.take(now)) return 'pass';
    if (now - this.limitedLast > PAUSE_MS) this.limitedSince = now;
    this.limitedLast = now;
    return now - this.limitedSince >= PATIENCE_MS ? 'close' : 'limited';
  }
}

const DUPLICATE_ID: ErrorBody = new GateError('DUPLICATE_ID').toBody();
const BAD_FRAME: ErrorBody = new GateError('BAD_FRAME').toBody();
const BAD_TOPIC: ErrorBody = new GateError('BAD_TOPIC').toBody();
const RATE_LIMITED: ErrorBody = new GateError('RATE_LIMITED').toBody();

/** The streams of one client, as `ClientAgent` uses them. */
export interface OpenStreams {
  has(id: number): boolean;
  /** Ends a stream that the client has cancelled. False for an id that no stream has. */
  cancel(id: number): boolean;
  /** The socket may have accepted frames that were queued before. */
  noteWritten(): void;
  /** `count` of the oldest or newest queued frames were dropped. */
  noteDropped(count: number): void;
  /** The client is gone. */
  end(): void;
}

/** The calls that one client has not answered, as `ClientAgent` uses them. */
export interface OpenAsks {
  /** Handles an answer. False when no unanswered call has this number. */
  answer(ask: number, body: Body, error: AnswerError | undefined): boolean;
  /** The client is gone. */
  end(): void;
}

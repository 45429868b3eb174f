import { type Body, type DecodedFrame, type ErrorBody, type FrameFault, GateError } from '@nestgate/protocol';
import { Inject, Injectable, Optional } from '@nestjs/common';
import { BoundedLog } from '@nestgate/worker/internal';
import type { ResolvedGateOptions } from '../gate-options.js';
import { CUSTOM_CODECS, RESOLVED_GATE_OPTIONS } from '../gate.tokens.js';
import { FrameSessionWire } from './frame-session-wire.js';
import { FrameWire } from './frame-wire.js';
import { BINARY_WS_FRAMING, STREAM_FRAMING } from './framing.js';
import { JsonSessionWire } from './json-session-wire.js';
import { JsonWsWire } from './json-ws-wire.js';
import { createPackCipher } from './pack-cipher.js';
import { PackWire } from './pack-wire.js';
import { FRAME_STREAM, PACK_STREAM, type SplitFault, type Splitter, StreamSplitter } from './stream-splitter.js';
import type { Wire } from './wire.js';

/** A codec for TCP clients: its wire, shared by all its clients, and how to find messages in a stream. */
export interface StreamCodec {
  readonly wire: Wire;
  /** Creates a splitter for one connection. It calls `onMessage` with each complete message, as `Wire.decode` expects it. */
  createSplitter(maxSize: number, onMessage: (message: Buffer) => void): Splitter;
  /** The message that the gate sends as a ping, if the codec has pings. */
  readonly ping?: Buffer;
}

/** Codecs of the application for TCP clients, by name. See `GateModule.forRoot({…, codecs})`. */
export type CustomCodecs = Readonly<Record<string, StreamCodec>>;

/** All wires of a gate, one of each kind, and the codecs of TCP clients. */
@Injectable()
export class Codecs {
  /** Wires by WebSocket subprotocol. */
  readonly ws: ReadonlyMap<string, Wire>;
  private readonly stream: Map<string, StreamCodec>;

  constructor(
    @Inject(RESOLVED_GATE_OPTIONS) options: ResolvedGateOptions,
    @Optional() @Inject(CUSTOM_CODECS) custom: CustomCodecs = {},
  ) {
    const { encryptKey, encryptMode, maxJsonDepth, resume } = options;
    const cipher = encryptKey === undefined ? undefined : createPackCipher(encryptKey, encryptMode);
    const jsonWsWire = new JsonWsWire(maxJsonDepth);
    const frameWsWire = new FrameWire(BINARY_WS_FRAMING);
    const wires: Wire[] = [jsonWsWire, new PackWire(BINARY_WS_FRAMING, cipher), frameWsWire];
    if (resume) {
      wires.push(new JsonSessionWire(maxJsonDepth, jsonWsWire), new FrameSessionWire(BINARY_WS_FRAMING, frameWsWire));
    }
    this.ws = new Map(wires.map(wire => [wire.codec, wire]));
    const frameWire = new FrameWire(STREAM_FRAMING);
    const builtIn: Record<string, StreamCodec> = {
      pack: {
        wire: new PackWire(STREAM_FRAMING, cipher),
        createSplitter: (maxSize, onMessage) => new StreamSplitter(PACK_STREAM, maxSize, onMessage),
      },
      frame: {
        wire: frameWire,
        createSplitter: (maxSize, onMessage) => new StreamSplitter(FRAME_STREAM, maxSize, onMessage),
        ping: frameWire.ping(),
      },
    };
    if (resume) {
      builtIn['frame2'] = {
        ...(builtIn['frame'] as StreamCodec),
        wire: new FrameSessionWire(STREAM_FRAMING, frameWire),
      };
    }
    this.stream = new Map(Object.entries(builtIn));
    for (const [name, codec] of Object.entries(custom)) this.stream.set(name, guard(codec));
  }

  /** @throws {GateError} `BAD_ARGUMENT` for a codec that does not exist. */
  streamCodec(name: string): StreamCodec {
    const codec = this.stream.get(name);
    if (codec) return codec;
    throw new GateError(
      'BAD_ARGUMENT',
      `Option tcp.codec: ${JSON.stringify(name)} is not allowed; allowed: ${[...this.stream.keys()].join(', ')}`,
    );
  }
}

/** An exception of an application's codec must not end the process: it counts as a protocol error of the client. */
function guard(codec: StreamCodec): StreamCodec {
  const log = new BoundedLog('GateCodec');
  const wire = new GuardedWire(codec.wire, log);
  const createSplitter: StreamCodec['createSplitter'] = (maxSize, onMessage) => {
    const splitter = codec.createSplitter(maxSize, onMessage);
    const push = (chunk: Buffer): SplitFault | undefined => {
      try {
        return splitter.push(chunk);
      } catch (error) {
        log.error(error);
        return 'too-small';
      }
    };
    return { push };
  };
  return { wire, createSplitter, ping: codec.ping };
}

const INTERNAL: ErrorBody = new GateError('INTERNAL').toBody();

class GuardedWire implements Wire {
  readonly codec: string;
  readonly pushesResults: boolean;
  readonly item?: Wire['item'];
  readonly end?: Wire['end'];
  readonly ask?: Wire['ask'];

  constructor(
    private readonly wire: Wire,
    private readonly log: BoundedLog,
  ) {
    this.codec = wire.codec;
    this.pushesResults = wire.pushesResults;
    if (wire.item && wire.end) {
      this.item = (id, body) => this.attempt(() => wire.item?.(id, body));
      this.end = id => this.attempt(() => wire.end?.(id));
    }
    if (wire.ask) this.ask = (topic, body, ask) => this.attempt(() => wire.ask?.(topic, body, ask));
  }

  get frame(): DecodedFrame {
    return this.wire.frame;
  }

  decode(data: Buffer): FrameFault | undefined {
    try {
      return this.wire.decode(data);
    } catch (error) {
      this.log.error(error);
      return 'VIOLATION';
    }
  }

  hello(clientId: string, heartbeatMs: number): Buffer | undefined {
    return this.attempt(() => this.wire.hello(clientId, heartbeatMs));
  }

  push(topic: string, body: Body): Buffer | undefined {
    return this.attempt(() => this.wire.push(topic, body));
  }

  reply(id: number, body: Body): Buffer | undefined {
    try {
      return this.wire.reply(id, body);
    } catch (error) {
      // The client waits for an answer.
      this.log.error(error);
      return this.error(id, INTERNAL, undefined);
    }
  }

  error(id: number, error: ErrorBody, topic: string | undefined): Buffer | undefined {
    return this.attempt(() => this.wire.error(id, error, topic));
  }

  pong(id: number): Buffer | undefined {
    return this.attempt(() => this.wire.pong(id));
  }

  private attempt(encode: () => Buffer | undefined): Buffer | undefined {
    try {
      return encode();
    } catch (error) {
      this.log.error(error);
      return undefined;
    }
  }
}

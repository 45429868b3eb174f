import { Buffer } from 'node:buffer';
import type { MessageHandler } from '@nestjs/microservices';
import { MALFORMED_BODY } from '@nestgate/link/internal';
import {
  type Body,
  BodyKind,
  BodySlice,
  type ErrorBody,
  GateError,
  isDeeperThan,
  MAX_JSON_DEPTH,
} from '@nestgate/protocol';
import { BoundedLog } from '../../log/bounded-log.js';
import type { TopicMetadata } from '../on-topic.decorator.js';
import type { PlainCall } from './plain-handler.js';
import type { TopicContext } from '../topic-context.js';
import { endedError, toldError } from '../errors/topic-error.js';

/** A topic's handler, with Nest's pipeline around it, or, where that is empty, without. */
export class TopicHandler {
  readonly concurrent: boolean;
  private readonly raw: boolean;
  private isHinted = false;

  constructor(
    private readonly callback: MessageHandler,
    metadata: TopicMetadata | undefined,
    private readonly plain?: PlainCall,
    /** `Class.method`, where it is a guess that it wants JSON. */
    private readonly doubtful?: string,
  ) {
    this.concurrent = metadata?.concurrent ?? false;
    this.raw = metadata?.payload === 'raw';
  }

  /** Runs the handler: a value, a promise or a stream comes back, or it throws. */
  call(payload: unknown, context: TopicContext): unknown {
    return this.plain ? this.plain(payload, context) : this.callback(payload, context);
  }

  /** The error for the client, from the exception of {@link call}, of its promise or of its stream. */
  errorBody(error: unknown, topic: string): ErrorBody {
    return this.plain ? toldError(error, topic) : endedError(error, topic);
  }

  /**
   * The value the handler gets for a body.
   * @throws {GateError} {@link MALFORMED_BODY} when a json client sent broken JSON, `BAD_REQUEST` when the bytes of another client
   * are not the JSON that this handler wants.
   */
  decode(body: Body): unknown {
    switch (body.kind) {
      case BodyKind.none:
        return undefined;
      case BodyKind.json:
        return parseText(body);
      case BodyKind.bytes:
        if (this.raw) return body.bytes;
        if (isDeeperThan(body.bytes, MAX_JSON_DEPTH)) throw new GateError('BAD_REQUEST', 'The JSON nests too deep');
        return body.bytes.length === 0 ? undefined : this.parseBytes(body.bytes);
    }
  }

  private parseBytes(bytes: Uint8Array): unknown {
    try {
      return parse(bytes, 'BAD_REQUEST');
    } catch (error) {
      if (this.doubtful !== undefined && !this.isHinted) {
        this.isHinted = true;
        log.warn(
          `${this.doubtful} got bytes that are no JSON. If it wants bytes: @OnTopic(topic, { payload: 'raw' }); a type other than ` +
            'exactly Buffer or Uint8Array is not seen. This is told once',
        );
      }
      throw error;
    }
  }
}

const log = new BoundedLog('GateTransport');

/** Bytes that are not UTF-8 are refused, not repaired; a byte order mark is not JSON. */
const STRICT_UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Whether a json client's body is JSON. */
export function isParsable(body: Body): boolean {
  if (body.kind !== BodyKind.json) return true;
  try {
    parseText(body);
    return true;
  } catch {
    return false;
  }
}

/** The JSON of a text frame, which is known to be UTF-8. */
function parseText(body: Body): unknown {
  try {
    return JSON.parse(textOf(body));
  } catch {
    throw new GateError(MALFORMED_BODY, 'The body is not JSON');
  }
}

function textOf(body: Body): string {
  if (body instanceof BodySlice) {
    const { source, start, end } = body;
    if (Buffer.isBuffer(source)) return source.toString('utf8', start, end);
  }
  const { buffer, byteOffset, length } = body.bytes;
  return Buffer.from(buffer, byteOffset, length).toString('utf8');
}

function parse(bytes: Uint8Array, code: string): unknown {
  try {
    return JSON.parse(STRICT_UTF8.decode(bytes));
  } catch {
    throw new GateError(code, 'The body is not JSON');
  }
}

import type { MessageHandler } from '@nestjs/microservices';
import { MALFORMED_BODY } from '@nestgate/link';
import { type Body, BodyKind, GateError, isDeeperThan, MAX_JSON_DEPTH } from '@nestgate/protocol';
import type { TopicMetadata } from './on-topic.decorator.js';

/** A topic's handler, with Nest's pipeline around it. */
export class TopicHandler {
  readonly concurrent: boolean;
  private readonly raw: boolean;

  constructor(
    readonly callback: MessageHandler,
    metadata: TopicMetadata | undefined,
  ) {
    this.concurrent = metadata?.concurrent ?? false;
    this.raw = metadata?.payload === 'raw';
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
        return parse(body.bytes, MALFORMED_BODY);
      case BodyKind.bytes:
        if (this.raw) return body.bytes;
        if (isDeeperThan(body.bytes, MAX_JSON_DEPTH)) throw new GateError('BAD_REQUEST', 'The JSON nests too deep');
        return body.bytes.length === 0 ? undefined : parse(body.bytes, 'BAD_REQUEST');
    }
  }
}

/** Bytes that are not UTF-8 are refused, not repaired; a byte order mark is not JSON. */
const STRICT_UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Whether a json client's body is JSON. */
export function isParsable(body: Body): boolean {
  if (body.kind !== BodyKind.json) return true;
  try {
    parse(body.bytes, MALFORMED_BODY);
    return true;
  } catch {
    return false;
  }
}

function parse(bytes: Uint8Array, code: string): unknown {
  try {
    return JSON.parse(STRICT_UTF8.decode(bytes));
  } catch {
    throw new GateError(code, 'The body is not JSON');
  }
}

import { type Body, NO_BODY } from '@nestgate/protocol';
import type { ByteReader, ByteWriter } from '../wire/bytes.js';
import { body, type Codec, count, nothing, optional, ownBody, struct } from '../wire/codec.js';
import { nodeOp } from '../wire/operation.js';
import { type ClientMessage, clientMessage } from './topic-contract.js';

/** An item of a stream on its way to the gate of its client. */
export interface StreamItem {
  /** The number that the gate has given to the stream. */
  stream: number;
  /** Whether the worker wants to know when the client's socket has taken this item. */
  isMarked: boolean;
  body: Body;
}

/** Reused for each item: the handler has read it before the next one is decoded. */
const taken: StreamItem = { stream: 0, isMarked: false, body: NO_BODY };

/** Laid by hand: it is written and read for each item. */
const streamItem: Codec<StreamItem> = {
  write(writer: ByteWriter, item: StreamItem) {
    writer.u8(item.isMarked ? 1 : 0);
    writer.f64(item.stream);
    body.write(writer, item.body);
  },
  read(reader: ByteReader) {
    taken.isMarked = reader.u8() !== 0;
    taken.stream = reader.f64();
    taken.body = body.read(reader);
    return taken;
  },
  own: ({ stream, isMarked, body: content }) => ({ stream, isMarked, body: ownBody(content) }),
};

/** What gates do for the streams of workers. Ids are never reused. */
export const itemContract = {
  item: { ...nodeOp(170, 'never', streamItem, nothing), isPart: true },
} as const;

/** A {@link ClientMessage} whose reply is to be a stream, which the gate has given a number. */
export interface StreamMessage {
  readonly stream: number;
  readonly message: ClientMessage;
}

const streamMessage: Codec<StreamMessage> = {
  write(writer, { stream, message }) {
    writer.f64(stream);
    clientMessage.write(writer, message);
  },
  read: reader => ({ stream: reader.f64(), message: clientMessage.read(reader) }),
  own: ({ stream, message }) => ({ stream, message: clientMessage.own?.(message) ?? message }),
};

/** What workers do for the streams of gates. Ids are never reused. */
export const streamContract = {
  /**
   * Runs the handler of a frame whose client wants a stream. Answered at the end of the stream, or, when the handler gives none, with its
   * return value.
   */
  begin: nodeOp(173, 'required', streamMessage, optional(body)),
  /** The client's socket has taken so many items of the stream. Also sent at intervals while it takes none. */
  written: nodeOp(171, 'never', struct({ stream: count, items: count }), nothing),
  /** Nobody wants the stream any more. */
  cancel: nodeOp(172, 'never', struct({ stream: count }), nothing),
} as const;

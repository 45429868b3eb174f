import { type Body, NO_BODY } from '@nestgate/protocol';
import type { ByteReader, ByteWriter } from '../wire/bytes.js';
import { body, type Codec, count, flag, list, nothing, optional, ownBody, struct, text } from '../wire/codec.js';
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
  item: { ...nodeOp(170, 'never', streamItem, nothing), leavesGap: true },
} as const;

/** What gates do for workers that have missed messages of theirs. Ids are never reused. */
export const gapContract = {
  /**
   * The worker names streams and clients of the gate that it knows. The gate says again which of the streams nobody wants and which of the
   * clients are gone, and how many items of the other streams are written.
   */
  check: nodeOp(178, 'never', struct({ streams: list(count), clients: list(count) }), nothing),
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

/** The end of a stream, as its worker tells the gate. */
export interface StreamEnd {
  /** How many items of the stream have been sent to this gate. When it has not got as many, some are lost. */
  readonly items: number;
  /** The stream goes on at another gate, which has asked for it. */
  readonly isMoved: boolean;
  /** The return value of a handler that gives no stream. */
  readonly body?: Body | undefined;
}

const streamEnd = struct({ items: count, isMoved: flag, body: optional(body) });

/** A stream whose client has come from another gate. */
export interface StreamAdoption {
  readonly clientId: string;
  /** The gate that has begun it, and the number by which that gate names it. */
  readonly from: string;
  readonly fromStream: number;
  /** The number by which the gate that asks names it. */
  readonly stream: number;
}

/** The code with which a worker answers when it does not know a stream that it is asked to go on with. */
export const UNKNOWN_STREAM = '$unknown-stream';

/** What workers do for the streams of gates. Ids are never reused. */
export const streamContract = {
  /**
   * Runs the handler of a frame whose client wants a stream. Answered at the end of the stream, or, when the handler gives none, with its
   * return value.
   */
  begin: nodeOp(173, 'required', streamMessage, streamEnd),
  /**
   * The client of a stream has come to the gate that asks: further items are sent to this gate. Answered as `begin` is. The gate that has
   * begun the stream is told that it has moved, behind the last item that was sent to it.
   */
  adopt: nodeOp(177, 'required', struct({ clientId: text, from: text, fromStream: count, stream: count }), streamEnd),
  /** The client's socket has taken so many items of the stream. Also sent at intervals while it takes none. */
  written: { ...nodeOp(171, 'never', struct({ stream: count, items: count }), nothing), leavesGap: true },
  /** Nobody wants the stream any more. */
  cancel: { ...nodeOp(172, 'never', struct({ stream: count }), nothing), leavesGap: true },
} as const;

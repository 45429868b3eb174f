import type { Body } from '@nestgate/protocol';
import type { ByteReader, ByteWriter } from '../wire/bytes.js';
import { body, type Codec, count, json, nothing, ownBody, struct } from '../wire/codec.js';
import { nodeOp } from '../wire/operation.js';
import type { SessionSnapshot } from './session-snapshot.js';
import { parseJson } from '../common/checked.js';

/** A client's frame on its way to a worker. The client is named by its serial: the gate is the one that sends. */
export interface ClientMessage {
  serial: number;
  topic: string;
  body: Body;
  /** False when the client will not see the handler's return value, so that nobody needs to encode it. */
  wantsResult: boolean;
  /** The session, when it has changed since this worker was last told. */
  session: SessionSnapshot | undefined;
  /** The span of the frame on its gate, as `traceparent`; where the gate has OpenTelemetry. */
  trace?: string | undefined;
}

const WANTS_RESULT = 1;
const HAS_SESSION = 2;
const HAS_TRACE = 4;
const snapshot = json<SessionSnapshot>();

/** Laid by hand: this is written and read for every frame of every client. */
export const clientMessage: Codec<ClientMessage> = {
  write(writer: ByteWriter, message: ClientMessage) {
    const { trace } = message;
    writer.u8(
      (message.wantsResult ? WANTS_RESULT : 0) |
        (message.session ? HAS_SESSION : 0) |
        (trace === undefined ? 0 : HAS_TRACE),
    );
    writer.f64(message.serial);
    writer.str(message.topic);
    body.write(writer, message.body);
    if (message.session) snapshot.write(writer, message.session);
    if (trace !== undefined) writer.str(trace);
  },
  read(reader: ByteReader) {
    const flags = reader.u8();
    return {
      serial: reader.f64(),
      topic: reader.word(),
      body: body.read(reader),
      wantsResult: (flags & WANTS_RESULT) !== 0,
      session: (flags & HAS_SESSION) !== 0 ? snapshot.read(reader) : undefined,
      trace: (flags & HAS_TRACE) !== 0 ? reader.str() : undefined,
    };
  },
  own({ serial, topic, body: content, wantsResult, session, trace }) {
    return {
      serial,
      topic,
      body: ownBody(content),
      wantsResult,
      session: session && parseJson<SessionSnapshot>(JSON.stringify(session)),
      trace,
    };
  },
};

/**
 * The code with which a worker answers a frame whose body is not the JSON that the gate took it for. No handler can throw
 * it: codes of the application do not start with `$`.
 */
export const MALFORMED_BODY = '$malformed-body';

/**
 * The topics that report connects and disconnects of clients to workers. Clients cannot send on them: topics that start with
 * `$` are the gate's own. A worker announces them as modules.
 */
export const CONNECT_TOPIC = '$connect';
export const DISCONNECT_TOPIC = '$disconnect';
/** The same for sessions that lose their connection and are kept, and that go on with another one. */
export const DETACH_TOPIC = '$detach';
export const RESUME_TOPIC = '$resume';

/** What workers do for gates. Ids are never reused. */
export const topicContract = {
  /** Runs the handler of a frame. Answered when the handler has settled, with its return value as a body. */
  message: { ...nodeOp(100, 'required', clientMessage, body), lingers: true },
  /**
   * The session has changed. Sent before the answer to the caller of the change, so that the client's next handler sees what
   * the one before it has written, although its frame may have been on its way already.
   */
  update: nodeOp(102, 'never', struct({ serial: count, session: snapshot }), nothing),
  /** The client is gone: drop its copy of the session. */
  forget: { ...nodeOp(101, 'never', struct({ serial: count }), nothing), leavesGap: true },
} as const;

export type TopicContract = typeof topicContract;

/** What a gate asks workers before it gives them more clients: the frames of all gates that have not been handled yet. */
export const loadContract = { load: nodeOp(103, 'required', nothing, count) } as const;

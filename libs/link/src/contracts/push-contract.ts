import { type Body, NO_BODY } from '@nestgate/protocol';
import type { ByteReader, ByteWriter } from '../wire/bytes.js';
import { body, type Codec, nothing, ownBody } from '../wire/codec.js';
import { nodeOp } from '../wire/operation.js';

/** A message to one client, named by its serial: the gate is the one that it is sent to. */
export interface PushMessage {
  serial: number;
  topic: string;
  body: Body;
}

/** Reused for each push: the handler has read it before the next one is decoded. */
const taken: PushMessage = { serial: 0, topic: '', body: NO_BODY };

/** Laid by hand: what handlers send most. */
const pushMessage: Codec<PushMessage> = {
  write(writer: ByteWriter, message: PushMessage) {
    writer.f64(message.serial);
    writer.str(message.topic);
    body.write(writer, message.body);
  },
  read(reader: ByteReader) {
    taken.serial = reader.f64();
    taken.topic = reader.word();
    taken.body = body.read(reader);
    return taken;
  },
  own: ({ serial, topic, body: content }) => ({ serial, topic, body: ownBody(content) }),
};

/** Operations of gates for pushes to a single client without confirmation. Ids are never reused. */
export const pushContract = {
  one: nodeOp(25, 'never', pushMessage, nothing),
} as const;

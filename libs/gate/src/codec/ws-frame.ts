/** Opcodes of RFC 6455, with the FIN bit. */
export const WS_TEXT = 0x81;
export const WS_BINARY = 0x82;
const WS_PING = 0x89;
const WS_PONG = 0x8a;

/** An empty ping. */
export const PING_FRAME: Buffer = Buffer.from([WS_PING, 0]);

/** The answer to a ping, with the payload of the ping (at most 125 bytes). */
export function pongFrame(payload: Uint8Array): Buffer {
  // Not from the shared pool: a waiting pong would retain 8 KiB of it. The payload is copied, because it is a view of the whole chunk.
  const frame = Buffer.allocUnsafeSlow(2 + payload.length);
  frame[0] = WS_PONG;
  frame[1] = payload.length;
  frame.set(payload, 2);
  return frame;
}

/** Size of the header of a server's (unmasked) frame with a payload of this size. */
export function wsHeaderBytes(payload: number): number {
  return payload < 126 ? 2 : payload < 65_536 ? 4 : 10;
}

/** Size of the header of an encoded server's frame. */
export function writtenWsHeaderBytes(frame: Uint8Array): number {
  const length = frame[1] as number;
  return length < 126 ? 2 : length === 126 ? 4 : 10;
}

/** Writes the header of a frame at the start of `frame`. */
export function writeWsHeader(frame: Buffer, opcode: number, payload: number): void {
  frame[0] = opcode;
  if (payload < 126) {
    frame[1] = payload;
  } else if (payload < 65_536) {
    frame[1] = 126;
    frame.writeUInt16BE(payload, 2);
  } else {
    frame[1] = 127;
    frame.writeUInt32BE(Math.floor(payload / 2 ** 32), 2);
    frame.writeUInt32BE(payload >>> 0, 6);
  }
}

/**
 * Takes the frames of a server, one after another.
 * @callback FrameTaker
 * @param {number} opcode
 * @param {Buffer} bytes what was read
 * @param {number} from where the payload starts
 * @param {number} to where it ends
 */

/**
 * Calls `take` for each whole frame between `start` and `end`, and returns where the first unfinished one starts. Servers do not
 * mask, and the peers do not fragment: a masked frame or a continuation is an error of the server.
 * @param {Buffer} bytes
 * @param {number} start
 * @param {number} end
 * @param {FrameTaker} take
 */
export function takeFrames(bytes, start, end, take) {
  let at = start;
  while (end - at >= 2) {
    let head = 2;
    let length = bytes[at + 1];
    if (length === 126) {
      if (end - at < 4) break;
      length = bytes.readUInt16BE(at + 2);
      head = 4;
    } else if (length === 127) {
      if (end - at < 10) break;
      length = Number(bytes.readBigUInt64BE(at + 2));
      head = 10;
    } else if (length > 127) {
      throw new Error('The server masks its frames');
    }
    if (end - at < head + length) break;
    const first = bytes[at];
    if ((first & 0xf0) !== 0x80 || (first & 0x0f) === 0) throw new Error('The server sends fragments');
    take(first & 0x0f, bytes, at + head, at + head + length);
    at += head + length;
  }
  return at;
}

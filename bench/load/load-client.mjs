import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { maskedFrame } from './frame-template.mjs';
import { takeFrames } from './server-frames.mjs';

const OP_CLOSE = 8;
const OP_PING = 9;
const OP_PONG = 10;
const HEAD_END = '\r\n\r\n';

/** All sockets read into the same bytes: what is read is handled before the next read. */
const inbox = Buffer.allocUnsafeSlow(256 * 1024);

/**
 * Where a client connects to.
 * @typedef {object} Target
 * @property {string} host
 * @property {number} port
 * @property {string} path
 * @property {string} [subprotocol]
 * @property {string} [localAddress] the address it comes from
 */

/**
 * What a client tells.
 * @typedef {object} ClientEvents
 * @property {(client: LoadClient) => void} onOpen the upgrade is done
 * @property {(client: LoadClient, bytes: Buffer, from: number, to: number) => void} onFrame a text or binary frame
 * @property {(client: LoadClient, why: string) => void} onGone it could not connect, or lost its connection
 */

/** A WebSocket client that does what a load generator needs, and no more. */
export class LoadClient {
  /**
   * @param {number} index its number among the clients of the process
   * @param {Target} target
   * @param {ClientEvents} events
   */
  constructor(index, target, events) {
    /** @readonly */
    this.index = index;
    /** @private @readonly */
    this.events = events;
    /** Frames that are laid out and not yet written, up to `outEnd`. */
    this.out = Buffer.alloc(0);
    this.outEnd = 0;
    /** Frames that count, of a session that acknowledges them. */
    this.seen = 0;
    /** @private the start of a frame whose rest is not here yet @type {Buffer | undefined} */
    this.rest = undefined;
    /** @private */
    this.isOpen = false;
    this.isGone = false;
    /** @private @readonly */
    this.take = this.takeFrame.bind(this);
    const onread = { buffer: inbox, callback: (/** @type {number} */ size) => this.read(size) };
    const { host, port, localAddress } = target;
    /** @private @readonly */
    this.socket = connect({ host, port, localAddress, noDelay: true, onread });
    this.socket
      .on('connect', () => this.socket.write(upgradeOf(target)))
      .on('error', error => this.lose(error.message))
      .on('close', () => this.lose('closed by the server'));
  }

  /**
   * Makes room for `bytes` more behind `outEnd`.
   * @param {number} bytes
   */
  reserve(bytes) {
    const needed = this.outEnd + bytes;
    if (needed <= this.out.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.out.length * 2));
    this.out.copy(grown, 0, 0, this.outEnd);
    this.out = grown;
  }

  /**
   * Lays out a frame with a number, to be written with the next {@link flush}.
   * @param {import('./frame-template.mjs').FrameTemplate} template
   * @param {number} number
   */
  put(template, number) {
    if (this.outEnd + template.length > this.out.length) this.reserve(template.length);
    this.outEnd = template.copyTo(this.out, this.outEnd, number);
  }

  /** Lays out a frame, to be written with the next {@link flush}. @param {string} text one that is not sent often */
  append(text) {
    const frame = maskedFrame(text);
    this.reserve(frame.length);
    frame.copy(this.out, this.outEnd);
    this.outEnd += frame.length;
  }

  /** @param {string} text one that is not sent often */
  send(text) {
    this.write(maskedFrame(text));
  }

  /** Writes what is laid out, in one go. What is read answers itself: it is flushed after each read. */
  flush() {
    if (this.outEnd === 0) return;
    const bytes = this.out.subarray(0, this.outEnd);
    this.outEnd = 0;
    if (this.isGone) return;
    this.socket.write(bytes);
    // A write that has not finished still needs its bytes.
    if (this.socket.writableLength > 0) this.out = Buffer.alloc(0);
  }

  /** Ends the connection, without a close frame. */
  end() {
    this.isGone = true;
    this.socket.destroy();
  }

  /** Ends the connection the way a polite client does. */
  close() {
    this.write(maskedFrame('', OP_CLOSE));
    this.isGone = true;
    this.socket.end();
  }

  /** @private @param {Buffer} bytes */
  write(bytes) {
    this.flush();
    if (!this.isGone) this.socket.write(bytes);
  }

  /** @private @param {string} why */
  lose(why) {
    if (this.isGone) return;
    this.isGone = true;
    this.socket.destroy();
    this.events.onGone(this, why);
  }

  /** @private @param {number} size */
  read(size) {
    let bytes = inbox;
    let end = size;
    if (this.rest) {
      bytes = Buffer.concat([this.rest, inbox.subarray(0, size)]);
      end = bytes.length;
      this.rest = undefined;
    }
    let at = 0;
    if (!this.isOpen) {
      at = this.readHead(bytes, end);
      if (at < 0) return true;
    }
    try {
      at = takeFrames(bytes, at, end, this.take);
    } catch (error) {
      this.lose(String(error));
      return false;
    }
    if (at < end) this.rest = Buffer.from(bytes.subarray(at, end));
    if (this.outEnd > 0) this.flush();
    return true;
  }

  /**
   * Reads the answer to the upgrade, and returns where the frames start; -1 when there is nothing more to do.
   * @private
   * @param {Buffer} bytes
   * @param {number} end
   */
  readHead(bytes, end) {
    const headEnd = bytes.subarray(0, end).indexOf(HEAD_END);
    if (headEnd < 0) {
      this.rest = Buffer.from(bytes.subarray(0, end));
      return -1;
    }
    const status = bytes.toString('latin1', 9, 12);
    if (status !== '101') {
      this.lose(`refused with ${status}`);
      return -1;
    }
    this.isOpen = true;
    this.events.onOpen(this);
    return headEnd + HEAD_END.length;
  }

  /** @private @type {import('./server-frames.mjs').FrameTaker} */
  takeFrame(opcode, bytes, from, to) {
    if (opcode === OP_PING) this.write(maskedFrame(bytes.subarray(from, to), OP_PONG));
    else if (opcode === OP_CLOSE) this.lose(`close frame ${to - from >= 2 ? bytes.readUInt16BE(from) : ''}`);
    else if (opcode !== OP_PONG) this.events.onFrame(this, bytes, from, to);
  }
}

/** @param {Target} target */
function upgradeOf({ host, port, path, subprotocol }) {
  const key = randomBytes(16).toString('base64');
  return (
    `GET ${path} HTTP/1.1\r\nHost: ${host}:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
    `Sec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\n` +
    (subprotocol ? `Sec-WebSocket-Protocol: ${subprotocol}\r\n\r\n` : '\r\n')
  );
}

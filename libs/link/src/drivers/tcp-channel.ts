import type { Socket } from 'node:net';
import { GateError } from '@nestgate/protocol';
import type { NodeInfo, SendResult } from '../link.js';
import { readNodeInfo } from '../node-info.js';
import { NONCE_BYTES, TcpHandshake } from './tcp-handshake.js';

/**
 * One connection between two nodes. Each message is `u32 length of what follows · u8 type · content`. Both sides begin
 * with a hello and a proof; then the listener says that it is ready, or refuses. Nothing else is read before that.
 */
const Type = Object.freeze({
  hello: 1,
  proof: 2,
  frame: 3,
  cast: 4,
  info: 5,
  ping: 6,
  bye: 7,
  refused: 8,
  ready: 9,
} as const);

const HEADER_BYTES = 5;
/** Largest message before the other side has proved itself, and after. */
const MAX_GREETING_BYTES = 1024 * 1024;
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;
/** Above so many unsent bytes a peer is congested; above the second number, what is sent is refused. */
const CONGESTED_BYTES = 1024 * 1024;
const REFUSED_BYTES = 64 * 1024 * 1024;
/** A sign of life every second; three missing ones are death. */
const HEARTBEAT_MS = 1_000;
const DEAD_MS = 3_500;
/** How long a goodbye may take. */
const CLOSE_MS = 1_000;

/** What a channel tells its link. */
export interface TcpChannelEvents {
  /** The other side has proved itself: may it come in? Throwing refuses it, with the error's message. */
  admit(channel: TcpChannel, peer: NodeInfo): void;
  /** Both sides have agreed. */
  onReady(channel: TcpChannel, peer: NodeInfo): void;
  onFrame(channel: TcpChannel, frame: Buffer): void;
  onCast(channel: TcpChannel, name: string, frame: Buffer): void;
  onInfo(channel: TcpChannel, peer: NodeInfo): void;
  onDrain(channel: TcpChannel): void;
  /** The connection has ended; with why it was refused, when it was. Called once. */
  onClose(channel: TcpChannel, refusal: string | undefined): void;
}

export class TcpChannel {
  /** Who is at the other end, once it has proved itself. */
  peer: NodeInfo | undefined;
  /** True when the other side has taken its leave: it is not coming back. */
  saidBye = false;
  private readonly handshake: TcpHandshake;
  private readonly timer: NodeJS.Timeout;
  private peerNonce: Buffer | undefined;
  private proved: NodeInfo | undefined;
  private chunks: Buffer[] = [];
  private buffered = 0;
  private lastHeard = Date.now();
  private refusal: string | undefined;
  private isCongested = false;
  private isClosing = false;

  constructor(
    readonly socket: Socket,
    secret: string,
    readonly isDialer: boolean,
    private readonly self: () => NodeInfo,
    private readonly events: TcpChannelEvents,
  ) {
    this.handshake = new TcpHandshake(secret, isDialer);
    socket.setNoDelay(true);
    socket.on('data', chunk => this.take(chunk));
    socket.on('drain', () => this.noteDrain());
    socket.on('error', () => socket.destroy());
    socket.on('end', () => socket.destroy());
    socket.on('close', () => {
      clearInterval(this.timer);
      events.onClose(this, this.refusal);
    });
    this.timer = setInterval(() => this.beat(), HEARTBEAT_MS);
    this.write(Type.hello, this.handshake.nonce);
  }

  send(frame: Buffer): SendResult {
    return this.post(Type.frame, frame);
  }

  /** Sends a frame for whoever has joined a channel. */
  cast(name: string, frame: Buffer): SendResult {
    const channel = Buffer.from(name);
    const head = Buffer.allocUnsafe(2 + channel.length);
    head.writeUInt16LE(channel.length);
    head.set(channel, 2);
    return this.post(Type.cast, Buffer.concat([head, frame]));
  }

  /** Tells the other side what has changed about this node. */
  announce(self: NodeInfo): void {
    if (this.peer) this.write(Type.info, Buffer.from(JSON.stringify(self)));
  }

  /** Ends the connection. With `drain`, what has been written is sent first. */
  close(drain: boolean): void {
    if (this.isClosing) return;
    this.isClosing = true;
    if (!drain) {
      this.socket.destroy();
      return;
    }
    this.write(Type.bye, EMPTY);
    this.socket.end();
    const timer = setTimeout(() => this.socket.destroy(), CLOSE_MS);
    this.socket.once('close', () => clearTimeout(timer));
  }

  private post(type: number, content: Buffer): SendResult {
    if (!this.peer || this.isClosing || !this.socket.writable) return 'refused';
    if (content.length >= MAX_MESSAGE_BYTES || this.socket.writableLength > REFUSED_BYTES) return 'refused';
    this.write(type, content);
    if (this.socket.writableLength <= CONGESTED_BYTES) return 'sent';
    this.isCongested = true;
    return 'congested';
  }

  private write(type: number, content: Buffer): void {
    const { socket } = this;
    if (!socket.writable) return;
    const header = Buffer.allocUnsafe(HEADER_BYTES);
    header.writeUInt32LE(content.length + 1);
    header[4] = type;
    socket.cork();
    socket.write(header);
    if (content.length > 0) socket.write(content);
    socket.uncork();
  }

  private noteDrain(): void {
    if (!this.isCongested) return;
    this.isCongested = false;
    this.events.onDrain(this);
  }

  private beat(): void {
    // Whoever says nothing, not even its proof, is no peer.
    if (Date.now() - this.lastHeard > DEAD_MS) this.socket.destroy();
    else if (this.peer) this.write(Type.ping, EMPTY);
  }

  private take(chunk: Buffer): void {
    this.lastHeard = Date.now();
    this.chunks.push(chunk);
    this.buffered += chunk.length;
    try {
      this.split();
    } catch (error) {
      this.refuse(error instanceof GateError ? error.message : 'internal error');
    }
  }

  /** Reads whole messages. Chunks are joined once per message that is spread over them, not once per chunk. */
  private split(): void {
    while (this.buffered >= HEADER_BYTES) {
      let first = this.chunks[0] as Buffer;
      if (first.length < HEADER_BYTES) first = this.join();
      const size = 4 + first.readUInt32LE(0);
      if (size < HEADER_BYTES || size > (this.peer ? MAX_MESSAGE_BYTES : MAX_GREETING_BYTES)) {
        throw new GateError('LINK_CORRUPT', 'A message of an impossible length');
      }
      if (this.buffered < size) return;
      if (first.length < size) first = this.join();
      this.buffered -= size;
      if (first.length === size) this.chunks.shift();
      else this.chunks[0] = first.subarray(size);
      this.handle(first[4] as number, first.subarray(HEADER_BYTES, size));
      if (this.isClosing || this.socket.destroyed) return;
    }
  }

  private join(): Buffer {
    const joined = Buffer.concat(this.chunks, this.buffered);
    this.chunks = [joined];
    return joined;
  }

  private handle(type: number, content: Buffer): void {
    if (type === Type.refused) this.refusal = content.toString('utf8').slice(0, 256);
    else if (!this.peer) this.greet(type, content);
    else if (type === Type.frame) this.events.onFrame(this, content);
    else if (type === Type.cast) this.takeCast(content);
    else if (type === Type.info) this.takeInfo(content);
    else if (type === Type.bye) {
      this.saidBye = true;
      this.socket.destroy();
    }
  }

  private greet(type: number, content: Buffer): void {
    if (type === Type.hello && !this.peerNonce && content.length === NONCE_BYTES) {
      this.peerNonce = Buffer.from(content);
      this.write(Type.proof, this.handshake.prove(this.peerNonce, this.self()));
    } else if (type === Type.proof && this.peerNonce) {
      this.proved = this.handshake.verify(this.peerNonce, content);
      // The listener has the last word: it knows whether the dialer's id is free.
      if (!this.isDialer) this.begin();
    } else if (type === Type.ready && this.proved && this.isDialer) {
      this.begin();
    } else {
      throw new GateError('LINK_CORRUPT', 'Not a nestgate node');
    }
  }

  private begin(): void {
    const peer = this.proved as NodeInfo;
    this.events.admit(this, peer);
    this.peer = peer;
    // Before anything that the link may want to send at once.
    if (!this.isDialer) this.write(Type.ready, EMPTY);
    this.events.onReady(this, peer);
  }

  private takeCast(content: Buffer): void {
    const end = content.length < 2 ? -1 : 2 + content.readUInt16LE(0);
    if (end < 2 || end > content.length) throw new GateError('LINK_CORRUPT', 'A malformed cast');
    this.events.onCast(this, content.toString('utf8', 2, end), content.subarray(end));
  }

  private takeInfo(content: Buffer): void {
    const info = readNodeInfo(content);
    const { peer } = this;
    // A node cannot become another one.
    if (info.id !== peer?.id || info.role !== peer.role || info.epoch !== peer.epoch) return;
    this.peer = info;
    this.events.onInfo(this, info);
  }

  private refuse(why: string): void {
    this.refusal ??= why;
    this.write(Type.refused, Buffer.from(why));
    this.close(true);
  }
}

const EMPTY = Buffer.alloc(0);

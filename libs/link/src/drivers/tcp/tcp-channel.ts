import type { Socket } from 'node:net';
import { GateError } from '@nestgate/protocol';
import { bytesOf, type LinkFrame, type NodeInfo, type SendResult } from '../../link.js';
import { readNodeInfo } from '../../node-info.js';
import type { SocketFastPath, SocketReader } from '../../sockets/socket-fast-path.js';
import { TcpGreeting, type Verdict } from './tcp-greeting.js';
import type { TcpHandshake } from './tcp-handshake.js';
import {
  EMPTY,
  HEADER_BYTES,
  MAX_GREETING_BYTES,
  MAX_HELLO_BYTES,
  MAX_MESSAGE_BYTES,
  messageHeader,
  readCast,
  readText,
  SMALL_BYTES,
  Type,
  wholeMessage,
} from './tcp-message.js';
import { TcpPulse } from './tcp-pulse.js';
import { TcpSplitter } from './tcp-splitter.js';
import { present } from '../../common/checked.js';

/** Above so many unsent bytes a peer is congested, until half of them are left; above the second number it gets no more. */
const CONGESTED_BYTES = 1024 * 1024;
const REFUSED_BYTES = 64 * 1024 * 1024;
/** How long sending what was accepted may take before the end, and how long the other side has to end after it. */
const DRAIN_MS = 5_000;
const CLOSE_MS = 1_000;

/** What a channel tells its link. */
export interface TcpChannelEvents {
  /** The other side has proved itself. Throwing refuses it, with the error's message. */
  meet(channel: TcpChannel, peer: NodeInfo): Verdict;
  /** The other side is ready. Throwing refuses it, with the error's message. */
  admit(channel: TcpChannel, peer: NodeInfo): Verdict;
  /** The two nodes are connected already: this connection is one too many, and about to end. */
  onDuplicate(channel: TcpChannel): void;
  /** The other side is refused for this, and the connection about to end. */
  onFault(channel: TcpChannel, fault: GateError): void;
  /** Both sides have agreed. */
  onReady(channel: TcpChannel, peer: NodeInfo): void;
  /** Returns true when nothing refers to the frame any more. */
  onFrame(channel: TcpChannel, frame: Buffer): boolean;
  onCast(channel: TcpChannel, name: string, frame: Buffer): void;
  onInfo(channel: TcpChannel, peer: NodeInfo): void;
  onDrain(channel: TcpChannel): void;
  /** The connection has ended. Called once. */
  onClose(channel: TcpChannel): void;
  /** One of the above has thrown in a callback of the socket, or a timer. */
  onDefect(error: unknown, where: string): void;
}

/** One connection between two nodes. */
export class TcpChannel implements SocketReader {
  /** Who is at the other end, once both sides are ready. */
  peer: NodeInfo | undefined;
  /** What the other side has refused this node for. */
  refusal: string | undefined;
  /** The other side has taken its leave: it is not coming back. */
  saidBye = false;
  private readonly splitter = new TcpSplitter(MAX_HELLO_BYTES, (type, content) => this.handle(type, content));
  private readonly pulse = new TcpPulse({
    ping: () => this.guarded('tcp.pulse', () => this.write(Type.ping, EMPTY)),
    die: () => this.guarded('tcp.pulse', () => this.destroy()),
  });
  private readonly greeting: TcpGreeting;
  private isCongested = false;
  private isClosing = false;
  private isOver = false;

  constructor(
    readonly socket: Socket,
    readonly isDialer: boolean,
    handshake: TcpHandshake,
    private readonly self: () => NodeInfo,
    private readonly events: TcpChannelEvents,
    fastPath?: SocketFastPath,
  ) {
    socket.setNoDelay(true);
    socket.on('data', chunk => this.take(chunk, chunk.length, false));
    if (fastPath?.supports(socket) === true) fastPath.attach(socket, this);
    socket.on('drain', () => this.guarded('tcp.drain', this.noteFlush));
    for (const event of ['error', 'end', 'close']) socket.on(event, () => this.guarded('tcp.close', () => this.lose()));
    this.greeting = new TcpGreeting(handshake, isDialer, {
      write: (type, content) => this.write(type, content),
      meet: peer => events.meet(this, peer),
      admit: peer => events.admit(this, peer),
      self,
    });
  }

  /** Called by the socket: what is thrown ends this connection only. */
  private guarded(where: string, act: () => void): void {
    try {
      act();
    } catch (error) {
      this.events.onDefect(error, where);
      this.destroy();
    }
  }

  /** Who is at the other end, once it has proved itself. */
  get proved(): NodeInfo | undefined {
    return this.greeting.peer;
  }

  /** Sends a frame, or a cast when its header is given. */
  send(frame: LinkFrame, castHeader?: Buffer): SendResult {
    const { socket } = this;
    if (!this.peer || this.isClosing || !socket.writable || socket.writableLength > REFUSED_BYTES) return 'refused';
    const bytes = bytesOf(frame);
    if (bytes + (castHeader?.length ?? HEADER_BYTES) > MAX_MESSAGE_BYTES) return 'refused';
    const isMuch = this.isCongested || socket.writableLength + bytes > CONGESTED_BYTES;
    // The socket emits `drain` only when it is empty, which a slow continuous sender may prevent forever.
    const onFlush = isMuch ? this.noteFlush : undefined;
    if (!Buffer.isBuffer(frame)) {
      this.writeParts(castHeader ?? messageHeader(Type.frame, bytes), frame, onFlush);
    } else if (!castHeader && bytes <= SMALL_BYTES) {
      socket.write(wholeMessage(Type.frame, frame), onFlush);
    } else {
      socket.cork();
      socket.write(castHeader ?? messageHeader(Type.frame, bytes));
      socket.write(frame, onFlush);
      socket.uncork();
    }
    if (socket.writableLength <= CONGESTED_BYTES) return 'sent';
    this.isCongested = true;
    return 'congested';
  }

  /** One after the other, with one call of the operating system. */
  private writeParts(header: Buffer, parts: readonly Buffer[], onFlush: (() => void) | undefined): void {
    const { socket } = this;
    socket.cork();
    socket.write(header);
    const last = parts.length - 1;
    for (let i = 0; i <= last; i++) socket.write(present(parts[i]), i === last ? onFlush : undefined);
    socket.uncork();
  }

  /** Tells the other side what has changed about this node. */
  announce(self: NodeInfo): void {
    if (this.peer) this.write(Type.info, Buffer.from(JSON.stringify(self)));
  }

  /** Takes leave and ends the connection. With `drain`, what has been written is sent first. */
  close(drain: boolean): void {
    if (this.isClosing) return;
    if (!this.peer || (!drain && this.socket.writableLength > 0)) this.destroy();
    else this.end(Type.bye, EMPTY);
  }

  /**
   * The connection is over. That is told at once: Node closes a socket at the end of its turn, after what has gathered in
   * this turn was to be sent.
   */
  private lose(): void {
    this.socket.destroy();
    if (this.isOver) return;
    this.isOver = true;
    this.pulse.stop();
    this.events.onClose(this);
  }

  /** Ends the connection at once. */
  destroy(): void {
    this.isClosing = true;
    this.splitter.stop();
    this.socket.destroy();
  }

  /** Sends what was written and a last message, and waits for the other side to end too. It is not heard any more. */
  private end(type: number, content: Buffer): void {
    const { socket } = this;
    this.write(type, content);
    this.isClosing = true;
    this.splitter.stop();
    let timer = setTimeout(() => socket.destroy(), DRAIN_MS);
    socket.once('close', () => clearTimeout(timer));
    socket.end(() => {
      clearTimeout(timer);
      if (!socket.destroyed) timer = setTimeout(() => socket.destroy(), CLOSE_MS);
    });
  }

  private write(type: number, content: Buffer): void {
    if (!this.isClosing && this.socket.writable) this.socket.write(wholeMessage(type, content));
  }

  private readonly noteFlush = (): void => {
    if (!this.isCongested || this.isClosing || this.socket.writableLength > CONGESTED_BYTES / 2) return;
    this.isCongested = false;
    this.events.onDrain(this);
  };

  onBytes(buffer: Buffer, size: number): number {
    this.take(buffer, size, true);
    return size;
  }

  /** Takes the first `size` bytes of a chunk, which are valid during the call only when they are shared. */
  private take(chunk: Buffer, size: number, isShared: boolean): void {
    this.pulse.noteHeard();
    try {
      this.splitter.push(chunk, size, isShared);
    } catch (error) {
      const fault = error instanceof GateError ? error : new GateError('INTERNAL');
      if (fault !== error) this.events.onDefect(error, 'tcp.data');
      this.end(Type.refused, Buffer.from(fault.message));
      this.events.onFault(this, fault);
    }
  }

  /** Takes a message. Returns true when nothing refers to its content any more. */
  private handle(type: number, content: Buffer): boolean {
    if (this.peer && type === Type.frame) return this.events.onFrame(this, content);
    this.handleOther(type, content);
    return false;
  }

  private handleOther(type: number, content: Buffer): void {
    if (type === Type.refused) {
      this.refusal = readText(content);
      this.destroy();
    } else if (!this.peer) {
      this.greet(type, content);
    } else if (type === Type.cast) {
      this.takeCast(content);
    } else if (type === Type.info) {
      this.takeInfo(this.peer, content);
    } else if (type === Type.bye) {
      this.saidBye = true;
      this.destroy();
      // At once, and not when the socket has closed: what is sent until then would be refused, as if the peer were missing.
      this.lose();
    }
  }

  private greet(type: number, content: Buffer): void {
    const step = this.greeting.take(type, content);
    this.splitter.maxBytes = MAX_GREETING_BYTES;
    if (step === 'duplicate') {
      this.events.onDuplicate(this);
      this.end(Type.duplicate, EMPTY);
    } else if (step === 'ready') {
      const peer = present(this.proved);
      this.peer = peer;
      this.splitter.maxBytes = MAX_MESSAGE_BYTES;
      this.pulse.start();
      const self = this.self();
      // What has changed since the proof.
      if (self !== this.greeting.told) this.announce(self);
      this.events.onReady(this, peer);
    }
  }

  private takeCast(content: Buffer): void {
    const cast = readCast(content);
    if (!cast) throw new GateError('LINK_CORRUPT', 'A malformed cast');
    this.events.onCast(this, cast.channel, cast.frame);
  }

  private takeInfo(peer: NodeInfo, content: Buffer): void {
    const info = readNodeInfo(content);
    if (info.id !== peer.id || info.role !== peer.role || info.epoch !== peer.epoch) {
      throw new GateError('LINK_CORRUPT', 'A node cannot become another one');
    }
    this.peer = info;
    this.events.onInfo(this, info);
  }
}

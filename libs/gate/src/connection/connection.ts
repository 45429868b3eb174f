import type { Receipt } from '../receipts/receipt.js';
import type { ClientQueue, SendQueueOwner } from './client-queue.js';

/** The connection of a client, as its agent sees it: it writes bytes and emits frames. The wire does the framing. */
export interface Connection {
  /** `ws`, `tcp`, or the name of a custom acceptor. */
  readonly network: string;
  readonly ip: string;
  /** Total number of bytes read from the socket. */
  readonly bytesRead: number;
  /** Written bytes that the operating system has not accepted yet. */
  readonly writableLength: number;
  /** Written bytes that the operating system has accepted so far. It may decrease slightly after a write. */
  readonly takenBytes: number;
  /** Writes framed bytes. */
  write(data: Uint8Array): void;
  /** Requests `onDrain` for when the operating system has accepted all written bytes. */
  awaitDrain(): void;
  /** False when the protocol has no ping: {@link ping} then does nothing. @defaultValue true */
  readonly hasPing?: boolean | undefined;
  /** Probes whether the client is alive. */
  ping(): void;
  pause(): void;
  resume(): void;
  /** Sends a close message, and destroys the socket when the client does not answer in time. */
  close(code: number, reason: string): void;
  /** Destroys the connection immediately. */
  destroy(): void;
  /** The resumable session of this connection, if it has one. */
  readonly session?: ConnectionSession | undefined;
}

/** A resumable session, as the client's agent and the gate use it. */
export interface ConnectionSession {
  /** Whether there is no socket at the moment. */
  readonly isAway: boolean;
  /** Whether the session has moved to another gate, or is moving: it does not end with this agent. */
  readonly isHandedOver: boolean;
  /** Creates the queue of the agent. */
  createQueue(owner: SendQueueOwner): ClientQueue;
  /** The first frame for the client. From now on the session survives the loss of its socket. */
  hello(): Uint8Array;
  /** Ends the socket with this code. False, without any effect, when the session must end after this code. */
  loseSocket(code: number, reason: string): boolean;
  /** The frame that the agent has just received is not counted. */
  skipFrame(): void;
  /** Registers a receipt for the message that was queued last. */
  awaitReceipt(receipt: Receipt): void;
  /** The client was removed from all indexes. */
  onEnd(code: number, reason: string): void;
}

/** Events of a connection. */
export interface ConnectionEvents {
  /** Whether frames of the client are unanswered. */
  readonly awaitsAnswers: boolean;
  /** A complete frame. The bytes are not reused, so that the receiver may keep them. */
  onFrame(data: Buffer): void;
  /** The operating system has accepted all written bytes. */
  onDrain(): void;
  /** The client has sent a ping; `answer` is the pong of the protocol. */
  onProbe(answer: Buffer): void;
  /** The client has violated the protocol of the connection. */
  onViolation(code: number, reason: string): void;
  /** The protocol implementation is closing the connection after an error. Nothing can be sent any more. */
  onBroken(code: number, reason: string): void;
  /** The client has half-closed the connection: it may still read. */
  onHalfClose(): void;
  /** The connection has ended. This is the last event. */
  onClose(code: number, reason: string): void;
  /** Reports an exception of an event handler in a callback of the socket: this connection ends. Never throws. */
  onDefect(error: unknown, where: string): void;
}

/** The close reason for a message that is larger than `maxPackSize`. */
export function tooLargeReason(maxPackSize: number): string {
  return `a message of more than ${maxPackSize} bytes (maxPackSize)`;
}

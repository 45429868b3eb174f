/** A client's connection, as its agent sees it: bytes out, frames in. Framing is the wire's business. */
export interface Connection {
  /** `ws`, `tcp`, or what a custom acceptor says. */
  readonly network: string;
  readonly ip: string;
  /** Bytes read from the socket so far, whatever they were. */
  readonly bytesRead: number;
  /** Bytes written that the operating system has not taken yet. */
  readonly writableLength: number;
  /** Bytes written that the operating system has taken so far. It may fall a little when something is written. */
  readonly takenBytes: number;
  /** Writes framed bytes. */
  write(data: Uint8Array): void;
  /** Asks for `onDrain` as soon as the operating system has taken what has been written. */
  awaitDrain(): void;
  /** False when the protocol has no ping that a client answers: {@link ping} does nothing then. @defaultValue true */
  readonly hasPing?: boolean | undefined;
  /** Probes whether the client is alive. */
  ping(): void;
  pause(): void;
  resume(): void;
  /** Says goodbye and closes; whoever does not answer is cut off after a while. */
  close(code: number, reason: string): void;
  /** Cuts the connection at once. */
  destroy(): void;
}

/** Who is told what happens on a connection. */
export interface ConnectionEvents {
  /** Whether frames of the client are being handled whose answers have not been sent. */
  readonly awaitsAnswers: boolean;
  /** A whole frame. The bytes are the receiver's for as long as it keeps them. */
  onFrame(data: Buffer): void;
  /** All that was written has been taken by the operating system. */
  onDrain(): void;
  /** The client asks whether it is heard: `answer` is what the connection's own protocol says to that. */
  onProbe(answer: Buffer): void;
  /** The client broke a rule of the connection's own protocol. */
  onViolation(code: number, reason: string): void;
  /** The connection itself has been told off and is being closed by what speaks its protocol. Nothing can be sent. */
  onBroken(code: number, reason: string): void;
  /** The client sends nothing more, but may still read. */
  onHalfClose(): void;
  /** The connection has ended. Nothing follows. */
  onClose(code: number, reason: string): void;
  /** One of the above has thrown in a callback of the socket, where nobody can catch it: this connection ends. Never throws. */
  onDefect(error: unknown, where: string): void;
}

/** The close reason for a message that is larger than `maxPackSize`. */
export function tooLargeReason(maxPackSize: number): string {
  return `a message of more than ${maxPackSize} bytes (maxPackSize)`;
}

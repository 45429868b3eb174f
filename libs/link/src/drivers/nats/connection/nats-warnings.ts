import { logText } from '@nestgate/protocol';

/** Characters of a warning. */
const MAX_CHARACTERS = 1_000;
/** How long a kind of warning is not repeated, in milliseconds. */
const QUIET_MS = 60_000;

/** Emits warnings for the operator of a node, at a bounded rate. */
export class NatsWarnings {
  private readonly told = new Map<string, { at: number; left: number }>();

  constructor(private readonly emit: (message: string) => void = warnProcess) {}

  /** Warns, unless a warning of this kind was given a moment ago: then the next one says how many were left out. */
  warn(kind: string, message: string): void {
    const now = performance.now();
    const told = this.told.get(kind);
    if (told && now - told.at < QUIET_MS) {
      told.left++;
      return;
    }
    this.told.set(kind, { at: now, left: 0 });
    this.emit(told?.left ? `${message} (and ${told.left} more of the kind before)` : message);
  }

  /** What this kind was about is over: the next time is news. */
  forget(kind: string): void {
    this.told.delete(kind);
  }
}

function warnProcess(message: string): void {
  // The server's own words may be part of it.
  process.emitWarning(logText(message, MAX_CHARACTERS), { type: 'NestgateWarning', code: 'NESTGATE_NATS' });
}

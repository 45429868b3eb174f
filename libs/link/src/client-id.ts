import { GateError, unitAt } from '@nestgate/protocol';

/** Names a client in the whole cluster: `<gate id>.<boot epoch>.<serial>`, epoch and serial in base 36. */
export type ClientId = string;

/** What a client id says. A gate that restarts has a new epoch, so an old id can never reach a new client. */
export interface ParsedClientId {
  readonly gate: string;
  readonly epoch: string;
  readonly serial: number;
}

/** Node ids: 1–64 of `[A-Za-z0-9_-]`. No dots, which divide a client id. */
const NODE_ID = /^[A-Za-z0-9_-]{1,64}$/;
/**
 * 48 bits in base 36 need 10 digits; anything longer is not a serial that a gate has given out, nor is one with a leading
 * zero: a client has one id, and no other way to write it.
 */
const SERIAL = /^[1-9a-z][0-9a-z]{0,9}$/;

const MAX_SERIAL_DIGITS = 10;
const ZERO = 0x30;

export function isNodeId(value: unknown): value is string {
  return typeof value === 'string' && NODE_ID.test(value);
}

/** @throws {GateError} `BAD_ARGUMENT` for an id that no node can have. */
export function assertNodeId(id: string): void {
  if (!isNodeId(id))
    throw new GateError('BAD_ARGUMENT', `A node id is 1 to 64 of A-Z a-z 0-9 _ -, got ${JSON.stringify(id)}`);
}

/** What all client ids of one boot of a gate start with. */
export function clientIdPrefix(gate: string, epoch: string): string {
  return `${gate}.${epoch}.`;
}

/** The serial in a client id that starts with this prefix; 0, which no client has, for any other text. */
export function serialWithPrefix(clientId: string, prefix: string): number {
  const { length } = clientId;
  const start = prefix.length;
  if (length === start || length - start > MAX_SERIAL_DIGITS || !clientId.startsWith(prefix)) return 0;
  if (unitAt(clientId, start) === ZERO) return 0;
  let serial = 0;
  for (let i = start; i < length; i++) {
    const unit = unitAt(clientId, i);
    const digit = unit >= 0x61 && unit <= 0x7a ? unit - 0x57 : unit >= ZERO && unit <= 0x39 ? unit - ZERO : -1;
    if (digit < 0) return 0;
    serial = serial * 36 + digit;
  }
  return serial;
}

export function formatClientId(prefix: string, serial: number): ClientId {
  return flatText(prefix + serial.toString(36));
}

/**
 * The same text, of ASCII only, in one piece. One that was put together refers to its parts for as long as it lives: for what
 * is kept for each client that would be twice the memory and more.
 */
export function flatText(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1');
}

/** The parts of a client id, or `undefined` for what cannot be one. */
export function parseClientId(id: unknown): ParsedClientId | undefined {
  if (typeof id !== 'string') return undefined;
  const dot = id.lastIndexOf('.');
  const mid = id.lastIndexOf('.', dot - 1);
  if (mid < 1) return undefined;
  const serial = id.slice(dot + 1);
  if (!SERIAL.test(serial)) return undefined;
  return { gate: id.slice(0, mid), epoch: id.slice(mid + 1, dot), serial: Number.parseInt(serial, 36) };
}

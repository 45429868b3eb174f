import { GateError } from '@nestgate/protocol';

const SECRET_KEYS = /secret|pass|token|credential|encryptKey|apiKey/i;

/** @throws {GateError} `BAD_ARGUMENT` naming the option, its value and what is allowed. */
export function refuse(key: string, allowed: string, value: unknown): never {
  // What is a secret, or may be one by mistake, is in no error: errors end up in logs.
  const shown = SECRET_KEYS.test(key) ? 'what it has' : inspect(value);
  throw new GateError('BAD_ARGUMENT', `Option ${key}: ${shown} is not allowed; allowed: ${allowed}`);
}

function inspect(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  try {
    return JSON.stringify(value) ?? typeof value;
  } catch {
    return typeof value;
  }
}

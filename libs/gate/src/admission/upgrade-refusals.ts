import type { Refusal } from './admission.js';

/** The handshake took longer than `overTime`. */
export const TOO_SLOW: Refusal = {
  status: 408,
  message: 'The handshake took too long',
  hint: 'the handshake took too long: see overTime',
};
/** The gate drains. */
export const DRAINING: Refusal = {
  status: 503,
  message: 'The gate is shutting down',
  hint: 'the gate is shutting down: clients should come to another one',
};
/** The hooks of the app have not run yet. */
export const STARTING: Refusal = { status: 503, message: 'The gate is starting', hint: 'the gate is starting' };

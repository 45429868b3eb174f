import { GateError } from '../errors.js';
import type { GateClient } from '../gate-client.js';
import type { RequestOptions } from '../options.js';

/**
 * Resolves when a client is online: `await whenOnline(gate)`. Rejects with `OFFLINE` when it is closed or has ended, with `ABORTED` when
 * the signal is aborted.
 */
export function whenOnline<C>(gate: GateClient<C>, { signal }: Pick<RequestOptions, 'signal'> = {}): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      const { state } = gate;
      const isOver = state.name === 'idle' || state.name === 'ended';
      if (!isOver && state.name !== 'online' && !signal?.aborted) return;
      off();
      signal?.removeEventListener('abort', settle);
      if (state.name === 'online') resolve();
      else if (isOver) reject(new GateError('OFFLINE', `The client is not connected: ${JSON.stringify(state)}`));
      else reject(new GateError('ABORTED'));
    };
    const off = gate.on('state', settle);
    signal?.addEventListener('abort', settle);
    settle();
  });
}

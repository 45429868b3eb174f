// example: optimistic
import { type GateClient, isGateError } from '@nestgate/client';

export interface Line {
  readonly key: string;
  readonly text: string;
  readonly status: 'sending' | 'sent' | 'failed';
}

/** Shows a line at once, and sends it until the server has it. The server knows a line that comes twice by its key. */
export async function say(gate: GateClient, key: string, text: string, show: (line: Line) => void) {
  show({ key, text, status: 'sending' });
  for (let attempt = 0; attempt < 5; attempt++) {
    try {
      await gate.request('chat/say', { key, text });
      show({ key, text, status: 'sent' });
      return;
    } catch (error) {
      // Not sent, or perhaps handled: with a key, both may be sent again. What the server refuses is not repeated.
      const again = ['CONNECTION_LOST', 'TIMEOUT', 'WORKER_LOST', 'NO_WORKER'].some(code => isGateError(error, code));
      if (!again) break;
    }
  }
  show({ key, text, status: 'failed' });
}
// end

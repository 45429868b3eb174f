// example: node
import { connect, whenOnline } from '@nestgate/client';
import { WebSocket } from 'ws';

export async function greet(url: string, name: string) {
  const gate = connect(url, { WebSocket });
  try {
    await whenOnline(gate, { signal: AbortSignal.timeout(30_000) });
    return await gate.request<{ uid: string }>('chat/login', { name }, { timeoutMs: 5_000 });
  } finally {
    gate.close();
  }
}
// end

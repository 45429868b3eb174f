import { WebSocket } from 'ws';
// example: frame
import { connect, type ConnectOptions } from '@nestgate/client';
import { frameCodec } from '@nestgate/client/frame';

export async function echo(url: string, bytes: Uint8Array, options: ConnectOptions = {}) {
  const gate = connect(url, { ...options, codec: frameCodec() });
  const reply = await gate.request<Uint8Array>('echo/echo', bytes);
  gate.close();
  return reply;
}
// end
export const NODE: ConnectOptions = { WebSocket };

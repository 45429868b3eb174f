// example: testing
import { whenOnline } from '@nestgate/client';
import { MockGate } from '@nestgate/client/testing';

export async function conversation() {
  const mock = new MockGate();
  mock.on('chat/say', ({ text }: { text: string }) => ({ delivered: text.length }));
  const gate = mock.connect();
  const heard: unknown[] = [];
  gate.on('chat/said', body => heard.push(body));
  await whenOnline(gate);
  const reply = await gate.request('chat/say', { text: 'hi' });
  await mock.push('chat/said', { from: 'ada', text: 'hello' });
  // The connection is lost, and the session goes on.
  await mock.drop();
  await mock.push('chat/said', { from: 'ada', text: 'are you there?' });
  await whenOnline(gate);
  mock.close();
  return { reply, heard };
}
// end

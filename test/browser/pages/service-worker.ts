import { connect, whenOnline } from '@nestgate/client';

/** The used part of a message from a page. */
interface PageMessage {
  readonly data: unknown;
  readonly source: { postMessage(message: string): void };
  waitUntil(work: Promise<void>): void;
}

addEventListener('message', event => {
  const { data, source, waitUntil } = event as unknown as PageMessage;
  const work = async (): Promise<void> => {
    const gate = connect(String(data));
    await whenOnline(gate);
    const reply = await gate.request<string>('echo/echo', 'from a service worker');
    gate.close();
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a page of this worker
    source.postMessage(`${reply}: ${gate.state.name}`);
  };
  waitUntil.call(event, work());
});

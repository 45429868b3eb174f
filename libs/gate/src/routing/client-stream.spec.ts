import { beforeEach, describe, expect, it } from '@jest/globals';
import type { Peer } from '@nestgate/link/internal';
import { GateError, JsonText } from '@nestgate/protocol';
import type { ClientAgent } from '../client/client-agent.js';
import { GateCounters } from '../gate-counters.js';
import { ClientStream } from './client-stream.js';

describe('ClientStream of a client that comes from another gate', () => {
  /** What the client gets, in order; what is still being made has its place. */
  let sent: Promise<unknown>[];
  let stream: ClientStream;

  beforeEach(() => {
    sent = [];
    const say = (what: unknown): boolean => sent.push(Promise.resolve(what)) > 0;
    const agent = {
      counters: new GateCounters(),
      sendPosition: 0,
      wire: { item: (_id: number, body: JsonText) => Buffer.from(body.text), end: () => Buffer.from('end') },
      sendFrame: (frame: Buffer) => say(frame.toString()),
      deferFrame: (making: Promise<Buffer | undefined>) => sent.push(making.then(frame => frame?.toString())) > 0,
      sendError: (_id: number, { code }: { code: string }) => say(code),
      endStream: () => undefined,
    };
    const owner = { mark: () => undefined, tell: () => undefined, remove: () => undefined };
    stream = new ClientStream(owner, agent as unknown as ClientAgent, {} as Peer, 1, 7, 'a/b', 1_000);
    stream.await();
    stream.take(new JsonText('1'), false);
  });

  const received = async (): Promise<unknown[]> => (await Promise.all(sent)).filter(each => each !== undefined);

  it('sends its items, and its end, when those before them have come', async () => {
    stream.succeed({ items: 1, isMoved: false });
    expect(sent).toHaveLength(1);
    stream.settle(true, true);
    expect(await received()).toEqual(['1', 'end']);
  });

  it.each(['that it has ended', 'that it has failed', 'nothing more'])(
    'sends an error instead when items before them may be missing, and its worker has said %s',
    async said => {
      if (said === 'that it has ended') stream.succeed({ items: 1, isMoved: false });
      if (said === 'that it has failed') stream.fail(new GateError('SOME_CODE'));
      stream.settle(true, false);
      expect(await received()).toEqual(['WORKER_LOST']);
    },
  );

  it('sends nothing when the other gate has told the client that it has ended', async () => {
    stream.fail(new GateError('NODE_LOST'));
    stream.settle(false, true);
    expect(await received()).toEqual([]);
  });

  it('is cancelled when it is known not to have ended', async () => {
    stream.cancel();
    expect(sent).toHaveLength(1);
    stream.settle(true, true);
    expect(await received()).toEqual(['1', 'end']);
  });
});

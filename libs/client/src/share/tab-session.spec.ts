import { describe, expect, it } from '@jest/globals';
import { TabSession } from './tab-session.js';

interface Frame {
  readonly topic?: string;
  readonly body?: unknown;
}

/** A session with a tab that reads what it is sent. */
function opened() {
  const session = new TabSession('c1', () => now.at);
  const now = { at: 0 };
  const sent: Frame[] = [];
  const closed: number[] = [];
  const link = { send: (frame: Frame) => void sent.push(frame), close: (code: number) => void closed.push(code) };
  session.open(link, 25_000);
  const { ticket } = (sent[0]!.body as { session: { ticket: string } }).session;
  return { session, now, sent, closed, link, ticket };
}

describe('the session of a tab', () => {
  it('greets its tab with terms that a client takes', () => {
    expect(opened().sent).toEqual([
      {
        topic: '$gate/hello',
        body: { clientId: 'c1', heartbeatMs: 25_000, session: expect.objectContaining({ ticket: expect.any(String) }) },
      },
    ]);
  });

  it('sends again what the tab does not have, after a gap too', () => {
    const { session, now, sent, closed, link, ticket } = opened();
    for (const body of [1, 2, 3]) session.deliver({ topic: 'a', body });
    session.lose(1001, 'lost');
    expect(closed).toEqual([1001]);
    session.gap(5, 'overrun');
    session.gap(null, 'link');
    session.deliver({ topic: 'a', body: 9 });
    now.at = 40;
    sent.length = 0;
    expect(session.resume(link, { session: 'c1', ticket, seen: 2 })).toBe(true);
    expect(sent).toEqual([
      { topic: '$gate/resumed', body: expect.objectContaining({ from: 3, heard: 0, awayMs: 40, replay: 4 }) },
      { topic: 'a', body: 3 },
      { topic: '$gate/gap', body: { from: 4, n: 5, why: 'overrun' } },
      { topic: '$gate/gap', body: { from: 9, n: null, why: 'link' } },
      { topic: 'a', body: 9 },
    ]);
  });

  it('resumes only with its newest ticket, and closes the socket from before', () => {
    const { session, closed, link, ticket } = opened();
    expect(session.resume(link, { session: 'c2', ticket, seen: 0 })).toBe(false);
    expect(session.resume(link, { session: 'c1', ticket, seen: 'x' })).toBe(false);
    expect(session.resume(link, { session: 'c1', ticket, seen: 0 })).toBe(true);
    expect(closed).toEqual([4005]);
    expect(session.resume(link, { session: 'c1', ticket, seen: 0 })).toBe(false);
  });

  it('acknowledges frames of the tab', () => {
    const { session, sent } = opened();
    for (let n = 0; n < 130; n++) session.hear();
    expect(sent.slice(1)).toEqual([64, 128].map(body => ({ topic: '$gate/ack', body })));
  });

  it('keeps 4,096 frames and 4 MiB of pushes at most, and is over then', () => {
    const { session, link, ticket } = opened();
    for (let n = 0; n < 4_096; n++) expect(session.deliver({})).toBe(true);
    session.acknowledge(1);
    expect(session.deliver({})).toBe(true);
    expect(session.deliver({})).toBe(false);
    expect(session.resume(link, { session: 'c1', ticket, seen: 4_096 })).toBe(false);

    const large = opened().session;
    const half = 2 * 1024 * 1024;
    expect([half, half, 1].map(size => large.deliver({}, size))).toEqual([true, true, false]);
  });
});

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { DeferredSends } from './deferred-sends.js';

/** A promise that a test settles. */
function pending() {
  let resolve!: (frame: Uint8Array | undefined) => void;
  let reject!: (error: Error) => void;
  const promise = new Promise<Uint8Array | undefined>((done, fail) => {
    resolve = done;
    reject = fail;
  });
  return { promise, resolve, reject };
}

function create() {
  const sent: string[] = [];
  let emptied = 0;
  const sends = new DeferredSends(
    frame => sent.push(Buffer.from(frame).toString()),
    () => emptied++,
  );
  return { sends, sent, emptied: () => emptied };
}

const frame = (text: string): Uint8Array => Buffer.from(text);
const settled = () => new Promise<void>(resolve => setImmediate(resolve));

describe('DeferredSends', () => {
  it('sends what is ready behind what is being made, in order', async () => {
    const { sends, sent, emptied } = create();
    const first = pending();
    sends.defer(first.promise);
    sends.add(frame('b'));
    sends.add(frame('c'));
    await settled();
    expect([sent, sends.length, emptied()]).toEqual([[], 3, 0]);
    first.resolve(frame('a'));
    await settled();
    expect([sent, sends.length, emptied()]).toEqual([['a', 'b', 'c'], 0, 1]);
  });

  it('sends nothing for what turns out not to be sent, or fails', async () => {
    const { sends, sent, emptied } = create();
    const [first, second] = [pending(), pending()];
    sends.defer(first.promise);
    sends.defer(second.promise);
    sends.add(frame('c'));
    first.resolve(undefined);
    second.reject(new Error('never made'));
    await settled();
    expect([sent, sends.length, emptied()]).toEqual([['c'], 0, 1]);
  });

  it('starts again after it has been empty', async () => {
    const { sends, sent, emptied } = create();
    for (const text of ['a', 'b']) {
      sends.defer(Promise.resolve(frame(text)));
      await settled();
    }
    expect([sent, emptied()]).toEqual([['a', 'b'], 2]);
  });

  it('takes what is added while it sends', async () => {
    const sent: string[] = [];
    const sends: DeferredSends = new DeferredSends(
      data => {
        sent.push(Buffer.from(data).toString());
        if (sent.length === 1) sends.add(frame('late'));
      },
      () => undefined,
    );
    sends.defer(Promise.resolve(frame('a')));
    sends.add(frame('b'));
    await settled();
    expect([sent, sends.length]).toEqual([['a', 'b', 'late'], 0]);
  });

  it('sends nothing more of what it has been told to forget, in the middle of sending too', async () => {
    const { sends, sent } = create();
    const first = pending();
    sends.defer(first.promise);
    sends.add(frame('b'));
    expect([sends.clear(), sends.length]).toEqual([2, 0]);
    sends.defer(Promise.resolve(frame('c')));
    first.resolve(frame('a'));
    await settled();
    expect(sent).toEqual(['c']);

    const full: DeferredSends = new DeferredSends(
      () => full.clear(),
      () => undefined,
    );
    full.defer(Promise.resolve(frame('a')));
    full.add(frame('b'));
    await settled();
    expect(full.length).toBe(0);
  });

  it('keeps the order however the makings end', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('ready', 'made', 'dropped', 'failed'), { minLength: 1, maxLength: 12 }),
        fc.array(fc.nat(), { minLength: 12, maxLength: 12 }),
        async (kinds, order) => {
          const { sends, sent, emptied } = create();
          const makings = kinds.map(pending);
          kinds.forEach((kind, i) => {
            if (kind === 'ready') sends.add(frame(String(i)));
            else sends.defer((makings[i] as ReturnType<typeof pending>).promise);
          });
          const turns = [...kinds.keys()].sort((a, b) => (order[a] as number) - (order[b] as number));
          for (const i of turns) {
            const { resolve, reject } = makings[i] as ReturnType<typeof pending>;
            if (kinds[i] === 'made') resolve(frame(String(i)));
            else if (kinds[i] === 'dropped') resolve(undefined);
            else if (kinds[i] === 'failed') reject(new Error('never made'));
            await Promise.resolve();
          }
          await settled();
          if (kinds.every(kind => kind === 'ready')) return;
          expect(sends.length).toBe(0);
          expect(emptied()).toBeGreaterThan(0);
          const expected = [...kinds.keys()].filter(i => kinds[i] === 'ready' || kinds[i] === 'made').map(String);
          expect(sent).toEqual(expected);
        },
      ),
    );
  });
});

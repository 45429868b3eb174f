import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import * as ws from 'ws';
import { assertWsVersion, isBetweenFrames, isFamiliar, type Receiver, refuseLongLengths, wsFaults } from './ws.js';

describe('assertWsVersion', () => {
  it('accepts the version that is installed', () => {
    expect(() => assertWsVersion()).not.toThrow();
  });

  it.each(['8.23.0', '8.23.4', '8.30.1', '9.0.0'])('accepts %s', version => {
    expect(() => assertWsVersion(version)).not.toThrow();
  });

  it.each(['8.22.0', '8.4.9', '7.99.0', 'unreadable'])('refuses %s, naming it and what is wanted', version => {
    expect(() => assertWsVersion(version)).toThrow(`ws >= 8.23.0, and found ${version}`);
  });
});

describe('the parts of the installed ws', () => {
  /** A masked frame that says its length of 1 in 16 bits. */
  const LONG_LENGTH = Buffer.from([0x81, 0xfe, 0, 1, 0, 0, 0, 0, 0x61]);

  function create(): Receiver & { on(event: string, listener: (value: unknown) => void): void } {
    const { Receiver: Class } = ws as unknown as { Receiver: new (options: object) => never };
    return new Class({ isServer: true, maxPayload: 100 });
  }

  it('are there', () => {
    expect(wsFaults()).toEqual([]);
    expect(isFamiliar(create())).toBe(true);
  });

  it('say whether a receiver is between frames', () => {
    const receiver = create();
    expect(isBetweenFrames(receiver)).toBe(true);
    receiver.write(Buffer.from([0x81]));
    expect(isBetweenFrames(receiver)).toBe(false);
  });

  it.each([
    ['refuse a length that is not in its shortest form', true, ['error WS_ERR_INVALID_PAYLOAD_LENGTH']],
    ['take such a length otherwise', false, ['message a']],
  ])('%s', async (_what, isStrict, expected) => {
    const events: string[] = [];
    const receiver = create();
    receiver.on('error', error => events.push(`error ${String(Reflect.get(error as object, 'code'))}`));
    receiver.on('message', message => events.push(`message ${String(message)}`));
    if (isStrict) refuseLongLengths(receiver);
    receiver.write(LONG_LENGTH);
    await turn();
    expect(events).toEqual(expected);
  });

  it.each(['_state', '_bufferedBytes', '_buffers', '_fragmented', '_maxPayload', '_errored'])(
    'are missed one by one: %s',
    part => {
      const receiver = create();
      Reflect.deleteProperty(receiver, part);
      expect(isFamiliar(receiver)).toBe(false);
    },
  );
});

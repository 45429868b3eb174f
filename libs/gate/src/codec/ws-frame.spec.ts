import { describe, expect, it } from '@jest/globals';
import { PING_FRAME, writeWsHeader, WS_BINARY, WS_TEXT, wsHeaderBytes } from './ws-frame.js';

function headerOf(opcode: number, payload: number): number[] {
  const frame = Buffer.alloc(wsHeaderBytes(payload), 0xee);
  writeWsHeader(frame, opcode, payload);
  return [...frame];
}

describe('WebSocket frame headers', () => {
  it.each([
    [0, [0x81, 0]],
    [125, [0x81, 125]],
    [126, [0x81, 126, 0, 126]],
    [65_535, [0x81, 126, 0xff, 0xff]],
    [65_536, [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]],
    [2 ** 32 - 1, [0x81, 127, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]],
    [2 ** 32 + 5, [0x81, 127, 0, 0, 0, 1, 0, 0, 0, 5]],
  ])('of %d bytes', (payload, header) => {
    expect(headerOf(WS_TEXT, payload)).toEqual(header);
  });

  it('differ by opcode, are final and unmasked', () => {
    expect(headerOf(WS_BINARY, 1)).toEqual([0x82, 1]);
    expect([...PING_FRAME]).toEqual([0x89, 0]);
  });
});

import { createHash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import type { SessionTransfer } from '@nestgate/link/internal';
import { decodeSpool, encodeSpool, type Spool, SpoolError } from './spool-file.js';

const shared = Buffer.from('to all');
const session = (id: string, ...items: Spool['sessions'][number]['items']): Spool['sessions'][number] => ({
  wire: 'gate.json.2/ws',
  transfer: { snapshot: { sessionId: id } } as SessionTransfer,
  items,
});
const spool: Spool = {
  owner: 'g1',
  writtenAt: 1_000,
  sessions: [session('a', Buffer.from('1'), shared), session('b', { n: 3, why: 'overrun' }, shared), session('c')],
  ended: [{ clientId: 'd', generation: 2, confirmed: 1, key: 'a2V5', closeCode: 4002, agoMs: 5 }],
};
const encode = (of = spool, maxBytes = 10_000) => Buffer.concat(encodeSpool(of, maxBytes).parts);

function faultOf(data: Buffer, owner = 'g1'): string {
  try {
    decodeSpool(data, owner);
    return 'none';
  } catch (error) {
    return error instanceof SpoolError ? error.fault : String(error);
  }
}

describe('the file of spooled sessions', () => {
  it('gives back what was written; a frame of several sessions is there once', () => {
    const data = encode();
    const read = decodeSpool(data, 'g1');
    expect(read).toEqual(spool);
    expect(read.sessions[0]?.items[1]).toBe(read.sessions[1]?.items[1]);
    expect(data.toString('latin1').split('to all')).toHaveLength(2);
  });

  it('is torn wherever it is cut, and whatever byte of it is another one', () => {
    const data = encode();
    for (let length = 0; length < data.length; length++) expect(faultOf(data.subarray(0, length))).toBe('torn');
    for (let at = 0; at < data.length; at++) {
      const changed = Buffer.from(data);
      changed[at] = (changed[at] as number) ^ 1;
      expect(faultOf(changed)).toBe('torn');
    }
  });

  it('is refused when it is of another gate, or of another version', () => {
    expect(faultOf(encode(), 'g2')).toBe('foreign');
    const body = Buffer.from(encode().subarray(0, -32));
    body[body.indexOf('"v":1') + 4] = '2'.charCodeAt(0);
    const data = Buffer.concat([body, createHash('sha256').update(body).digest()]);
    expect(faultOf(data)).toBe('version');
  });

  it('has as many sessions as there is room for, and the frames of those alone', () => {
    const { length } = encode({ ...spool, sessions: spool.sessions.slice(0, 1) });
    const { parts, written } = encodeSpool(spool, length);
    expect(written).toBe(1);
    expect(decodeSpool(Buffer.concat(parts), 'g1')).toEqual({ ...spool, sessions: [spool.sessions[0]] });
    expect(encodeSpool(spool, length - 1).written).toBe(0);
  });
});

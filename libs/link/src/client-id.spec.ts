import { describe, expect, it } from '@jest/globals';
import { assertNodeId, clientIdPrefix, formatClientId, isNodeId, parseClientId } from './client-id.js';

describe('client ids', () => {
  it('are read as they were written', () => {
    const id = formatClientId(clientIdPrefix('gate-1', 'mwr5xdum'), 2 ** 40 + 7);
    expect(parseClientId(id)).toEqual({ gate: 'gate-1', epoch: 'mwr5xdum', serial: 2 ** 40 + 7 });
  });

  it.each(['', 'a', 'a.b', '.b.1', 'a.b.', 'a.b.C', 'a.b.1 ', 'a.b.12345678901', 'a.b.0', 'a.b.01', 5, null, {}])(
    'cannot be %j',
    id => expect(parseClientId(id)).toBeUndefined(),
  );
});

describe('node ids', () => {
  it('have no characters that a client id or a subject uses', () => {
    expect(isNodeId('Gate_1-a')).toBe(true);
    for (const id of ['', 'a.b', 'a b', 'a*', 'x'.repeat(65), 7]) expect(isNodeId(id)).toBe(false);
    expect(() => assertNodeId('a.b')).toThrow(expect.objectContaining({ code: 'BAD_ARGUMENT' }));
  });
});

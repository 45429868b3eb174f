import { describe, expect, it } from '@jest/globals';
import { CLOSE, closeCodeInfo } from './close-codes.js';
import { defaultMessage, GateError, isErrorCode } from './errors.js';

describe('GateError', () => {
  it('has the message of its code unless it is given one', () => {
    expect(new GateError('NO_ROUTE').message).toBe(defaultMessage('NO_ROUTE'));
    expect(new GateError('NO_ROUTE', 'else').toBody()).toEqual({ code: 'NO_ROUTE', message: 'else' });
    expect(new GateError('MY_OWN').message).toBe('MY_OWN');
  });

  it('carries details only when there are any', () => {
    expect(new GateError('BAD_REQUEST', 'no', ['x']).toBody()).toEqual({
      code: 'BAD_REQUEST',
      message: 'no',
      details: ['x'],
    });
  });

  it('knows its own codes, and no inherited names', () => {
    expect(isErrorCode('TIMEOUT')).toBe(true);
    expect(isErrorCode('toString')).toBe(false);
  });
});

describe('close codes', () => {
  it('are different, and found by number', () => {
    const codes = Object.values(CLOSE).map(({ code }) => code);
    expect(new Set(codes).size).toBe(codes.length);
    expect(closeCodeInfo(1012)).toBe(CLOSE.restarting);
    expect(closeCodeInfo(4999)).toBeUndefined();
  });

  it('say who should come back', () => {
    expect(CLOSE.restarting.reconnect).toBe(true);
    expect(CLOSE.replaced.reconnect).toBe(false);
  });
});

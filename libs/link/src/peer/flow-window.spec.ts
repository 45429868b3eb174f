import { describe, expect, it } from '@jest/globals';
import type { Mark, Acknowledgement } from '../wire/envelope.js';
import { FlowWindow, WINDOW_BYTES } from './flow-window.js';

const acknowledge = (mark: Mark, received = mark.messages, counted = 1): Acknowledgement => ({
  ...mark,
  count: counted,
  received,
});

describe('FlowWindow', () => {
  it('closes when as much is under way as it holds, and opens when the peer has taken some of it', () => {
    const window = new FlowWindow();
    let mark: Mark | undefined;
    for (let sent = 0; sent < WINDOW_BYTES; sent += 1_000) {
      expect(window.isOpen).toBe(true);
      if (window.note(1_000, 1)) mark ??= window.mark();
    }
    expect(window.isOpen).toBe(false);
    window.noteAcknowledgement(acknowledge(mark as Mark));
    expect(window.isOpen).toBe(true);
  });

  it('asks for a mark four times in a window', () => {
    const window = new FlowWindow();
    let marks = 0;
    for (let sent = 0; sent < WINDOW_BYTES; sent += 1_024) {
      if (!window.note(1_024, 1)) continue;
      marks++;
      window.mark();
    }
    expect(marks).toBe(4);
  });

  it('makes good a lost mark with the next one, and takes none twice', () => {
    const window = new FlowWindow();
    window.note(WINDOW_BYTES / 2, 1);
    window.mark();
    window.note(WINDOW_BYTES / 2, 1);
    const second = window.mark();
    expect(window.isOpen).toBe(false);
    window.noteAcknowledgement(acknowledge(second));
    expect(window.isOpen).toBe(true);
    window.note(WINDOW_BYTES, 1);
    window.noteAcknowledgement(acknowledge(second));
    expect(window.isOpen).toBe(false);
  });

  it('ignores answers that cannot be', () => {
    const window = new FlowWindow();
    window.note(WINDOW_BYTES, 5);
    for (const forged of [Number.MAX_VALUE, Number.NaN, -1, Number.POSITIVE_INFINITY]) {
      expect(window.noteAcknowledgement({ bytes: forged, messages: forged, count: 1, received: forged })).toBe(0);
    }
    expect(window.isOpen).toBe(false);
    expect(window.isSettled).toBe(false);
    window.reset();
    expect(window.isOpen).toBe(true);
    expect(window.lose()).toBe(5);
  });

  it('counts each message that is missing once, whatever is asked when', () => {
    const window = new FlowWindow();
    window.note(10, 10);
    const first = window.mark();
    window.note(10, 10);
    expect(window.noteAcknowledgement(acknowledge(first, 7))).toBe(3);
    expect(window.isSettled).toBe(false);
    const second = window.mark();
    // Of those after the first mark, some are there already.
    expect(window.noteAcknowledgement(acknowledge(first, 9))).toBe(0);
    expect(window.noteAcknowledgement(acknowledge(second, 15))).toBe(2);
    expect(window.isSettled).toBe(true);
    expect(window.lose()).toBe(0);
    window.note(10, 4);
    expect(window.lose()).toBe(4);
    expect(window.lose()).toBe(0);
  });

  it('goes on with a receiver that counts again from 0', () => {
    const window = new FlowWindow();
    window.note(10, 10);
    expect(window.noteAcknowledgement(acknowledge(window.mark(), 10, 1))).toBe(0);
    window.note(10, 10);
    expect(window.noteAcknowledgement(acknowledge(window.mark(), 6, 2))).toBe(4);
    window.note(10, 5);
    expect(window.noteAcknowledgement(acknowledge(window.mark(), 11, 2))).toBe(0);
    expect(window.isSettled).toBe(true);
  });
});

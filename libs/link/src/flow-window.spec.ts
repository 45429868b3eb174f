import { describe, expect, it } from '@jest/globals';
import { FlowWindow, WINDOW_BYTES } from './flow-window.js';

describe('FlowWindow', () => {
  it('closes when as much is under way as it holds, and opens when the peer has taken some of it', () => {
    const window = new FlowWindow();
    let mark = 0;
    for (let sent = 0; sent < WINDOW_BYTES; sent += 1_000) {
      expect(window.isOpen).toBe(true);
      if (window.note(1_000)) mark ||= window.mark();
    }
    expect(window.isOpen).toBe(false);
    window.noteTaken(mark);
    expect(window.isOpen).toBe(true);
  });

  it('asks for a mark four times in a window', () => {
    const window = new FlowWindow();
    let marks = 0;
    for (let sent = 0; sent < WINDOW_BYTES; sent += 1_024) {
      if (!window.note(1_024)) continue;
      marks++;
      window.mark();
    }
    expect(marks).toBe(4);
  });

  it('makes good a lost mark with the next one, and takes none twice', () => {
    const window = new FlowWindow();
    window.note(WINDOW_BYTES / 2);
    window.mark();
    window.note(WINDOW_BYTES / 2);
    const second = window.mark();
    expect(window.isOpen).toBe(false);
    window.noteTaken(second);
    expect(window.isOpen).toBe(true);
    window.note(WINDOW_BYTES);
    window.noteTaken(second);
    expect(window.isOpen).toBe(false);
  });

  it('ignores marks that it has not made', () => {
    const window = new FlowWindow();
    window.note(WINDOW_BYTES);
    for (const forged of [Number.MAX_VALUE, Number.NaN, -1, Number.POSITIVE_INFINITY]) window.noteTaken(forged);
    expect(window.isOpen).toBe(false);
    window.reset();
    expect(window.isOpen).toBe(true);
  });
});

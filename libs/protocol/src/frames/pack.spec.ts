import { describe, expect, it } from '@jest/globals';
import { BodyKind, BodySlice, JsonText, type Lease } from './pack.js';

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('JsonText', () => {
  it('has the bytes of its text, and quotes around a plain one', () => {
    expect(new JsonText('{"a":"é"}').bytes).toEqual(bytesOf('{"a":"é"}'));
    expect(new JsonText('abc', true).bytes).toEqual(bytesOf('"abc"'));
    expect(new JsonText('', true).bytes).toEqual(bytesOf('""'));
  });
});

describe('BodySlice', () => {
  const sliceOf = (lease?: Lease): BodySlice => new BodySlice(BodyKind.json, bytesOf('..[1]..'), 2, 5, lease);

  it('shows its part of the source', () => {
    expect(sliceOf().bytes).toEqual(bytesOf('[1]'));
  });

  it('is empty once it is released, whatever comes into its memory', () => {
    const lease = { views: 1 };
    const slice = sliceOf(lease);
    slice.release();
    expect(lease.views).toBe(0);
    expect(slice.bytes).toHaveLength(0);
    slice.release();
    expect(lease.views).toBe(0);
  });

  it('is not released while there is a view of it, nor without a lease', () => {
    const lease = { views: 1 };
    const viewed = sliceOf(lease);
    const { bytes } = viewed;
    viewed.release();
    expect(lease.views).toBe(1);
    expect(viewed.bytes).toBe(bytes);
    const own = sliceOf();
    own.release();
    expect(own.bytes).toEqual(bytesOf('[1]'));
  });
});

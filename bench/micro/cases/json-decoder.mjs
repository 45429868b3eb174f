/** `gate.json` frames: what a gate reads for each message of a client. */
const BODY = `"${'x'.repeat(62)}"`;
const FRAMES = 1_000;

/**
 * @param {import('../target.mjs').Target} target
 * @returns {Promise<import('../target.mjs').MicroCase[]>}
 */
export async function cases(target) {
  /** @type {typeof import('../../../libs/protocol/dist/frames/json-decoder.js')} */
  const { JsonFrameDecoder } = await target.load('libs/protocol/dist/frames/json-decoder.js');
  const decoder = new JsonFrameDecoder();
  const reading = (/** @type {string} */ name, /** @type {string} */ text) => {
    const frame = Buffer.from(text);
    return {
      name,
      operations: FRAMES,
      run: () => {
        for (let i = 0; i < FRAMES; i++) {
          if (decoder.decode(frame) !== undefined) throw new Error(`Refused: ${text}`);
        }
      },
    };
  };
  return [
    reading('64-byte body, usual order', `{"topic":"echo/echo","body":${BODY},"id":1234567}`),
    reading('64-byte body, another order', `{"id":1234567,"topic":"echo/echo","body":${BODY}}`),
    reading('object of 12 fields', `{"topic":"chat/say","body":${JSON.stringify(objectOf(12))},"id":1234567}`),
  ];
}

/** @param {number} fields */
function objectOf(fields) {
  return Object.fromEntries(Array.from({ length: fields }, (_, i) => [`field${i}`, i % 2 === 0 ? i : `text ${i}`]));
}

import { setTimeout as delay } from 'node:timers/promises';
import { FIRST_NUMBER, FrameTemplate, NUMBER_DIGITS } from './frame-template.mjs';

/** How long an answer may take, in milliseconds. */
const ANSWER_MS = 10_000;
/** How long a server may take to become ready, in milliseconds. */
const READY_MS = 15_000;
const RETRY_MS = 50;
const NUMBERS_IN_TEXT = new RegExp(`\\d{${NUMBER_DIGITS}}(?!\\d)`, 'g');

/** Asks one thing and waits for the answer: for what has to be done before load starts. */
export class Asker {
  constructor() {
    /** @private */
    this.number = FIRST_NUMBER;
    /** @private @type {Map<number, (text: string) => void>} */
    this.waiting = new Map();
  }

  /**
   * Asks until the answer is no error: workers may still be on their way.
   * @param {import('./load-client.mjs').LoadClient} client
   * @param {string} text
   */
  async askUntilReady(client, text) {
    const end = Date.now() + READY_MS;
    for (;;) {
      try {
        return await this.ask(client, text);
      } catch (error) {
        if (Date.now() > end) throw error;
        await delay(RETRY_MS);
      }
    }
  }

  /**
   * @param {import('./load-client.mjs').LoadClient} client
   * @param {string} text with the mark of a number
   * @returns {Promise<string>}
   * @throws {Error} when the answer is an error, or none comes
   */
  ask(client, text) {
    const number = this.number++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.settle(number, 'no answer'), ANSWER_MS);
      this.waiting.set(number, answer => {
        clearTimeout(timer);
        if (answer.includes('"error"') || answer === 'no answer') reject(new Error(`${text}: ${answer}`));
        else resolve(answer);
      });
      client.put(new FrameTemplate(text), number);
      client.flush();
    });
  }

  /** @param {import('./load-client.mjs').LoadClient} _client @param {Buffer} bytes @param {number} from @param {number} to */
  onFrame(_client, bytes, from, to) {
    const text = bytes.toString('latin1', from, to);
    for (const [digits] of text.matchAll(NUMBERS_IN_TEXT)) this.settle(Number(digits), text);
  }

  /** @private @param {number} number @param {string} answer */
  settle(number, answer) {
    const resolve = this.waiting.get(number);
    this.waiting.delete(number);
    resolve?.(answer);
  }
}

import { setTimeout as delay } from 'node:timers/promises';
import { FIRST_NUMBER, FrameTemplate, NUMBERS } from './frame-template.mjs';
import { isError, numbersIn } from './number-reader.mjs';

/** How long an answer may take, in milliseconds. */
const ANSWER_MS = 10_000;
/** How long a server may take to become ready, in milliseconds. */
const READY_MS = 15_000;
const RETRY_MS = 50;
const NO_ANSWER = 'no answer';

/** @typedef {import('./load-client.mjs').LoadClient} LoadClient */

/**
 * A question that has no answer yet.
 * @typedef {object} Question
 * @property {LoadClient} client
 * @property {(answer: string) => void} settle
 */

/** Asks one thing and waits for the answer: for what is done once, and not measured. */
export class Asker {
  constructor() {
    /** @private */
    this.asked = 0;
    /** @private @type {Map<number, Question>} */
    this.questions = new Map();
  }

  /**
   * Asks until the answer is no error: workers may still be on their way.
   * @param {LoadClient} client
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
   * @param {LoadClient} client
   * @param {string} text with the mark of a number
   * @returns {Promise<string>}
   * @throws {Error} when the answer is an error, or none comes
   */
  ask(client, text) {
    const number = FIRST_NUMBER + (this.asked++ % NUMBERS);
    return new Promise((resolve, reject) => {
      const settle = (/** @type {string} */ answer) => {
        clearTimeout(timer);
        this.questions.delete(number);
        if (isError(answer) || answer === NO_ANSWER) reject(new Error(`${text}: ${answer}`));
        else resolve(answer);
      };
      const timer = setTimeout(() => settle(NO_ANSWER), ANSWER_MS);
      this.questions.set(number, { client, settle });
      client.put(new FrameTemplate(text), number);
      client.flush();
    });
  }

  /** @param {LoadClient} client @param {Buffer} bytes @param {number} from @param {number} to */
  onFrame(client, bytes, from, to) {
    const text = bytes.toString('latin1', from, to);
    for (const { number } of numbersIn(text)) {
      const question = this.questions.get(number);
      if (question?.client === client) question.settle(text);
    }
  }
}

import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';

/** Stands for a language model. A real one has the same shape: tokens that take their time, and a signal that stops it. */
@Injectable()
export class LocalModel {
  async *answer(prompt: string, signal: AbortSignal): AsyncGenerator<string> {
    const words = `You asked: “${prompt}” I am only a small model, so let me count to one hundred.`.split(' ');
    const numbers = Array.from({ length: 100 }, (_, i) => `${i + 1}`);
    for (const token of [...words, ...numbers]) {
      await sleep(30, undefined, { signal });
      yield `${token} `;
    }
  }
}

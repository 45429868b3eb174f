import { Controller } from '@nestjs/common';
import type { BodyOf } from '@nestgate/contract';
import { AbortSignal, GateError, OnTopic } from '@nestgate/worker';
import { ai } from './ai.contract.js';
import { LocalModel } from './local-model.js';

@Controller()
export class AiTopics {
  constructor(private readonly model: LocalModel) {}

  /** The signal is aborted when the reader stops the answer or leaves: the model does not work for nobody. */
  @OnTopic(ai.ask)
  ask({ prompt }: BodyOf<typeof ai.ask>, @AbortSignal() signal: AbortSignal): AsyncIterable<string> {
    if (prompt.length > 2_000) throw new GateError('PROMPT_TOO_LONG', 'At most 2,000 characters');
    return this.model.answer(prompt, signal);
  }
}

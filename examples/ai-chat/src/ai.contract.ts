import { contract, stream, type } from '@nestgate/contract';

/** What the page and the server agree on. */
export const ai = contract('ai', {
  /** Streams the answer to a prompt, token by token. */
  ask: stream({ body: type<{ prompt: string }>(), item: type<string>(), errors: ['PROMPT_TOO_LONG'] }),
});

import { connect, isGateError } from '@nestgate/client';
import type { ai } from '../src/ai.contract.js';

const gate = connect<typeof ai>('/gate');
const [talk, state, form, stop] = ['#talk', '#state', 'form', '#stop'].map(selector =>
  document.querySelector(selector),
) as [HTMLElement, HTMLElement, HTMLFormElement, HTMLButtonElement];
let reading: AbortController | undefined;

gate.on('state', ({ name }) => (state.textContent = name));
stop.addEventListener('click', () => reading?.abort());
form.addEventListener('submit', event => {
  event.preventDefault();
  const prompt = new FormData(form).get('prompt') as string;
  form.reset();
  void ask(prompt);
});

/** Shows an answer while it comes. A lost connection only delays it; leaving the loop, or the signal, stops the model. */
async function ask(prompt: string): Promise<void> {
  reading?.abort();
  const { signal } = (reading = new AbortController());
  stop.disabled = false;
  add('question', prompt);
  const answer = add('answer', '');
  try {
    for await (const token of gate.stream('ai/ask', { prompt }, { signal })) answer.append(token);
  } catch (error) {
    answer.append(isGateError(error, 'ABORTED') ? '… (stopped)' : `… ${String(error)}`);
  } finally {
    stop.disabled = !signal.aborted;
  }
}

function add(className: string, text: string): HTMLElement {
  const paragraph = document.createElement('p');
  paragraph.className = className;
  paragraph.textContent = text;
  talk.append(paragraph);
  return paragraph;
}

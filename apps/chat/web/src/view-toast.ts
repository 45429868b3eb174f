import { make, pick } from './dom.js';
import { GateError, isRecord, readError } from './gate-frames.js';

const SHOWN_FOR_MS = 7_000;
const MOST_AT_ONCE = 3;

const PLAIN_WORDS: Readonly<Record<string, string>> = {
  TIMEOUT: 'The server did not answer in time.',
  RATE_LIMITED: 'That was a little too fast. Try again in a moment.',
  NO_ROUTE: 'The chat is not available right now. Try again in a moment.',
  NO_WORKER: 'The chat is not available right now. Try again in a moment.',
  WORKER_LOST: 'The chat stumbled over that. Try again.',
  INTERNAL: 'Something went wrong on the server.',
};

/** Errors, where people see them and assistive technology reads them out. */
export class ToastView {
  private readonly stack = pick('toasts', HTMLElement);

  show(error: unknown): void {
    const problem = error instanceof GateError ? error : isRecord(error) ? readError(error) : null;
    if (problem === null) this.add('ERROR', error instanceof Error ? error.message : 'Something went wrong.');
    else this.add(problem.code, this.words(problem));
  }

  private words({ code, message, details }: GateError): string {
    if (details.length > 0) return details.join(' · ');
    return PLAIN_WORDS[code] ?? message;
  }

  private add(code: string, text: string): void {
    const dismiss = make('button', { class: 'icon-button', text: '×' });
    dismiss.type = 'button';
    dismiss.setAttribute('aria-label', 'Dismiss');
    const toast = make(
      'div',
      { class: 'toast', testId: 'toast' },
      make('p', {}, make('span', { class: 'toast-text', text, typed: true }), make('code', { text: code })),
      dismiss,
    );
    toast.dataset['code'] = code;

    let timer = 0;
    const leave = (): void => toast.remove();
    const startLeaving = (): void => {
      timer = window.setTimeout(leave, SHOWN_FOR_MS);
    };
    // Whoever is reading it, by mouse or by keyboard, gets to finish.
    const stay = (): void => window.clearTimeout(timer);
    toast.addEventListener('pointerenter', stay);
    toast.addEventListener('pointerleave', startLeaving);
    toast.addEventListener('focusin', stay);
    toast.addEventListener('focusout', startLeaving);
    dismiss.addEventListener('click', leave);
    startLeaving();

    this.stack.append(toast);
    while (this.stack.childElementCount > MOST_AT_ONCE) this.stack.firstElementChild?.remove();
  }
}

import { type GateError, isGateError } from '@nestgate/client';
import { make, pick } from './dom.js';

const SHOWN_FOR_MS = 7_000;
const MOST_AT_ONCE = 3;

const PLAIN_WORDS: Readonly<Record<string, string>> = {
  OFFLINE: 'There is no connection to the server right now.',
  CONNECTION_LOST: 'The connection was lost. The server may have done what you asked for.',
  BUFFER_FULL: 'Too much waits for the server already.',
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
    if (isGateError(error)) this.add(error.code, this.words(error));
    else this.add('ERROR', error instanceof Error ? error.message : 'Something went wrong.');
  }

  private words({ code, message, details }: GateError): string {
    // What a schema says of each field that is not valid.
    if (code === 'BAD_REQUEST' && Array.isArray(details)) {
      return (details as { path?: string; message?: string }[])
        .map(issue => [issue.path, issue.message].filter(Boolean).join(': '))
        .join(' · ');
    }
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
    // The toast stays while it has the mouse or the keyboard focus.
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

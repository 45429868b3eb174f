import { act } from './api.js';
import { button, element, table } from './dom.js';

interface TapFrame {
  readonly n: number;
  readonly at: number;
  readonly way: 'in' | 'out';
  readonly kind: string;
  readonly topic?: string;
  readonly id: number;
  readonly body?: string;
  readonly isCut?: boolean;
  readonly code?: string;
  readonly clientId?: string;
}

/** What is tapped: a session, or a topic of all sessions. */
export type Tapped = { readonly clientId: string } | { readonly topic: string };

interface TapAnswer {
  readonly frames: readonly TapFrame[];
  readonly cursor: string;
  readonly skipped: number;
  readonly endsInMs: number;
  readonly isOver: boolean;
  /** Of a topic. */
  readonly tapped?: number;
  readonly clients?: number;
}

const POLL_MS = 1_000;
/** Rows that the page keeps. */
const MAX_ROWS = 200;
const HEADS = ['Time', 'Way', 'Kind', 'Topic', 'Id', 'Body'];

/** Shows what is sent and received, until the tap ends, the button is clicked or the dialog is closed. */
export function tapView(tapped: Tapped, dialog: HTMLDialogElement): HTMLElement {
  const said = element('p', { attributes: { role: 'status' } });
  const list = element('div', { attributes: { 'data-testid': 'tap' } });
  let rows: TapFrame[] = [];
  let isStopped = false;
  const [action, heads] = 'topic' in tapped ? ['tapTopic', [...HEADS, 'Client']] : ['tap', HEADS];
  const stop = button('Stop', () => (isStopped = true));
  const isShown = (): boolean => !isStopped && dialog.open && list.isConnected;

  const poll = async (cursor?: string): Promise<void> => {
    const answer = (await act(action, { ...tapped, cursor })) as TapAnswer;
    rows = [...rows, ...answer.frames].slice(-MAX_ROWS);
    list.replaceChildren(table(heads, rows.map(cellsOf), 'Nothing yet.'));
    const isOver = answer.isOver || !isShown();
    const skipped = answer.skipped > 0 ? `; ${answer.skipped} frames more were not recorded` : '';
    const { tapped: count, clients } = answer;
    const of = count === undefined ? '' : `; ${count} of ${clients} sessions`;
    said.textContent = (isOver ? 'Over' : `Ends in ${Math.ceil(answer.endsInMs / 1_000)} s`) + of + skipped;
    if (isOver) stop.remove();
    else setTimeout(() => void run(answer.cursor), POLL_MS);
  };
  const run = async (cursor?: string): Promise<void> => {
    try {
      await poll(cursor);
    } catch (error) {
      said.textContent = (error as Error).message;
      stop.remove();
    }
  };
  const root = element('section', {}, element('h3', { text: 'Frames' }), said, list, stop);
  // In the dialog by then.
  queueMicrotask(() => void run());
  return root;
}

function cellsOf({
  at,
  way,
  kind,
  topic,
  id,
  body,
  isCut,
  code,
  clientId,
}: TapFrame): readonly (string | number | undefined)[] {
  const text = code ?? body;
  return [
    new Date(at).toLocaleTimeString(),
    way,
    kind,
    topic,
    id === 0 ? undefined : id,
    isCut === true ? `${text}…` : text,
    clientId,
  ];
}

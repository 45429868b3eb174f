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
}

interface TapAnswer {
  readonly frames: readonly TapFrame[];
  readonly cursor: string;
  readonly skipped: number;
  readonly endsInMs: number;
  readonly isOver: boolean;
}

const POLL_MS = 1_000;
/** Rows that the page keeps. */
const MAX_ROWS = 200;

/** Shows what a session sends and receives, until its tap ends, the button is clicked or the dialog is closed. */
export function tapView(clientId: string, dialog: HTMLDialogElement): HTMLElement {
  const said = element('p', { attributes: { role: 'status' } });
  const list = element('div', { attributes: { 'data-testid': 'tap' } });
  let rows: TapFrame[] = [];
  let isStopped = false;
  const stop = button('Stop', () => (isStopped = true));
  const isShown = (): boolean => !isStopped && dialog.open && list.isConnected;

  const poll = async (cursor?: string): Promise<void> => {
    const answer = (await act('tap', { clientId, cursor })) as TapAnswer;
    rows = [...rows, ...answer.frames].slice(-MAX_ROWS);
    list.replaceChildren(table(['Time', 'Way', 'Kind', 'Topic', 'Id', 'Body'], rows.map(cellsOf), 'Nothing yet.'));
    const isOver = answer.isOver || !isShown();
    const skipped = answer.skipped > 0 ? `; ${answer.skipped} frames more were not recorded` : '';
    said.textContent = (isOver ? 'Over' : `Ends in ${Math.ceil(answer.endsInMs / 1_000)} s`) + skipped;
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

function cellsOf({ at, way, kind, topic, id, body, isCut, code }: TapFrame): readonly (string | number | undefined)[] {
  const text = code ?? body;
  return [
    new Date(at).toLocaleTimeString(),
    way,
    kind,
    topic,
    id === 0 ? undefined : id,
    isCut === true ? `${text}…` : text,
  ];
}

import { act, ask, type SessionDetail } from './api.js';
import { button, byId, confirmed, element, field } from './dom.js';
import { tapView } from './tap-view.js';

/** Shows one session in a dialog, with what may be done to it. */
export async function showSession(clientId: string, mayAct: boolean): Promise<void> {
  const dialog = byId<HTMLDialogElement>('detail');
  const { session } = await ask<{ session: SessionDetail | null }>('session', { id: clientId });
  const title = element('h2', { text: clientId, attributes: { id: 'detail-title' } });
  const close = button('Close', () => dialog.close());
  if (!session) {
    dialog.replaceChildren(title, element('p', { text: 'The client is not online.' }), close);
  } else {
    const said = element('p', { attributes: { role: 'status' } });
    dialog.replaceChildren(
      title,
      factsOf(session),
      ...(mayAct ? actionsOf(session, said) : []),
      said,
      element(
        'div',
        { className: 'row' },
        button('Refresh', () => showSession(clientId, mayAct)),
        close,
      ),
    );
  }
  if (!dialog.open) dialog.showModal();
}

/** Shows what all sessions send and receive on a topic, in a dialog. */
export async function showTopic(topic: string): Promise<void> {
  if (!(await confirmed(`Watch what all sessions send and receive on ${topic}, for a minute? The log will name you.`)))
    return;
  const dialog = byId<HTMLDialogElement>('detail');
  dialog.replaceChildren(
    element('h2', { text: topic, attributes: { id: 'detail-title' } }),
    tapView({ topic }, dialog),
    element(
      'div',
      { className: 'row' },
      button('Close', () => dialog.close()),
    ),
  );
  dialog.showModal();
}

function factsOf(session: SessionDetail): HTMLElement {
  const facts: Readonly<Record<string, string>> = {
    State: session.isAway ? 'away' : session.isPaused ? 'online, paused' : 'online',
    User: session.uid || '–',
    Groups: session.groups.join(', ') || '–',
    Address: `${session.ip} (${session.network})`,
    Since: new Date(session.connectedAt).toLocaleString(),
    Worker: session.worker || '–',
    Messages: `${session.received} received, ${session.sent} sent, ${session.unanswered} unanswered`,
    Queue: `${session.queuedPacks} messages, ${session.queuedBytes} bytes`,
    Settings: JSON.stringify(session.settings, undefined, 2),
  };
  return element(
    'dl',
    {},
    ...Object.entries(facts).flatMap(([term, text]) => [element('dt', { text: term }), element('dd', { text })]),
  );
}

function actionsOf({ clientId, uid }: SessionDetail, said: HTMLElement): HTMLElement[] {
  const topic = field('Topic', 'send-topic');
  const body = field('Body (JSON)', 'send-body', '{}');
  const run = async (question: string, name: string, input: () => object): Promise<void> => {
    try {
      const given = input();
      if (!(await confirmed(question))) return;
      said.textContent = `${name}: ${JSON.stringify(await act(name, given))}`;
    } catch (error) {
      said.textContent = (error as Error).message;
    }
  };
  const send = button('Send', () =>
    run('Send this message to the client?', 'send', () => ({
      clientId,
      topic: topic.input.value,
      body: JSON.parse(body.input.value) as unknown,
    })),
  );
  const kick = button('Kick', () => run(`Close ${clientId}?`, 'kick', () => ({ clientId })), 'danger');
  const revoke = button('Revoke', () => run(`Log ${uid} out on all gates?`, 'revoke', () => ({ uid })), 'danger');
  const frames = element('div');
  const tap = button('Tap', async () => {
    const question = `Watch what ${clientId} sends and receives, for a minute? The log will name you.`;
    if (await confirmed(question)) frames.replaceChildren(tapView({ clientId }, byId<HTMLDialogElement>('detail')));
  });
  return [
    element('div', { className: 'row' }, topic.root, body.root, send),
    element('div', { className: 'row' }, tap, kick, uid === '' ? undefined : revoke),
    frames,
  ];
}

import { avatar, tint } from './avatar.js';
import { type ChatState, type Room, WHISPERS } from './chat-state.js';
import { make, pick } from './dom.js';
import { continues, type Entry, type Notice, sameDay, type Said, type Whisper } from './timeline.js';

// Closer to the end than this counts as reading along.
const NEAR_END_PX = 120;

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const calendar = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });

/** What was said in the room that is open. Draws only what is new: a busy room is drawn many times a second. */
export class TimelineView {
  private readonly scroller = pick('timeline', HTMLElement);
  private readonly list = pick('messages', HTMLElement);
  private readonly pending = pick('pending', HTMLElement);
  private readonly empty = pick('timeline-empty', HTMLElement);
  private readonly jump = pick('jump', HTMLButtonElement);
  private room: Room | null = null;
  private last: Entry | undefined;
  private readonly drawn: { id: number; node: HTMLElement }[] = [];

  constructor(
    private readonly state: ChatState,
    private readonly whisperTo: (name: string) => void,
  ) {
    this.jump.addEventListener('click', () => this.scrollToEnd());
    this.scroller.addEventListener('scroll', () => {
      if (this.nearEnd()) this.jump.hidden = true;
    });
    // A growing composer or a phone's keyboard takes room from below; a view at the end stays at the end.
    let height = this.scroller.clientHeight;
    new ResizeObserver(() => {
      const shrunkBy = Math.max(0, height - this.scroller.clientHeight);
      height = this.scroller.clientHeight;
      if (this.nearEnd(shrunkBy)) this.scrollToEnd();
    }).observe(this.scroller);
  }

  render(): void {
    const room = this.state.activeRoom;
    const switched = room !== this.room;
    if (switched) this.clear(room);
    if (room === null) return;

    this.renderPending(room);
    const follow = switched || this.nearEnd();
    const lastId = this.last?.id ?? 0;
    const news = room.timeline.entries.filter(entry => entry.id > lastId);
    for (const entry of news) this.append(entry);
    this.trim(room.timeline.entries[0]?.id ?? 0);
    this.empty.hidden = room.timeline.hasMessages || room.name === WHISPERS;

    const talk = news.filter(entry => entry.kind !== 'notice');
    if (follow || talk.some(entry => entry.from === this.state.me)) this.scrollToEnd();
    else if (talk.length > 0) this.jump.hidden = false;
    // Only what comes from now on is news to a screen reader; a whole room at once is not.
    if (switched) window.setTimeout(() => this.list.setAttribute('aria-live', 'polite'));
  }

  /** What waits for a connection. While there is one, an answer comes sooner than anyone could read. */
  private renderPending({ pending }: Room): void {
    const shown = this.state.online ? [] : [...pending];
    this.pending.hidden = shown.length === 0;
    this.pending.replaceChildren(
      ...shown.map(({ text }) => make('li', { class: 'bubble', testId: 'pending', text, typed: true })),
    );
  }

  private clear(room: Room | null): void {
    this.list.setAttribute('aria-live', 'off');
    this.list.replaceChildren();
    this.drawn.length = 0;
    this.last = undefined;
    this.room = room;
    this.jump.hidden = true;
  }

  private append(entry: Entry): void {
    const node = entry.kind === 'notice' ? this.createNotice(entry) : this.createMessage(entry);
    if (this.last === undefined || !sameDay(this.last.at, entry.at)) node.dataset['day'] = dayName(entry.at);
    this.list.append(node);
    this.drawn.push({ id: entry.id, node });
    this.last = entry;
  }

  private trim(firstId: number): void {
    while (this.drawn[0] !== undefined && this.drawn[0].id < firstId) {
      this.drawn.shift()?.node.remove();
      // What used to follow its head's name and avatar now has to show its own.
      this.drawn[0]?.node.classList.remove('continued');
    }
  }

  private createNotice({ who, text, at }: Notice): HTMLElement {
    const node = make('li', { class: 'notice', testId: 'notice' });
    const line = make('p');
    if (who !== null) line.append(make('b', { text: who, typed: true }), ' ');
    line.append(text);
    node.append(line);
    node.title = clock.format(at);
    return node;
  }

  private createMessage(entry: Said | Whisper): HTMLElement {
    const mine = entry.from === this.state.me;
    const from = make('span', { class: 'from', testId: 'message-from', text: entry.from, typed: true });
    tint(from, entry.from);
    const time = make('time', { text: clock.format(entry.at) });
    time.dateTime = new Date(entry.at).toISOString();
    const meta = make('p', { class: 'meta' }, from, ...this.metaOf(entry, mine, time));
    const text = make('p', { class: 'bubble', testId: 'message-text', text: entry.text, typed: true });
    text.title = time.textContent ?? '';

    const node = make(
      'li',
      { class: 'message', testId: 'message' },
      avatar(entry.from, 'round'),
      make('div', { class: 'words' }, meta, text),
    );
    node.dataset['kind'] = entry.kind;
    node.classList.toggle('whisper', entry.kind === 'whisper');
    node.classList.toggle('mine', mine);
    node.classList.toggle('continued', continues(this.last, entry));
    return node;
  }

  private metaOf(entry: Said | Whisper, mine: boolean, time: Node): Node[] {
    if (entry.kind !== 'whisper') return [time];
    if (mine) {
      const to = make('b', { text: entry.to, typed: true });
      return [make('span', { class: 'aside' }, document.createTextNode('whispered to '), to), time];
    }
    const reply = make('button', { class: 'reply', text: 'Reply' });
    reply.type = 'button';
    reply.addEventListener('click', () => this.whisperTo(entry.from));
    return [make('span', { class: 'aside', text: 'whispered to you' }), time, reply];
  }

  private nearEnd(allowance = 0): boolean {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    return scrollHeight - scrollTop - clientHeight <= NEAR_END_PX + allowance;
  }

  private scrollToEnd(): void {
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.jump.hidden = true;
  }
}

function dayName(at: number): string {
  const today = Date.now();
  if (sameDay(at, today)) return 'Today';
  if (sameDay(at, today - 86_400_000)) return 'Yesterday';
  return calendar.format(at);
}

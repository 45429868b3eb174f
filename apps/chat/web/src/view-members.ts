import { avatar } from './avatar.js';
import type { ChatState } from './chat-state.js';
import { make, pick, setText, syncList } from './dom.js';

const MOST_LISTED = 200;

/** Who is in the room that is open; each of them one press away from a whisper. */
export class MembersView {
  private readonly list = pick('members', HTMLElement);
  private readonly more = pick('members-more', HTMLElement);
  private readonly heading = pick('members-count', HTMLElement);

  constructor(
    private readonly state: ChatState,
    private readonly whisperTo: (name: string) => void,
  ) {}

  render(): void {
    const room = this.state.activeRoom;
    const { me } = this.state;
    const everyone = room?.members ?? [];
    // The user's own entry is at the top.
    const ordered = [...everyone.filter(name => name === me), ...everyone.filter(name => name !== me)];
    const listed = ordered.slice(0, MOST_LISTED);
    const hidden = ordered.length - listed.length;
    syncList(this.list, listed, { key: name => name, create: name => this.create(name), update: () => undefined });
    this.more.hidden = hidden === 0;
    setText(this.more, `and ${hidden} more`);
    setText(this.heading, String(everyone.length));
  }

  private create(name: string): HTMLElement {
    const mine = name === this.state.me;
    const label = make('span', { class: 'member-name', text: name, typed: true });
    const hint = make('span', { class: 'hint', text: mine ? 'you' : 'whisper' });
    const row = mine
      ? make('div', { class: 'member' }, avatar(name, 'round'), label, hint)
      : this.createButton(name, label, hint);
    const node = make('li', { testId: 'member' }, row);
    node.dataset['name'] = name;
    node.title = name;
    return node;
  }

  private createButton(name: string, label: HTMLElement, hint: HTMLElement): HTMLElement {
    const button = make('button', { class: 'member' }, avatar(name, 'round'), label, hint);
    button.type = 'button';
    button.addEventListener('click', () => this.whisperTo(name));
    return button;
  }
}

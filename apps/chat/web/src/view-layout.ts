import { avatar, dressAvatar } from './avatar.js';
import { type ChatState, WHISPERS } from './chat-state.js';
import { pick, setText } from './dom.js';
import { roomTitle } from './view-rooms.js';

const FACES = 4;

export interface LayoutActions {
  activate(room: string | null): void;
  leave(room: string): Promise<void>;
  logout(): void;
}

/** The frame around it all: which pane shows on a narrow screen, the headers and the window's title. */
export class LayoutView {
  private readonly app = pick('app', HTMLElement);
  private readonly account = pick('account', HTMLElement);
  private readonly accountAvatar = pick('account-avatar', HTMLElement);
  private readonly accountName = pick('account-name', HTMLElement);
  private readonly welcome = pick('welcome', HTMLElement);
  private readonly conversation = pick('conversation', HTMLElement);
  private readonly title = pick('room-title', HTMLElement);
  private readonly subtitle = pick('room-subtitle', HTMLElement);
  private readonly faces = pick('room-faces', HTMLElement);
  private readonly leave = pick('room-leave', HTMLButtonElement);
  private readonly back = pick('back', HTMLButtonElement);
  private readonly backBadge = pick('back-badge', HTMLElement);
  private readonly membersToggle = pick('members-toggle', HTMLButtonElement);
  private readonly membersPanel = pick('members-panel', HTMLElement);

  constructor(
    private readonly state: ChatState,
    private readonly actions: LayoutActions,
  ) {
    pick('logout', HTMLButtonElement).addEventListener('click', () => this.actions.logout());
    this.back.addEventListener('click', () => this.actions.activate(null));
    this.leave.addEventListener('click', () => {
      if (this.state.active !== null) void this.actions.leave(this.state.active);
    });
    this.membersToggle.addEventListener('click', () => this.showMembers(!this.membersShown));
    pick('members-close', HTMLButtonElement).addEventListener('click', () => this.closeMembers());
    pick('scrim', HTMLElement).addEventListener('click', () => this.closeMembers());
    document.addEventListener('keydown', event => {
      if (event.key === 'Escape' && this.membersShown) this.closeMembers();
    });
  }

  /** Only matters where the list is a sheet over the conversation; on a wide screen it is always there. */
  showMembers(shown: boolean): void {
    this.app.classList.toggle('members-open', shown);
    this.membersToggle.setAttribute('aria-expanded', String(shown));
    if (shown) this.membersPanel.focus();
  }

  render(): void {
    const { me, activeRoom, unread } = this.state;
    this.app.hidden = me === null;
    this.account.hidden = me === null;
    document.title = titleOf(unread, activeRoom === null ? null : roomTitle(activeRoom.name));
    if (me === null) return;
    if (this.accountName.textContent !== me) dressAvatar(this.accountAvatar, me);
    setText(this.accountName, me);

    this.app.dataset['pane'] = activeRoom === null ? 'rooms' : 'room';
    this.welcome.hidden = activeRoom !== null;
    this.conversation.hidden = activeRoom === null;
    this.membersPanel.hidden = activeRoom === null;
    if (activeRoom === null) {
      this.showMembers(false);
      return;
    }
    const { name, members } = activeRoom;
    setText(this.title, roomTitle(name));
    setText(this.subtitle, name === WHISPERS ? 'Just between two of you' : howMany(members.length));
    this.leave.setAttribute('aria-label', name === WHISPERS ? 'Close' : `Leave ${name}`);
    this.backBadge.hidden = unread === 0;
    setText(this.backBadge, unread > 99 ? '99+' : String(unread));
    this.drawFaces(members);
  }

  private get membersShown(): boolean {
    return this.app.classList.contains('members-open');
  }

  private closeMembers(): void {
    this.showMembers(false);
    this.membersToggle.focus();
  }

  private drawFaces(members: readonly string[]): void {
    const shown = members.slice(0, FACES);
    const key = JSON.stringify(shown);
    if (this.faces.dataset['drawn'] === key) return;
    this.faces.dataset['drawn'] = key;
    this.faces.replaceChildren(...shown.map(name => avatar(name, 'round', 'small')));
  }
}

function howMany(count: number): string {
  if (count === 0) return 'Looking around…';
  return count === 1 ? 'Only you so far' : `${count} people here`;
}

function titleOf(unread: number, room: string | null): string {
  const count = unread > 0 ? `(${unread}) ` : '';
  return room === null ? `${count}nestgate chat` : `${count}${room} · nestgate chat`;
}

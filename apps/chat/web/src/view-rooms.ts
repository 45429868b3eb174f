import { avatar } from './avatar.js';
import { type ChatState, type Room, WHISPERS } from './chat-state.js';
import { focusIfKeyboard, make, pick, setText, syncList } from './dom.js';
import { NameField } from './name-field.js';

const MOST_LISTED = 200;

export interface RoomActions {
  join(room: string): Promise<void>;
  activate(room: string): void;
}

export function roomTitle(name: string): string {
  return name === WHISPERS ? 'Whispers' : name;
}

/** The rooms we are in, with what we have missed there, and the ones we could go into. */
export class RoomsView {
  private readonly input = pick('room-input', HTMLInputElement);
  private readonly button = pick('room-submit', HTMLButtonElement);
  private readonly tabs = pick('room-tabs', HTMLElement);
  private readonly noTabs = pick('room-tabs-empty', HTMLElement);
  private readonly others = pick('other-rooms', HTMLElement);
  private readonly noOthers = pick('other-rooms-empty', HTMLElement);
  private wasSignedIn = false;

  constructor(
    private readonly state: ChatState,
    private readonly actions: RoomActions,
  ) {
    const field = new NameField(pick('room-form', HTMLFormElement), this.input, room => {
      if (!this.state.online) return;
      field.clear();
      void this.actions.join(room);
    });
  }

  render(): void {
    const { joinedRooms, online, me } = this.state;
    this.button.disabled = !online;
    this.noTabs.hidden = joinedRooms.length > 0;
    syncList(this.tabs, joinedRooms, {
      key: room => room.name,
      create: room => this.createTab(room),
      update: (node, room) => this.updateTab(node, room),
    });

    const others = this.otherRooms();
    this.noOthers.hidden = others.length > 0;
    syncList(this.others, others, {
      key: ([name]) => name,
      create: ([name]) => this.createOther(name),
      update: (node, [, size]) => setText(node.querySelector('.count'), String(size)),
    });

    const signedIn = me !== null;
    if (signedIn && !this.wasSignedIn) focusIfKeyboard(this.input);
    this.wasSignedIn = signedIn;
  }

  private otherRooms(): [string, number][] {
    const { directory, rooms } = this.state;
    return [...directory]
      .filter(([name]) => name !== WHISPERS && rooms.get(name)?.joined !== true)
      .sort(([nameA, sizeA], [nameB, sizeB]) => sizeB - sizeA || nameA.localeCompare(nameB))
      .slice(0, MOST_LISTED);
  }

  private createTab({ name }: Room): HTMLElement {
    const title = roomTitle(name);
    const tab = make(
      'button',
      { class: 'room', testId: 'room-tab' },
      avatar(title, 'arch'),
      make('span', { class: 'room-name', text: title, typed: true }),
      make('span', { class: 'badge' }),
      make('span', { class: 'visually-hidden unread-words' }),
    );
    tab.type = 'button';
    tab.title = title;
    tab.dataset['room'] = name;
    tab.addEventListener('click', () => this.actions.activate(name));
    return make('li', {}, tab);
  }

  private updateTab(node: HTMLElement, room: Room): void {
    const tab = node.firstElementChild;
    const badge = node.querySelector<HTMLElement>('.badge');
    if (tab === null || badge === null) return;
    if (room.name === this.state.active) tab.setAttribute('aria-current', 'true');
    else tab.removeAttribute('aria-current');
    tab.classList.toggle('unread', room.unread > 0);
    badge.hidden = room.unread === 0;
    badge.setAttribute('aria-hidden', 'true');
    setText(badge, room.unread > 99 ? '99+' : String(room.unread));
    setText(node.querySelector('.unread-words'), room.unread === 0 ? '' : `, ${room.unread} unread`);
  }

  private createOther(name: string): HTMLElement {
    const button = make(
      'button',
      { class: 'room other', testId: 'other-room' },
      avatar(name, 'arch'),
      make('span', { class: 'room-name', text: name, typed: true }),
      make('span', { class: 'count' }),
      make('span', { class: 'visually-hidden', text: ' connected, join' }),
    );
    button.type = 'button';
    button.title = `Join ${name}`;
    button.dataset['room'] = name;
    button.addEventListener('click', () => {
      if (this.state.online) void this.actions.join(name);
    });
    return make('li', {}, button);
  }
}

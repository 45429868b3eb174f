import { type ChatState, type Room, WHISPERS } from './chat-state.js';
import { focusIfKeyboard, make, pick } from './dom.js';
import { roomTitle } from './view-rooms.js';

const EVERYONE = '';
const MOST_LISTED = 200;
// Any longer, and the prompt wraps and the empty field grows to fit it.
const LONGEST_PROMPT = 28;

interface Draft {
  text: string;
  target: string;
}

export interface ComposerActions {
  /** Resolve to false, having told the user why, when the text did not get through. */
  say(room: string, text: string): Promise<boolean>;
  whisper(to: string, text: string, room: string): Promise<boolean>;
}

/** Where one writes. Every room keeps its own draft and its own choice of whom it is for. */
export class ComposerView {
  private readonly form = pick('composer', HTMLFormElement);
  private readonly input = pick('message-input', HTMLTextAreaElement);
  private readonly target = pick('whisper-target', HTMLSelectElement);
  private readonly button = pick('message-send', HTMLButtonElement);
  private readonly drafts = new Map<string, Draft>();
  private room: Room | null = null;
  private offered = '';

  constructor(
    private readonly state: ChatState,
    private readonly actions: ComposerActions,
  ) {
    this.form.addEventListener('submit', event => {
      event.preventDefault();
      void this.submit();
    });
    this.input.addEventListener('input', () => this.fit());
    this.input.addEventListener('keydown', event => {
      // Enter also confirms a word in an input method; that one is not for us.
      if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        void this.submit();
      } else if (event.key === 'Escape' && this.target.value !== EVERYONE) {
        this.choose(EVERYONE);
      }
    });
    this.target.addEventListener('change', () => {
      this.render();
      focusIfKeyboard(this.input);
    });
  }

  whisperTo(name: string): void {
    this.choose(name);
    this.input.focus();
  }

  render(): void {
    const room = this.state.activeRoom;
    if (room !== this.room) this.switchTo(room);
    if (room === null) return;
    this.offerTargets(room, this.target.value);
    const to = this.target.value;
    this.form.classList.toggle('whispering', to !== EVERYONE);
    // Without a connection it is sent later.
    this.button.disabled = this.state.connection.name === 'ended' || (room.name === WHISPERS && to === EVERYONE);
    const prompt = to === EVERYONE ? `Message ${roomTitle(room.name)}` : `Whisper to ${to}`;
    this.input.placeholder = prompt.length > LONGEST_PROMPT ? `${prompt.slice(0, LONGEST_PROMPT)}…` : prompt;
  }

  private choose(target: string): void {
    const room = this.state.activeRoom;
    if (room === null) return;
    this.offerTargets(room, target);
    this.target.value = target;
    this.render();
  }

  private switchTo(room: Room | null): void {
    if (this.room !== null && this.state.rooms.get(this.room.name) === this.room) {
      this.drafts.set(this.room.name, { text: this.input.value, target: this.target.value });
    } else if (this.room !== null) {
      this.drafts.delete(this.room.name);
    }
    this.room = room;
    if (room === null) return;
    const draft = this.drafts.get(room.name) ?? { text: '', target: EVERYONE };
    this.offerTargets(room, draft.target);
    this.target.value = draft.target;
    this.input.value = draft.text;
    this.fit();
    focusIfKeyboard(this.input);
  }

  /**
   * The chosen one stays on offer even after leaving the room: falling back to everyone would send
   * to the whole room what was written for one pair of eyes.
   */
  private offerTargets(room: Room, chosen: string): void {
    const names = room.members.filter(name => name !== this.state.me).slice(0, MOST_LISTED);
    if (chosen !== EVERYONE && !names.includes(chosen)) names.unshift(chosen);
    const offered = JSON.stringify([room.name, names]);
    // An open list must not be rebuilt under the pointer when nothing in it has changed.
    if (offered === this.offered) return;
    this.offered = offered;
    this.target.replaceChildren(
      option(EVERYONE, room.name === WHISPERS ? 'Choose…' : 'Everyone'),
      ...names.map(name => option(name, name)),
    );
    this.target.value = chosen;
  }

  private async submit(): Promise<void> {
    const { room } = this;
    const text = this.input.value.trim();
    const to = this.target.value;
    if (room === null || text === '' || this.button.disabled) return;
    this.input.value = '';
    this.fit();
    this.input.focus();
    const sent =
      to === EVERYONE ? await this.actions.say(room.name, text) : await this.actions.whisper(to, text, room.name);
    if (!sent) this.giveBack(room, text, to);
  }

  /** What could not be sent is not lost, unless its writer is by now busy with something else. */
  private giveBack(room: Room, text: string, target: string): void {
    if (room !== this.room) {
      if ((this.drafts.get(room.name)?.text ?? '') === '') this.drafts.set(room.name, { text, target });
    } else if (this.input.value === '' && this.target.value === target) {
      this.input.value = text;
      this.fit();
    }
  }

  /** As tall as its text, up to the limit in the style sheet. */
  private fit(): void {
    this.input.style.height = 'auto';
    this.input.style.height = `${this.input.scrollHeight}px`;
  }
}

function option(value: string, text: string): HTMLOptionElement {
  const node = make('option', { text });
  node.value = value;
  return node;
}

import { dressAvatar } from './avatar.js';
import type { ChatState } from './chat-state.js';
import { focusIfKeyboard, pick, setText } from './dom.js';
import { NameField } from './name-field.js';

const REMEMBERED = 'nestgate.name';

/** The threshold: a name, and in. */
export class LoginView {
  private readonly screen = pick('login', HTMLElement);
  private readonly input = pick('name-input', HTMLInputElement);
  private readonly field: NameField;
  private readonly button = pick('name-submit', HTMLButtonElement);
  private readonly preview = pick('name-preview', HTMLElement);
  private busy = false;

  constructor(
    private readonly state: ChatState,
    private readonly login: (name: string) => Promise<void>,
  ) {
    this.input.value = recall();
    this.field = new NameField(pick('login-form', HTMLFormElement), this.input, name => void this.submit(name));
    this.drawPreview();
    this.input.addEventListener('input', () => this.drawPreview());
    focusIfKeyboard(this.input);
  }

  render(): void {
    const wasHidden = this.screen.hidden;
    this.screen.hidden = this.state.me !== null;
    this.button.disabled = this.busy || !this.state.online;
    setText(this.button, this.state.online ? 'Come in' : 'Waiting for the server…');
    if (wasHidden && !this.screen.hidden) focusIfKeyboard(this.input);
  }

  private async submit(name: string): Promise<void> {
    if (this.busy || !this.state.online) return;
    this.busy = true;
    this.render();
    await this.login(name);
    this.busy = false;
    this.render();
    if (this.state.me !== null) remember(name);
  }

  private drawPreview(): void {
    const name = this.field.draft;
    this.preview.classList.toggle('blank', name === '');
    dressAvatar(this.preview, name === '' ? '?' : name);
  }
}

// Storage may be switched off altogether; then the name is simply typed again.
function recall(): string {
  try {
    return sessionStorage.getItem(REMEMBERED) ?? '';
  } catch {
    return '';
  }
}

function remember(name: string): void {
  try {
    sessionStorage.setItem(REMEMBERED, name);
  } catch {
    // As above.
  }
}

import type { ChatState, Connection } from './chat-state.js';
import { pick, setText } from './dom.js';

const TICK_MS = 250;
// The first attempts come within a second or two; only a lasting outage is worth a whole line of the page.
const BANNER_FROM_ATTEMPT = 3;

/** The pill that says how the connection is, and the banner that says what can be done about it. */
export class ConnectionView {
  private readonly pill = pick('connection', HTMLElement);
  private readonly label = pick('connection-label', HTMLElement);
  private readonly queued = pick('connection-queued', HTMLElement);
  private readonly countdown = pick('connection-countdown', HTMLElement);
  private readonly banner = pick('banner', HTMLElement);
  private readonly bannerText = pick('banner-text', HTMLElement);
  private readonly button = pick('banner-button', HTMLButtonElement);
  private ticker = 0;

  constructor(
    private readonly state: ChatState,
    connectNow: () => void,
  ) {
    this.button.addEventListener('click', connectNow);
  }

  render(): void {
    const { connection } = this.state;
    const shown = stateOf(connection);
    this.pill.dataset['state'] = shown;
    setText(this.label, connection.name === 'restoring' ? 'Signing in again' : LABELS[shown]);
    setText(this.queued, this.state.queued === 0 ? '' : `${this.state.queued} to send`);
    this.renderBanner(connection);
    window.clearInterval(this.ticker);
    this.tick();
    if (waitsUntil(connection) !== null) this.ticker = window.setInterval(() => this.tick(), TICK_MS);
  }

  private tick(): void {
    const retryAt = waitsUntil(this.state.connection);
    // Apart from the label on purpose: the label is a live region, and nobody wants the seconds read out.
    setText(this.countdown, retryAt === null ? '' : `in ${Math.max(1, Math.ceil((retryAt - Date.now()) / 1000))} s`);
  }

  private renderBanner(connection: Connection): void {
    if (connection.name === 'ended') {
      setText(this.bannerText, explainClose(connection.code, connection.reason));
      setText(this.button, 'Reconnect');
      this.banner.hidden = false;
    } else if ('attempt' in connection && connection.attempt >= BANNER_FROM_ATTEMPT) {
      setText(this.bannerText, 'The server cannot be reached. You will be back in your rooms as soon as it can.');
      setText(this.button, 'Try now');
      this.banner.hidden = false;
    } else {
      this.banner.hidden = true;
    }
  }
}

function waitsUntil(connection: Connection): number | null {
  return connection.name === 'waiting' ? connection.retryAt : null;
}

type Shown = 'connecting' | 'online' | 'reconnecting' | 'offline';

const LABELS: Readonly<Record<Shown, string>> = {
  connecting: 'Connecting',
  online: 'Online',
  reconnecting: 'Reconnecting',
  offline: 'Offline',
};

function stateOf(connection: Connection): Shown {
  switch (connection.name) {
    case 'online':
      return 'online';
    case 'ended':
      return 'offline';
    case 'idle':
      return 'connecting';
    case 'connecting':
    case 'greeting':
      return connection.attempt === 0 ? 'connecting' : 'reconnecting';
    default:
      return 'reconnecting';
  }
}

/** One sentence for a person who is looking at a page that has stopped. */
function explainClose(code: number, reason: string): string {
  const why = reason === '' ? '' : ` (${reason})`;
  switch (code) {
    case 4001:
      return 'You signed in under this name somewhere else, so this page was disconnected.';
    case 4002:
      return `The application closed this connection${why}.`;
    case 4004:
      return 'This session goes on in another window.';
    case 1008:
      return `The server refused to keep this connection open${why}.`;
    default:
      return `The connection was closed${why}.`;
  }
}

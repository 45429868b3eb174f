import type { ChatState, Connection } from './chat-state.js';
import { pick, setText } from './dom.js';
import { explainClose } from './reconnect-policy.js';

const TICK_MS = 250;
// The first attempts come within a second or two; only a lasting outage is worth a whole line of the page.
const BANNER_FROM_ATTEMPT = 3;

/** The pill that says how the connection is, and the banner that says what can be done about it. */
export class ConnectionView {
  private readonly pill = pick('connection', HTMLElement);
  private readonly label = pick('connection-label', HTMLElement);
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
    this.pill.dataset['state'] = connection.kind === 'restoring' ? 'reconnecting' : connection.kind;
    setText(this.label, labelOf(connection));
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
    if (connection.kind === 'offline') {
      setText(this.bannerText, explainClose(connection.code, connection.reason));
      setText(this.button, 'Reconnect');
      this.banner.hidden = false;
    } else if (connection.kind === 'reconnecting' && connection.attempt >= BANNER_FROM_ATTEMPT) {
      setText(this.bannerText, 'The server cannot be reached. You will be back in your rooms as soon as it can.');
      setText(this.button, 'Try now');
      this.banner.hidden = false;
    } else {
      this.banner.hidden = true;
    }
  }
}

function waitsUntil(connection: Connection): number | null {
  return connection.kind === 'reconnecting' ? connection.retryAt : null;
}

function labelOf(connection: Connection): string {
  switch (connection.kind) {
    case 'connecting':
      return 'Connecting';
    case 'online':
      return 'Online';
    case 'reconnecting':
      return 'Reconnecting';
    case 'restoring':
      return 'Signing in again';
    case 'offline':
      return 'Offline';
  }
}

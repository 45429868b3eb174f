import { ChatApi, type ChatPush, readPush } from './chat-api.js';
import { type ChatState, type Room, WHISPERS } from './chat-state.js';
import { GateClient, type LinkState } from './gate-client.js';
import { GateError } from './gate-frames.js';
import { retryDelay } from './reconnect-policy.js';

const POLL_EVERY_MS = 3_000;

/** What a person can do here, and what keeps the state true while they do it. */
export class ChatSession {
  private readonly gate: GateClient;
  private readonly api: ChatApi;
  /** What we signed in as; the server's uid for it is in the state. */
  private name = '';
  private restoration = 0;
  private polling = false;

  constructor(
    url: string,
    private readonly state: ChatState,
    private readonly complain: (error: unknown) => void,
  ) {
    this.gate = new GateClient(url, {
      onState: link => this.linkChanged(link),
      onPush: (topic, body) => this.received(topic, body),
    });
    this.api = new ChatApi(this.gate);
  }

  start(): void {
    this.gate.connect();
    window.setInterval(() => void this.poll(), POLL_EVERY_MS);
    // navigator.onLine is no reason not to try (a gate on this machine needs no network); this is one to try now.
    window.addEventListener('online', () => this.gate.nudge());
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState !== 'visible') return;
      this.state.activate(this.state.active);
      this.gate.nudge();
      void this.poll();
    });
  }

  connectNow(): void {
    this.gate.connect();
  }

  async login(name: string): Promise<void> {
    const uid = await this.api.login(name);
    this.name = name;
    this.state.me = uid;
    this.state.changed();
    await this.poll();
  }

  /** The wire has no logout; a new connection belongs to nobody yet. */
  logout(): void {
    this.state.reset();
    this.gate.connect();
  }

  async join(name: string): Promise<void> {
    const room = this.state.openRoom(name);
    if (!room.joined) {
      try {
        await this.api.join(name);
      } catch (error) {
        this.state.closeRoom(name);
        throw error;
      }
      room.joined = true;
    }
    this.activate(name);
    await this.poll();
  }

  async leave(name: string): Promise<void> {
    // Without a connection there is nothing to leave; not coming back is enough.
    if (name !== WHISPERS && this.state.online) await this.api.leave(name);
    this.state.closeRoom(name);
    await this.poll();
  }

  activate(name: string | null): void {
    this.state.activate(name);
    const room = this.state.activeRoom;
    if (room !== null) void this.refreshMembers(room);
  }

  async say(room: string, text: string): Promise<void> {
    await this.api.say(room, text);
  }

  /** The server does not echo a whisper to its sender, so our own copy goes into the room it was written in. */
  async whisper(to: string, text: string, place: string): Promise<void> {
    const delivered = await this.api.whisper(to, text);
    if (delivered === 0) throw new GateError('NOT_DELIVERED', `${to} is not connected, so nobody got your whisper.`);
    const room = this.state.rooms.get(place);
    const from = this.state.me;
    if (room !== undefined && from !== null) {
      this.state.post(room, { kind: 'whisper', from, to, text, at: Date.now() });
    }
  }

  private linkChanged(link: LinkState): void {
    this.restoration += 1;
    if (link.kind === 'online' && this.state.me !== null) {
      this.state.setConnection({ kind: 'restoring' });
      void this.restore(this.restoration);
    } else {
      this.state.setConnection(link);
    }
  }

  /** The server knows nothing of the connection we had before: sign in again, and go back into every room. */
  private async restore(restoration: number): Promise<void> {
    for (let attempt = 0; restoration === this.restoration; attempt += 1) {
      try {
        await this.api.login(this.name);
        for (const room of this.state.joinedRooms) await this.rejoin(room);
        if (restoration !== this.restoration) return;
        this.restored();
        await this.poll();
        return;
      } catch (error) {
        // The link has changed meanwhile: whoever brings it back restores it.
        if (restoration !== this.restoration) return;
        if (!(error instanceof GateError && error.transient)) {
          this.complain(error);
          this.state.reset();
          this.state.setConnection({ kind: 'online' });
          return;
        }
        await new Promise(resolve => window.setTimeout(resolve, retryDelay(attempt)));
      }
    }
  }

  private async rejoin(room: Room): Promise<void> {
    if (room.name === WHISPERS) return;
    try {
      await this.api.join(room.name);
      room.membersAt = 0;
    } catch (error) {
      if (!(error instanceof GateError) || error.transient || !this.gate.online) throw error;
      this.complain(error);
      this.state.closeRoom(room.name);
    }
  }

  private restored(): void {
    for (const room of this.state.joinedRooms) {
      this.state.notice(room, null, 'Connected again. Messages sent in between are not shown.');
    }
    this.state.setConnection({ kind: 'online' });
  }

  private received(topic: string, body: unknown): void {
    if (topic === '$gate/error') {
      this.complain(body);
      return;
    }
    const push = readPush(topic, body);
    if (push === null) return;
    if (push.kind === 'whispered') this.whispered(push);
    else this.happened(push);
  }

  private happened(push: Exclude<ChatPush, { kind: 'whispered' }>): void {
    const room = this.state.rooms.get(push.room);
    if (room === undefined) return;
    if (push.kind === 'said') {
      this.state.post(room, push);
      return;
    }
    if (this.state.memberJoined(room, push.name) && push.name !== this.state.me) {
      this.state.notice(room, push.name, 'joined');
    }
    if (room.name === this.state.active) void this.refreshMembers(room);
  }

  /** A whisper belongs to no room: show it where its reader is, or else where they would expect the sender. */
  private whispered({ from, text }: Extract<ChatPush, { kind: 'whispered' }>): void {
    const { me, joinedRooms } = this.state;
    if (me === null) return;
    let room = this.state.activeRoom ?? joinedRooms.find(({ members }) => members.includes(from));
    if (room === undefined) {
      room = this.state.openRoom(WHISPERS);
      room.joined = true;
    }
    if (room.name === WHISPERS) this.state.memberJoined(room, from);
    this.state.post(room, { kind: 'whisper', from, to: me, text, at: Date.now() });
  }

  private async poll(): Promise<void> {
    const { me, online, activeRoom } = this.state;
    if (this.polling || me === null || !online || document.visibilityState !== 'visible') return;
    this.polling = true;
    try {
      if (activeRoom !== null) await this.refreshMembers(activeRoom);
      this.state.directory = await this.api.rooms();
      this.state.changed();
    } catch {
      // Nobody asked for this, so nobody needs to hear that it failed; the next round is seconds away.
    } finally {
      this.polling = false;
    }
  }

  private async refreshMembers(room: Room): Promise<void> {
    if (room.name === WHISPERS || !this.state.online) return;
    const asOf = room.joinsSeen;
    try {
      const names = await this.api.who(room.name);
      if (room.joinsSeen === asOf) this.state.setMembers(room, names);
    } catch {
      // As above: the list is refreshed again shortly.
    }
  }
}

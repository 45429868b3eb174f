import { connect, type GapEvent, type GateClient, GateError, isGateError } from '@nestgate/client';
import type { chat } from '@nestgate-app/handlers/chat.contract';
import { type ChatState, type Room, WHISPERS } from './chat-state.js';

const POLL_EVERY_MS = 3_000;
/** How long a message may wait for a connection. */
const SEND_WITHIN_MS = 120_000;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 5_000;
/** With these the same request may succeed a moment later: a gate that has just started does not know its workers yet. */
const TRANSIENT_CODES = new Set([
  'NO_ROUTE',
  'NO_WORKER',
  'WORKER_LOST',
  'TIMEOUT',
  'RATE_LIMITED',
  'STORAGE_UNAVAILABLE',
]);

/** What a person can do here, and what keeps the state true while they do it. */
export class ChatSession {
  private readonly gate: GateClient<typeof chat>;
  /** What we signed in as; the server's uid for it is in the state. */
  private name = '';
  private restoration = 0;
  private polling = false;

  constructor(
    url: string,
    private readonly state: ChatState,
    private readonly complain: (error: unknown) => void,
  ) {
    this.gate = connect<typeof chat>(url, {
      autoConnect: false,
      // Messages that are queued are sent after it: the server knows by then who sends them.
      load: reason => (reason === 'session' ? this.restore() : this.poll()),
    });
    this.gate.on('state', link => this.state.setConnection(link));
    this.gate.on('gap', gap => this.missed(gap));
    this.gate.on('error', error => this.complain(error));
    this.gate.on('chat/said', said => {
      const room = this.state.rooms.get(said.room);
      if (room !== undefined) this.state.post(room, { ...said, kind: 'said' });
    });
    this.gate.on('chat/joined', ({ room, name }) => this.joined(room, name));
    this.gate.on('chat/whispered', ({ from, text }) => this.whispered(from, text));
  }

  start(): void {
    this.gate.connect();
    window.setInterval(() => void this.poll(), POLL_EVERY_MS);
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState !== 'visible') return;
      this.state.activate(this.state.active);
      void this.poll();
    });
  }

  connectNow(): void {
    if (this.gate.state.name === 'waiting') this.gate.wake();
    else this.gate.connect();
  }

  async login(name: string): Promise<void> {
    const { uid } = await this.gate.request('chat/login', { name });
    this.name = name;
    this.state.me = uid;
    this.state.changed();
    await this.poll();
  }

  /** The wire has no logout; a new session belongs to nobody yet. */
  logout(): void {
    this.restoration += 1;
    this.gate.close();
    this.state.reset();
    this.gate.connect();
  }

  async join(name: string): Promise<void> {
    const room = this.state.openRoom(name);
    if (!room.joined) {
      try {
        await this.gate.request('chat/join', { room: name });
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
    if (name !== WHISPERS) await this.gate.request('chat/leave', { room: name }, { timeoutMs: SEND_WITHIN_MS });
    this.state.closeRoom(name);
    await this.poll();
  }

  activate(name: string | null): void {
    this.state.activate(name);
    const room = this.state.activeRoom;
    if (room !== null) void this.refreshMembers(room);
  }

  async say(room: string, text: string): Promise<void> {
    await this.pending(room, text, this.gate.request('chat/say', { room, text }, { timeoutMs: SEND_WITHIN_MS }));
  }

  /** The server does not echo a whisper to its sender, so our own copy goes into the room it was written in. */
  async whisper(to: string, text: string, place: string): Promise<void> {
    const request = this.gate.request('chat/whisper', { to, text }, { timeoutMs: SEND_WITHIN_MS });
    const { delivered } = await this.pending(place, text, request);
    if (delivered === 0) throw new GateError('NOT_DELIVERED', `${to} is not connected, so nobody got your whisper.`);
    const room = this.state.rooms.get(place);
    const from = this.state.me;
    if (room !== undefined && from !== null) {
      this.state.post(room, { kind: 'whisper', from, to, text, at: Date.now() });
    }
  }

  /** Shows a message as pending until it is answered. */
  private async pending<T>(place: string, text: string, request: Promise<T>): Promise<T> {
    const message = { text };
    const room = this.state.rooms.get(place);
    room?.pending.add(message);
    this.state.changed();
    try {
      return await request;
    } finally {
      room?.pending.delete(message);
      this.state.changed();
    }
  }

  /** The server knows nothing of the session we had before: sign in again, and go back into every room. */
  private async restore(): Promise<void> {
    if (this.state.me === null) return;
    const restoration = ++this.restoration;
    this.state.setConnection({ name: 'restoring' });
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
      try {
        await this.gate.request('chat/login', { name: this.name });
        for (const room of this.state.joinedRooms) await this.rejoin(room);
        break;
      } catch (error) {
        // Another session follows, which is restored by a call of its own.
        if (restoration !== this.restoration || isLost(error)) return;
        if (!isTransient(error)) {
          this.complain(error);
          this.state.reset();
          break;
        }
        await new Promise(resolve => window.setTimeout(resolve, pauseMs));
      }
    }
    if (restoration !== this.restoration) return;
    this.state.setConnection(this.gate.state);
    void this.poll();
  }

  private async rejoin(room: Room): Promise<void> {
    if (room.name === WHISPERS) return;
    try {
      await this.gate.request('chat/join', { room: room.name });
      room.membersAt = 0;
    } catch (error) {
      if (isTransient(error) || isLost(error)) throw error;
      this.complain(error);
      this.state.closeRoom(room.name);
    }
  }

  private missed({ n }: GapEvent): void {
    const what = n === 1 ? 'A message is missing' : `${n} messages are missing`;
    for (const room of this.state.joinedRooms) {
      const text =
        n === null ? 'Connected again. Messages sent in between are not shown.' : `${what} here or elsewhere.`;
      this.state.notice(room, null, text);
    }
  }

  private joined(name: string, who: string): void {
    const room = this.state.rooms.get(name);
    if (room === undefined) return;
    if (this.state.memberJoined(room, who) && who !== this.state.me) this.state.notice(room, who, 'joined');
    if (room.name === this.state.active) void this.refreshMembers(room);
  }

  /** A whisper belongs to no room: show it where its reader is, or else where they would expect the sender. */
  private whispered(from: string, text: string): void {
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
      const { rooms } = await this.gate.request('chat/rooms', undefined, { whenOffline: 'fail' });
      this.state.directory = new Map(Object.entries(rooms));
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
      const { uids } = await this.gate.request('chat/who', { room: room.name }, { whenOffline: 'fail' });
      // One person may be there through several connections, and is still one person.
      if (room.joinsSeen === asOf) this.state.setMembers(room, [...new Set(uids)]);
    } catch {
      // As above: the list is refreshed again shortly.
    }
  }
}

function isTransient(error: unknown): boolean {
  return isGateError(error) && TRANSIENT_CODES.has(error.code);
}

/** The session has ended, or the client has. */
function isLost(error: unknown): boolean {
  return isGateError(error, 'CONNECTION_LOST') || isGateError(error, 'OFFLINE');
}

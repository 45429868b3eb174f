import type { GateClient } from './gate-client.js';
import { GateError, isRecord } from './gate-frames.js';

export type ChatPush =
  | { kind: 'said'; room: string; from: string; text: string; at: number }
  | { kind: 'joined'; room: string; name: string }
  | { kind: 'whispered'; from: string; text: string };

/** The chat's topics as functions; nothing a server sends gets past here unchecked. */
export class ChatApi {
  constructor(private readonly gate: GateClient) {}

  async login(name: string): Promise<string> {
    const reply = await this.ask('chat/login', { name });
    return text(reply, 'uid') ?? name;
  }

  async join(room: string): Promise<void> {
    await this.ask('chat/join', { room });
  }

  async leave(room: string): Promise<void> {
    await this.ask('chat/leave', { room });
  }

  async say(room: string, message: string): Promise<void> {
    await this.ask('chat/say', { room, text: message });
  }

  /** Resolves to how many connections of that person got it. */
  async whisper(to: string, message: string): Promise<number> {
    const reply = await this.ask('chat/whisper', { to, text: message });
    return count(reply['delivered']);
  }

  async rooms(): Promise<Map<string, number>> {
    const { rooms } = await this.ask('chat/rooms');
    if (!isRecord(rooms)) throw unexpected('chat/rooms');
    return new Map(Object.entries(rooms).map(([name, size]) => [name, count(size)]));
  }

  /** One person may be there through several connections, and is still one person. */
  async who(room: string): Promise<string[]> {
    const { uids } = await this.ask('chat/who', { room });
    if (!Array.isArray(uids)) throw unexpected('chat/who');
    return [...new Set(uids.filter((uid): uid is string => typeof uid === 'string'))];
  }

  private async ask(topic: string, body?: unknown): Promise<Record<string, unknown>> {
    const reply = await this.gate.request(topic, body);
    if (!isRecord(reply)) throw unexpected(topic);
    return reply;
  }
}

export function readPush(topic: string, body: unknown): ChatPush | null {
  if (!isRecord(body)) return null;
  const room = text(body, 'room');
  const from = text(body, 'from');
  const message = text(body, 'text');
  if (topic === 'chat/said' && room !== null && from !== null && message !== null) {
    const at = body['at'];
    return { kind: 'said', room, from, text: message, at: isMoment(at) ? at : Date.now() };
  }
  const name = text(body, 'name');
  if (topic === 'chat/joined' && room !== null && name !== null) return { kind: 'joined', room, name };
  if (topic === 'chat/whispered' && from !== null && message !== null) {
    return { kind: 'whispered', from, text: message };
  }
  return null;
}

function text(body: Record<string, unknown>, key: string): string | null {
  const value = body[key];
  return typeof value === 'string' ? value : null;
}

function count(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : 0;
}

// Beyond this a Date is invalid, and formatting it would throw.
function isMoment(value: unknown): value is number {
  return typeof value === 'number' && Math.abs(value) <= 8.64e15;
}

function unexpected(topic: string): GateError {
  return new GateError('BAD_REPLY', `The server's answer to ${topic} makes no sense.`);
}

import { Controller } from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import { type DisconnectReason, HandshakeHandler, HandshakeRequest, type HandshakeResult } from '@nestgate/gate';
import { OnTopic, type Session } from '@nestgate/worker';
import { WebSocket } from 'ws';

/** What a learner has seen of one client, when it went. */
export interface Departure {
  readonly clientId: string;
  readonly userId: string;
  readonly settings: Record<string, unknown>;
  readonly userData: unknown;
  readonly reason: DisconnectReason;
}

/** A `SessionLearner` that notes what it sees, and does first what a test wants it to. */
export class NotingLearner {
  readonly arrived: Session[] = [];
  readonly departed: Departure[] = [];
  greet: (session: Session) => void | Promise<void> = () => undefined;
  bye: () => void | Promise<void> = () => undefined;

  async onConnect(session: Session): Promise<void> {
    this.arrived.push(session);
    await this.greet(session);
  }

  onDisconnect(session: Session, reason: DisconnectReason): void | Promise<void> {
    const { clientId, userId, userData } = session;
    this.departed.push({ clientId, userId, settings: session.cloneSettings(), userData, reason });
    return this.bye();
  }

  departureOf(clientId: string): Departure | undefined {
    return this.departed.find(departure => departure.clientId === clientId);
  }
}

/** A `HandshakeHandler` that does what a test wants it to. */
export class ScriptedHandshake extends HandshakeHandler {
  script: (request: HandshakeRequest) => HandshakeResult | void | Promise<HandshakeResult | void> = () => undefined;

  override handshake(request: HandshakeRequest): HandshakeResult | void | Promise<HandshakeResult | void> {
    return this.script(request);
  }
}

/** Connects, and resolves with the code that the connection is closed with, or the status that it is refused with. */
export function endOf(url: string): Promise<number> {
  const socket = new WebSocket(url);
  socket.on('error', () => undefined);
  return new Promise(resolve => {
    socket.on('close', resolve);
    socket.on('unexpected-response', (request, response) => {
      resolve(response.statusCode ?? 0);
      request.destroy();
    });
  });
}

/** Notes every frame that reaches a handler. */
@Controller()
export class NotedTopics {
  static readonly seen: unknown[] = [];

  @OnTopic('noted/frame')
  frame(@Payload() body: unknown): unknown {
    NotedTopics.seen.push(body);
    return body;
  }
}

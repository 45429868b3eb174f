import { type CanActivate, Controller, Injectable, UnauthorizedException, UseGuards } from '@nestjs/common';
import { Ctx, Payload } from '@nestjs/microservices';
import { type ClosedWith, testNetworkOptions, waitUntil } from '@nestgate/testing';
import { GatewayApi, OnTopic, TopicContext } from '@nestgate/worker';
import { WebSocket } from 'ws';

/** A client that keeps the text of every frame as it came, the hello included. */
export class RawClient {
  readonly texts: string[] = [];
  readonly closed: Promise<ClosedWith>;
  private read = 0;

  private constructor(readonly socket: WebSocket) {
    socket.on('message', (data, isBinary) =>
      this.texts.push(isBinary ? '<binary>' : (data as Buffer).toString('utf8')),
    );
    socket.on('error', () => undefined);
    this.closed = new Promise(resolve => {
      socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() }));
    });
  }

  /** Connects, and skips the hello unless told otherwise. */
  static async connect(url: string, protocols: readonly string[] = []): Promise<RawClient> {
    const options = await testNetworkOptions(url, { perMessageDeflate: false });
    const client = new RawClient(new WebSocket(url, [...protocols], options));
    await new Promise<void>((resolve, reject) => {
      client.socket.on('open', resolve);
      client.socket.on('error', reject);
    });
    await client.next();
    return client;
  }

  get hello(): string {
    return this.texts[0] as string;
  }

  /** The next frame that has not been read yet. */
  async next(): Promise<string> {
    const index = this.read++;
    return waitUntil(`frame ${index + 1}`, () => this.texts[index]);
  }

  /** Sends text, and resolves with the next frame. */
  async exchange(text: string): Promise<string> {
    this.socket.send(text);
    return this.next();
  }

  /** Ends once it has seen that nothing unread is on its way. */
  async expectNothingMore(): Promise<void> {
    const answer = await this.exchange('{"topic":"$gate/ping"}');
    if (answer !== '{"topic":"$gate/pong"}') throw new Error(`Came without being asked for: ${answer}`);
  }

  close(): void {
    this.socket.terminate();
  }
}

@Injectable()
export class NobodyGuard implements CanActivate {
  canActivate(): boolean {
    return false;
  }
}

/** Topics that fail in ways the example topics do not, and one that pushes bytes. */
@Controller()
export class FaultTopics {
  constructor(private readonly gateway: GatewayApi) {}

  @UseGuards(NobodyGuard)
  @OnTopic('fault/forbidden')
  forbidden(): string {
    return 'never';
  }

  @OnTopic('fault/unauthorized')
  unauthorized(): never {
    throw new UnauthorizedException('Log in first');
  }

  /** Uses a client that may be gone. */
  @OnTopic('fault/session')
  async session(@Payload() clientId: string): Promise<string> {
    await this.gateway.joinGroup(clientId, 'anywhere');
    return 'joined';
  }

  @OnTopic('fault/bytes')
  async bytes(@Ctx() context: TopicContext): Promise<Buffer> {
    const bytes = Buffer.from([0, 1, 127, 128, 254, 255]);
    await this.gateway.sendToClient(context.clientId, 'fault/pushed', bytes);
    return bytes;
  }

  @OnTopic('fault/nothing')
  async nothing(@Ctx() context: TopicContext): Promise<void> {
    await this.gateway.sendToClient(context.clientId, 'fault/pushed');
  }
}

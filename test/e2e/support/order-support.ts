import { Controller } from '@nestjs/common';
import { Ctx, Payload } from '@nestjs/microservices';
import { waitUntil } from '@nestgate/testing';
import { ClientSession, GatewayApi, OnTopic, Session, TopicContext } from '@nestgate/worker';

/** What handlers have done, in order, and the gates at which they wait to be let on. */
export class Journal {
  readonly entries: string[] = [];
  running = 0;
  mostRunning = 0;
  private readonly gates = new Map<string, () => void>();
  private isOpen = false;

  /** Runs a handler's body between two entries. */
  async during<T>(name: string, work: () => T | Promise<T>): Promise<T> {
    this.entries.push(`start ${name}`);
    this.mostRunning = Math.max(this.mostRunning, ++this.running);
    try {
      return await work();
    } finally {
      this.running--;
      this.entries.push(`end ${name}`);
    }
  }

  /** Waits until {@link release} is called with this name. */
  held(name: string): Promise<void> {
    if (this.isOpen) return Promise.resolve();
    return new Promise(resolve => this.gates.set(name, resolve));
  }

  /** Lets the handler that waits under this name go on, once it is there. */
  async release(name: string): Promise<void> {
    const go = await waitUntil(`a handler to wait at ${name}`, () => this.gates.get(name));
    this.gates.delete(name);
    go();
  }

  /** Lets all go on that wait, and those that come later. */
  open(): void {
    this.isOpen = true;
    for (const go of this.gates.values()) go();
    this.gates.clear();
  }

  started(name: string): Promise<true> {
    return waitUntil(`${name} to start`, () => this.entries.includes(`start ${name}`) || undefined);
  }
}

/** Topics whose handlers take their time. */
@Controller()
export class OrderTopics {
  constructor(
    private readonly journal: Journal,
    private readonly gateway: GatewayApi,
  ) {}

  /** The later ones are quicker, so that they would overtake if they could. */
  @OnTopic('order/step')
  step(@Payload() { n, turns }: { n: number; turns: number }): Promise<number> {
    return this.journal.during(String(n), async () => {
      for (let turn = 0; turn < turns; turn++) await new Promise(resolve => setImmediate(resolve));
      return n;
    });
  }

  @OnTopic('order/sync')
  sync(@Payload() { n }: { n: number }): number {
    this.journal.entries.push(`start ${n}`, `end ${n}`);
    return n;
  }

  /** The same in another module. */
  @OnTopic('other/step')
  other(@Payload() body: { n: number; turns: number }): Promise<number> {
    return this.step(body);
  }

  @OnTopic('order/hold')
  hold(@Payload() name: string): Promise<string> {
    return this.journal.during(name, async () => {
      await this.journal.held(name);
      return name;
    });
  }

  @OnTopic('order/free', { concurrent: true })
  free(@Payload() name: string): Promise<string> {
    return this.hold(name);
  }

  /** Pushes in five ways, then replies. */
  @OnTopic('order/pushes')
  async pushes(@Ctx() { clientId }: TopicContext, @ClientSession() session: Session): Promise<string> {
    await this.gateway.sendToClient(clientId, 'order/push', 1);
    await this.gateway.sendToGroup('order', 'order/push', 2);
    await this.gateway.sendToClient(clientId, 'order/push', 3);
    await this.gateway.sendToUid(session.userId, 'order/push', 4);
    await this.gateway.sendToAll('order/push', 5);
    return 'reply';
  }

  /** The same without waiting for anything. */
  @OnTopic('order/hasty')
  hasty(@Ctx() { clientId }: TopicContext, @ClientSession() session: Session): string {
    void this.gateway.sendToClient(clientId, 'order/push', 1);
    void this.gateway.sendToGroup('order', 'order/push', 2);
    void this.gateway.sendToClient(clientId, 'order/push', 3);
    void this.gateway.sendToUid(session.userId, 'order/push', 4);
    void session.toSend('order/push', 5);
    return 'reply';
  }

  @OnTopic('order/join')
  async join(@ClientSession() session: Session): Promise<void> {
    await session.toBind('ada');
    await this.gateway.joinGroup(session.clientId, 'order');
  }
}

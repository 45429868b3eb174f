import { AgentCreator, ClientAgent, type Connection } from '@nestgate/gate';
import { BinaryClient, type FakeClient } from '@nestgate/testing';

/** What a test counts itself, beside the gate: at the door of each client, and at its socket. */
export class Tally {
  /** Frames that clients have sent. */
  sent = 0;
  /** Packs that were sent to a connected client. */
  asked = 0;
  /** Of those, the ones that were taken. */
  taken = 0;
  /** Packs that were handed to a socket. */
  written = 0;

  /** Counts what a client sends from now on. */
  watch<C extends FakeClient | BinaryClient>(client: C): C {
    if (client instanceof BinaryClient) {
      const sendRaw = client.sendRaw.bind(client);
      client.sendRaw = data => {
        this.sent++;
        sendRaw(data);
      };
    } else {
      const send = client.sendRaw.bind(client);
      client.sendRaw = text => {
        this.sent++;
        send(text);
      };
    }
    return client;
  }
}

/** Makes agents that are counted by a {@link Tally}. */
export class TallyingAgents extends AgentCreator {
  constructor(private readonly tally: Tally) {
    super();
  }

  override create(...[host, serial, session, connection, wire]: Parameters<AgentCreator['create']>): ClientAgent {
    const { tally } = this;
    class TallyingAgent extends ClientAgent {
      override sendFirst(frame: Uint8Array | undefined): void {
        if (frame) {
          tally.asked++;
          tally.taken++;
        }
        super.sendFirst(frame);
      }

      override sendFrame(frame: Uint8Array | undefined): boolean {
        if (this.isClosed) return super.sendFrame(frame);
        tally.asked++;
        const isTaken = super.sendFrame(frame);
        if (isTaken) tally.taken++;
        return isTaken;
      }

      override deferFrame(making: Promise<Uint8Array | undefined>, bytes?: number): boolean {
        if (this.isClosed) return super.deferFrame(making, bytes);
        tally.asked++;
        const isTaken = super.deferFrame(making, bytes);
        if (isTaken) tally.taken++;
        return isTaken;
      }
    }
    return new TallyingAgent(host, serial, session, tallied(connection, tally), wire);
  }
}

/** The connection itself, but for what is written to it. */
function tallied(connection: Connection, tally: Tally): Connection {
  return new Proxy(connection, {
    get: (target, key) => {
      if (key === 'write') {
        return (data: Uint8Array) => {
          tally.written += target.network === 'ws' ? wsFramesIn(data) : framesIn(data);
          target.write(data);
        };
      }
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? (value as () => unknown).bind(target) : value;
    },
  });
}

/** How many whole `gate.frame` messages this is. */
function framesIn(data: Uint8Array): number {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  let frames = 0;
  for (let at = 0; at < bytes.length; frames++) at += 4 + bytes.readUInt32LE(at);
  return frames;
}

/** How many whole WebSocket frames of a server this is. */
function wsFramesIn(data: Uint8Array): number {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  let frames = 0;
  for (let at = 0; at < bytes.length; frames++) {
    const length = (bytes[at + 1] as number) & 0x7f;
    if (length === 126) at += 4 + bytes.readUInt16BE(at + 2);
    else if (length === 127) at += 10 + Number(bytes.readBigUInt64BE(at + 2));
    else at += 2 + length;
    if (at > bytes.length) throw new Error('A write ends within a frame');
  }
  return frames;
}

import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import type { EncryptMode } from '@nestgate/gate';
import { assertKnownOptions, optionKeys, parseJson } from '@nestgate/link/internal';
import { type ErrorBody, FrameKind, frameKindHasId } from '@nestgate/protocol';
import { type ClientOptions, WebSocket } from 'ws';
import { type ClosedWith, UpgradeRefused } from './fake-client.js';
import { RequestError } from './request-error.js';
import { dialTestNetwork, testNetworkOptions } from '../network/test-network.js';
import { waitUntil } from '../wait-until.js';

/** How a binary client speaks. */
export interface BinaryClientOptions {
  /** @defaultValue 'pack' */
  readonly codec?: 'pack' | 'frame' | undefined;
  /** Encrypts packs, as the gate's options of these names do. */
  readonly encryptKey?: string | undefined;
  readonly encryptMode?: EncryptMode | undefined;
  /** Over TCP: speak TLS, with these options. */
  readonly tls?: ConnectionOptions | undefined;
}

const KEYS = optionKeys<BinaryClientOptions>({ codec: true, encryptKey: true, encryptMode: true, tls: true });

/** A pack or frame as it came. A pack is a `FrameKind.message` without an id. */
export interface BinaryMessage {
  readonly kind: number;
  readonly id: number;
  readonly topic: string;
  readonly body: Buffer;
}

/**
 * A `gate.pack` or `gate.frame` client for tests, over a real WebSocket, TCP or TLS connection. It keeps all it has received,
 * in order, and answers nothing by itself, pings neither. It shares no code with the gate: each of the two checks the other.
 */
export class BinaryClient {
  readonly messages: BinaryMessage[] = [];
  /** Settles when the connection has ended. Over TCP, where there are no close codes, the code is 0. */
  readonly closed: Promise<ClosedWith>;
  closedWith: ClosedWith | undefined;
  private rest: Buffer = Buffer.alloc(0);
  private fault: Error | undefined;
  private lastId = 0;

  private constructor(
    /** What carries the messages: for what this class does not offer itself. */
    readonly transport: Socket | WebSocket,
    private readonly options: BinaryClientOptions,
  ) {
    transport.on('error', () => undefined);
    this.closed = new Promise(resolve => {
      const end = (code = 0, reason = ''): void => resolve((this.closedWith = { code, reason }));
      if (transport instanceof WebSocket) {
        transport.on('message', data => this.take(data as Buffer, true));
        transport.on('close', (code, reason) => end(code, reason.toString()));
      } else {
        transport.on('data', chunk => this.take(chunk, false));
        transport.on('close', () => end());
      }
    });
  }

  /** Connects with the codec's subprotocol. @throws {UpgradeRefused} when the gate answers with an HTTP error. */
  static async overWs(url: string, options: BinaryClientOptions & ClientOptions = {}): Promise<BinaryClient> {
    const network = await testNetworkOptions(url, options);
    const socket = new WebSocket(url, [`gate.${options.codec ?? 'pack'}`], { perMessageDeflate: false, ...network });
    const client = new BinaryClient(socket, options);
    await new Promise<void>((resolve, reject) => {
      socket.on('unexpected-response', (request, response) => {
        reject(new UpgradeRefused(response.statusCode ?? 0));
        request.destroy();
      });
      socket.once('error', reject);
      socket.once('open', resolve);
    });
    return client;
  }

  /** Connects to a TCP port of this machine; with `tls`, over TLS. */
  static async overTcp(port: number, options: BinaryClientOptions = {}): Promise<BinaryClient> {
    assertKnownOptions('BinaryClient', options, KEYS);
    // Half open, so that a test decides itself when its client ends.
    const socket = await dialTestNetwork(port, at => {
      const to = { port: at, host: '127.0.0.1', noDelay: true, allowHalfOpen: true };
      return options.tls ? connectTls({ ...to, ...options.tls }) : connectPlain(to);
    });
    await once(socket, options.tls ? 'secureConnect' : 'connect');
    const client = new BinaryClient(socket, options);
    socket.on('end', () => socket.end());
    return client;
  }

  /** Sends bytes as they are: over WebSocket as one binary frame. */
  sendRaw(data: Uint8Array): void {
    if (this.transport instanceof WebSocket) this.transport.send(data);
    else this.transport.write(data);
  }

  /** Sends a pack, or a frame without an id. A string goes as UTF-8, an object as JSON. */
  send(topic: string, body?: unknown): void {
    this.sendRaw(this.encode(FrameKind.message, 0, topic, body));
  }

  /** Sends a frame of any kind. */
  sendFrame(kind: number, id: number, topic: string, body?: unknown): void {
    this.sendRaw(this.encode(kind, id, topic, body));
  }

  /** Sends a request without waiting for its answer, and returns its id. Frames only. */
  ask(topic: string, body?: unknown): number {
    const id = ++this.lastId;
    this.sendFrame(FrameKind.request, id, topic, body);
    return id;
  }

  /** The answer to a request, whether it is a reply or an error. */
  answer(id: number, timeoutMs?: number): Promise<BinaryMessage> {
    return this.message(`the answer to request ${id}`, found => found.id === id, timeoutMs);
  }

  /** Asks, and resolves with the body of the reply. @throws {RequestError} with the code of the answer, when that is an error. */
  async request(topic: string, body?: unknown, timeoutMs?: number): Promise<Buffer> {
    const answer = await this.answer(this.ask(topic, body), timeoutMs);
    if (answer.kind === FrameKind.reply) return answer.body;
    throw new RequestError(topic, jsonOf<ErrorBody>(answer));
  }

  /** The first push on a topic (that matches). */
  push(topic: string, matches: (body: Buffer) => boolean = () => true, timeoutMs?: number): Promise<BinaryMessage> {
    return this.message(`a push on ${topic}`, it => isPush(it, topic) && matches(it.body), timeoutMs);
  }

  /** All pushes on a topic so far. */
  pushes(topic: string): readonly BinaryMessage[] {
    return this.messages.filter(it => isPush(it, topic));
  }

  /** The client sends nothing more, but still reads. Over WebSocket, which knows no such thing, it closes. */
  end(): void {
    if (this.transport instanceof WebSocket) this.transport.close();
    else this.transport.end();
  }

  /** Destroys the connection without a close message. */
  destroy(): void {
    if (this.transport instanceof WebSocket) this.transport.terminate();
    else this.transport.destroy();
  }

  /** A pack or frame as this client sends it. */
  encode(kind: number, id: number, topic: string, body?: unknown): Buffer {
    const name = Buffer.from(topic);
    const content = Buffer.concat([number(name.length, 2), name, bytesOf(body)]);
    if (this.options.codec !== 'frame') {
      const sealed = seal(content, this.options);
      return Buffer.concat([number(sealed.length + 2, 2), sealed]);
    }
    const head = frameKindHasId(kind) ? Buffer.concat([Buffer.of(kind), number(id, 4)]) : Buffer.of(kind);
    return Buffer.concat([number(head.length + content.length, 4), head, content]);
  }

  private take(chunk: Buffer, isWhole: boolean): void {
    const data = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
    const lengthBytes = this.options.codec === 'frame' ? 4 : 2;
    let at = 0;
    try {
      while (data.length - at >= lengthBytes) {
        const size = lengthBytes === 2 ? data.readUInt16LE(at) : data.readUInt32LE(at) + 4;
        if (isWhole && size !== data.length) throw new Error(`A message of ${data.length} bytes says ${size}`);
        if (data.length - at < size) break;
        this.messages.push(this.decode(data.subarray(at + lengthBytes, at + size)));
        at += size;
      }
    } catch (error) {
      this.fault = error as Error;
      this.destroy();
    }
    this.rest = data.subarray(at);
  }

  private decode(data: Buffer): BinaryMessage {
    if (this.options.codec !== 'frame') return { kind: FrameKind.message, id: 0, ...partsOf(open(data, this.options)) };
    const kind = data.readUInt8(0);
    if (!frameKindHasId(kind)) return { kind, id: 0, ...partsOf(data.subarray(1)) };
    return { kind, id: data.readUInt32LE(1), ...partsOf(data.subarray(5)) };
  }

  private message(what: string, matches: (it: BinaryMessage) => boolean, timeoutMs?: number): Promise<BinaryMessage> {
    const find = (): BinaryMessage | undefined => {
      const found = this.messages.find(matches);
      if (!found && this.fault) throw this.fault;
      if (!found && this.closedWith) throw new Error(`Closed with ${this.closedWith.code} before ${what}`);
      return found;
    };
    return waitUntil(what, find, timeoutMs);
  }
}

/** The JSON that the body of a message is. */
export function jsonOf<T = unknown>({ body }: Pick<BinaryMessage, 'body'>): T {
  return parseJson<T>(body.toString('utf8'));
}

function isPush({ kind, topic: on }: BinaryMessage, topic: string): boolean {
  return kind === FrameKind.message && on === topic;
}

function partsOf(data: Buffer): Pick<BinaryMessage, 'topic' | 'body'> {
  const end = 2 + data.readUInt16LE(0);
  if (end > data.length) throw new Error(`A topic of ${end - 2} bytes in ${data.length}`);
  return { topic: data.toString('utf8', 2, end), body: data.subarray(end) };
}

function bytesOf(body: unknown): Uint8Array {
  if (body instanceof Uint8Array) return body;
  return Buffer.from(typeof body === 'string' ? body : body === undefined ? '' : JSON.stringify(body));
}

/** A number in little-endian. */
function number(value: number, bytes: 2 | 4): Buffer {
  const data = Buffer.alloc(bytes);
  data.writeUIntLE(value, 0, bytes);
  return data;
}

function seal(plain: Buffer, { encryptKey, encryptMode }: BinaryClientOptions): Buffer {
  if (encryptKey === undefined) return plain;
  if (encryptMode === 'river-cbc') {
    const cipher = createCipheriv(...cbcOf(encryptKey));
    return Buffer.concat([cipher.update(plain.toString('base64')), cipher.final()]);
  }
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', sha256(encryptKey), nonce);
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

function open(sealed: Buffer, { encryptKey, encryptMode }: BinaryClientOptions): Buffer {
  if (encryptKey === undefined) return sealed;
  if (encryptMode === 'river-cbc') {
    const cipher = createDecipheriv(...cbcOf(encryptKey));
    return Buffer.from(Buffer.concat([cipher.update(sealed), cipher.final()]).toString(), 'base64');
  }
  const cipher = createDecipheriv('aes-256-gcm', sha256(encryptKey), sealed.subarray(0, 12));
  cipher.setAuthTag(sealed.subarray(-16));
  return Buffer.concat([cipher.update(sealed.subarray(12, -16)), cipher.final()]);
}

function cbcOf(encryptKey: string): [algorithm: string, key: Buffer, iv: Buffer] {
  const key = Buffer.from(encryptKey);
  return [`aes-${key.length * 8}-cbc`, key, key.subarray(-16)];
}

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest();

import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

const TIMEOUT_MS = 3_000;
/** Longest answer that is read. */
const MAX_ANSWER = 64 * 1024;

/** Asks a Redis for its `maxmemory-policy`. @throws {Error} when it does not tell. */
export function readEvictionPolicy(url: string): Promise<string> {
  const { protocol, hostname, port, username, password } = new URL(url);
  const at = { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 6379) };
  const socket: Socket = protocol === 'rediss:' ? connectTls({ ...at, servername: at.host }) : connectPlain(at);
  return new Promise<string>((resolve, reject) => {
    let answer = '';
    socket.setEncoding('utf8');
    socket.setTimeout(TIMEOUT_MS, () => reject(new Error('it does not answer')));
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('it has closed the connection')));
    socket.on('data', (text: string) => {
      answer = (answer + text).slice(0, MAX_ANSWER);
      const fault = /^-(.*)\r\n/m.exec(answer)?.[1];
      const policy = /maxmemory-policy\r\n\$\d+\r\n(\S+)\r\n/.exec(answer)?.[1];
      if (fault !== undefined) reject(new Error(fault));
      else if (policy !== undefined) resolve(policy);
    });
    if (password !== '') {
      const user = username === '' ? [] : [decodeURIComponent(username)];
      socket.write(commandOf('AUTH', ...user, decodeURIComponent(password)));
    }
    socket.write(commandOf('CONFIG', 'GET', 'maxmemory-policy'));
  }).finally(() => socket.destroy());
}

function commandOf(...parts: readonly string[]): string {
  return `*${parts.length}\r\n${parts.map(part => `$${Buffer.byteLength(part)}\r\n${part}\r\n`).join('')}`;
}

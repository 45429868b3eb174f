import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, type ServerCommand, ServerProcess } from '@nestgate/testing';
import { TestCertificates } from './tls-support.js';

/** The proxies that docs/proxies.md shows. */
export type ProxyKind = 'nginx' | 'haproxy';

const PAGE = join(process.cwd(), 'docs/proxies.md');

/** nginx or HAProxy, with the configuration that docs/proxies.md shows, in front of two gates of this machine. */
export class ProxyServer extends ServerProcess {
  private readonly directory = mkdtempSync(join(tmpdir(), 'nestgate-proxy-'));
  private readonly certificates = new TestCertificates();
  readonly ca: Buffer;

  private constructor(
    port: number,
    readonly kind: ProxyKind,
    gates: readonly number[],
    idleS: number,
  ) {
    super(port);
    const { certFile, keyFile } = this.certificates.make('proxy');
    this.ca = readFileSync(certFile);
    const pem = join(this.directory, 'gate.pem');
    writeFileSync(pem, Buffer.concat([this.ca, readFileSync(keyFile)]));
    const shown = configurationOf(kind)
      .replaceAll(/gate-(\d):3000/g, (_whole, index: string) => `127.0.0.1:${gates[Number(index) - 1]}`)
      .replace('/etc/nginx/tls/gate.crt', certFile)
      .replace('/etc/nginx/tls/gate.key', keyFile)
      .replace('/etc/haproxy/tls/gate.pem', pem)
      .replace('listen 443 ssl', `listen 127.0.0.1:${port} ssl`)
      .replace('bind :443 ssl', `bind 127.0.0.1:${port} ssl`)
      .replaceAll('75s', `${idleS}s`)
      // Gates of the tests answer the check on the port of the clients.
      .replaceAll(' check port 9464 ', ' check ');
    writeFileSync(this.configFile, kind === 'nginx' ? this.nginxAround(shown) : shown);
  }

  /** Starts a proxy on a free port. `idleS`: instead of the 75 seconds of the page. */
  static async start(kind: ProxyKind, gates: readonly number[], idleS = 75): Promise<ProxyServer> {
    const proxy = new ProxyServer(await freePort(), kind, gates, idleS);
    try {
      await proxy.launch();
      return proxy;
    } catch (error) {
      await proxy.end();
      throw error;
    }
  }

  get url(): string {
    return `wss://127.0.0.1:${this.port}/gate`;
  }

  /** Reloads the configuration. */
  reload(): void {
    this.signal(this.kind === 'nginx' ? 'SIGHUP' : 'SIGUSR2');
  }

  override async end(): Promise<void> {
    // In order, so that the master ends its workers too.
    await this.shutDown();
    await super.end();
    this.certificates.remove();
    rmSync(this.directory, { recursive: true, force: true });
  }

  protected override command(): ServerCommand {
    if (this.kind === 'haproxy') return { program: programOf('haproxy'), args: ['-W', '-f', this.configFile] };
    return { program: programOf('nginx'), args: ['-p', this.directory, '-c', this.configFile] };
  }

  protected override answers(): Promise<boolean> {
    return new Promise(resolve => {
      const socket = connect(this.port, '127.0.0.1');
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
  }

  private get configFile(): string {
    return join(this.directory, 'proxy.conf');
  }

  /** What stands around the block in a file of its own: nothing is written outside of the directory. */
  private nginxAround(http: string): string {
    const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
      name => `${name}_temp_path ${join(this.directory, name)};`,
    );
    return [
      'daemon off; worker_processes 1; error_log stderr;',
      `pid ${join(this.directory, 'nginx.pid')};`,
      'events { worker_connections 1024; }',
      `http { access_log off; ${paths.join(' ')}`,
      http,
      '}',
    ].join('\n');
  }
}

/** The block of the page in this language. */
export function configurationOf(kind: ProxyKind): string {
  const block = new RegExp(`^\`\`\`${kind}\\n([\\s\\S]*?)^\`\`\`$`, 'm').exec(readFileSync(PAGE, 'utf8'))?.[1];
  if (block === undefined) throw new Error(`docs/proxies.md shows nothing for ${kind}`);
  return block;
}

function programOf(kind: ProxyKind): string {
  return process.env[kind.toUpperCase()] ?? kind;
}

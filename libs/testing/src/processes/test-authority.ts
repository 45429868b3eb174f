import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The files of one node, as the link's option `tls` takes them. */
export interface NodeFiles {
  readonly certFile: string;
  readonly keyFile: string;
  readonly caFile: string;
}

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

/** An authority that signs certificates of nodes, made with openssl, in a directory of its own. */
export class TestAuthority {
  readonly dir: string = mkdtempSync(join(tmpdir(), 'nestgate-authority-'));
  private readonly keyFile = join(this.dir, 'authority.key');
  readonly caFile: string = join(this.dir, 'authority.crt');

  constructor(name = 'authority') {
    const subject = ['-subj', `/CN=${name}`, '-days', '30'];
    openssl('req', '-x509', ...KEY, '-keyout', this.keyFile, ...subject, '-out', this.caFile);
  }

  /** Makes a certificate for some names and addresses, such as `IP:127.0.0.1`; for none of this machine's by default. */
  issue(name: string, subjects = `DNS:${name}.nodes.test`): NodeFiles {
    const files = { certFile: this.path(`${name}.crt`), keyFile: this.path(`${name}.key`), caFile: this.caFile };
    const [request, extensions] = [this.path(`${name}.csr`), this.path(`${name}.ext`)];
    openssl('req', ...KEY, '-keyout', files.keyFile, '-subj', `/CN=${name}`, '-out', request);
    writeFileSync(extensions, `subjectAltName=${subjects}\n`);
    const authority = ['-CA', this.caFile, '-CAkey', this.keyFile, '-CAcreateserial', '-days', '30'];
    openssl('x509', '-req', '-in', request, ...authority, '-extfile', extensions, '-out', files.certFile);
    return files;
  }

  /** Replaces the files of one node by those of another, as a renewal does. */
  replace(target: NodeFiles, source: NodeFiles): void {
    copyFileSync(source.certFile, target.certFile);
    copyFileSync(source.keyFile, target.keyFile);
  }

  /** A file in the authority's directory. */
  path(name: string): string {
    return join(this.dir, name);
  }

  remove(): void {
    rmSync(this.dir, { recursive: true });
  }
}

function openssl(...args: readonly string[]): void {
  execFileSync('openssl', args, { stdio: 'ignore' });
}

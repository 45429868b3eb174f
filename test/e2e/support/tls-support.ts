import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The files of a certificate, as the gate's options want them. */
export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/** Certificates for 127.0.0.1 that have signed themselves, made with openssl, in a directory of their own. */
export class TestCertificates {
  readonly dir: string = mkdtempSync(join(tmpdir(), 'nestgate-tls-'));

  /** Makes a certificate. Its common name is the given one. */
  make(name: string): CertificateFiles {
    const files = this.files(name);
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', files.keyFile];
    const subject = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '30'];
    execFileSync('openssl', ['req', '-x509', ...key, ...subject, '-out', files.certFile], { stdio: 'ignore' });
    return files;
  }

  /** Where a certificate of this name is, or would be. */
  files(name: string): CertificateFiles {
    return { certFile: join(this.dir, `${name}.crt`), keyFile: join(this.dir, `${name}.key`) };
  }

  /** Replaces a certificate by another one, as a renewal does. */
  replace(target: CertificateFiles, source: CertificateFiles): void {
    copyFileSync(source.certFile, target.certFile);
    copyFileSync(source.keyFile, target.keyFile);
  }

  /** What a client has to trust. */
  read(file: string): Buffer {
    return readFileSync(file);
  }

  remove(): void {
    rmSync(this.dir, { recursive: true });
  }
}

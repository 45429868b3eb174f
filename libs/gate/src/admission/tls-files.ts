import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext, type SecureContextOptions, type TlsOptions as NodeTlsOptions } from 'node:tls';
import type { BoundedLog } from '@nestgate/worker/internal';
import { messageOf } from '@nestgate/link/internal';
import type { TlsOptions } from '../gate-options.js';

/** A server whose certificate can be replaced while it runs. */
interface SecureServer {
  setSecureContext(options: SecureContextOptions): void;
}

/**
 * Reads the certificate and key.
 * @throws {Error} naming the option when a file cannot be read or the key does not match the certificate. The gate must not start
 * then, because plaintext instead of TLS would be worse.
 */
export function loadTls(options: TlsOptions): NodeTlsOptions {
  const { certFile, keyFile, caFile } = options;
  const loaded: NodeTlsOptions = {
    cert: read('tls.certFile', certFile),
    key: read('tls.keyFile', keyFile),
    minVersion: 'TLSv1.2',
    ...(caFile === undefined ? {} : { ca: readAuthority(caFile), requestCert: true, rejectUnauthorized: true }),
  };
  try {
    createSecureContext(loaded);
  } catch (error) {
    throw new Error(
      `Options tls.certFile and tls.keyFile: ${JSON.stringify(certFile)} and ${JSON.stringify(keyFile)} cannot be used: ` +
        messageOf(error),
      { cause: error },
    );
  }
  return loaded;
}

/** Reads the files again on SIGHUP. New connections use the new certificate. If it is not valid, the old one stays in use. */
export function reloadOnHangup(
  options: TlsOptions,
  server: SecureServer,
  log: Pick<BoundedLog, 'error' | 'log'>,
): () => void {
  const reload = (): void => {
    try {
      server.setSecureContext(loadTls(options));
      log.log('The TLS certificate was loaded again');
    } catch (error) {
      log.error(`The TLS certificate was not changed: ${messageOf(error)}`);
    }
  };
  process.on('SIGHUP', reload);
  return () => process.off('SIGHUP', reload);
}

/**
 * Whether Nest closes the app on SIGHUP: `enableShutdownHooks()` without a list handles every signal, and the gate cannot prevent that.
 * Nest's listener is found by its name.
 */
export function endsOnHangup(): boolean {
  return process.listeners('SIGHUP').some(listener => listener.name === 'cleanup');
}

/** Checks that the file has a certificate: Node would accept an empty list, and refuse every client. */
function readAuthority(file: string): Buffer {
  const ca = read('tls.caFile', file);
  try {
    parseCertificate(ca);
  } catch (error) {
    throw new Error(`Option tls.caFile: ${JSON.stringify(file)} cannot be used: ${messageOf(error)}`, {
      cause: error,
    });
  }
  return ca;
}

function parseCertificate(pem: Buffer): X509Certificate {
  return new X509Certificate(pem);
}

function read(option: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new Error(`Option ${option}: ${JSON.stringify(file)} cannot be read: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

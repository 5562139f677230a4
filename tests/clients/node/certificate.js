// A certificate that has signed itself, made by openssl.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Make a certificate for 127.0.0.1, and its key, in a directory. */
export function makeCertificate(directory) {
  const [key, certificate, both] = ['key', 'certificate', 'both']
    .map((name) => join(directory, `${name}.pem`));
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt',
    'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1', '-subj', '/CN=townhall',
    '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', certificate],
  { stdio: 'ignore' });
  writeFileSync(both, readFileSync(certificate, 'utf8') + readFileSync(key, 'utf8'));
  return { key, certificate, both };
}

/** Make one in a directory that is removed after test `t`. */
export function certificateFor(t) {
  const directory = mkdtempSync(join(tmpdir(), 'townhall-tls-'));
  t.after(() => rmSync(directory, { recursive: true }));
  return makeCertificate(directory);
}

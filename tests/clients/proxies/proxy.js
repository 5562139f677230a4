// Starts a proxy for a test: nginx, Apache, HAProxy or Caddy, as Debian has it, with a configuration of
// the test's own in a temporary directory, on a free port of the loopback address.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { makeCertificate } from '../node/certificate.js';
import { START_DEADLINE, within } from '../node/deadline.js';

const DEBIAN = fileURLToPath(new URL('../../../target/clients/debian/', import.meta.url));
const MODULES = `${DEBIAN}usr/lib/apache2/modules`;
const NGINX_STREAM = `${DEBIAN}usr/lib/nginx/modules/ngx_stream_module.so`;
const LIBRARIES = `${DEBIAN}usr/lib/x86_64-linux-gnu`;

/** HAProxy with the times of Debian's configuration, which forwards requests (http) or bytes (tcp). */
function haproxy(mode) {
  return {
    configuration: (lines, port, directory, tls) => `
global
  stats socket ${directory}/stats level admin
defaults
  mode ${mode}
  timeout connect 5000
  timeout client 50000
  timeout server 50000
frontend web
  bind 127.0.0.1:${port}${tls ? ` ssl crt ${tls.both}` : ''}
  default_backend townhall
${lines}
`,
    command: (file) => [`${DEBIAN}usr/sbin/haproxy`, '-db', '-f', file],
  };
}

/** What surrounds a test's own lines, and the command that runs it in the foreground. */
const PROXIES = {
  nginx: {
    configuration: (lines, port, directory, tls) => `
      daemon off;
      master_process off;
      pid ${directory}/pid;
      error_log stderr;
      events {}
      http {
        access_log off;
        client_body_temp_path ${directory}/body;
        proxy_temp_path ${directory}/proxy;
        fastcgi_temp_path ${directory}/fastcgi;
        uwsgi_temp_path ${directory}/uwsgi;
        scgi_temp_path ${directory}/scgi;
        server {
          listen 127.0.0.1:${port}${tls ? ' ssl' : ''};
          ${tls ? `ssl_certificate ${tls.certificate}; ssl_certificate_key ${tls.key};` : ''}
          ${lines}
        }
      }`,
    command: (file) => [`${DEBIAN}usr/sbin/nginx`, '-e', 'stderr', '-c', file],
  },
  apache: {
    configuration: (lines, port, directory, tls) => `
      ServerRoot ${directory}
      ServerName 127.0.0.1
      DefaultRuntimeDir ${directory}
      PidFile ${directory}/pid
      ErrorLog ${directory}/log
      User www-data
      Group www-data
      Listen 127.0.0.1:${port}
      ${['mpm_event', 'authz_core', 'proxy', 'proxy_http', 'proxy_wstunnel', 'rewrite',
    'socache_shmcb', 'ssl'].map((name) => `LoadModule ${name}_module ${MODULES}/mod_${name}.so`)
    .join('\n')}
      <VirtualHost *:${port}>
        ${tls ? `SSLEngine on
        SSLCertificateFile ${tls.certificate}
        SSLCertificateKeyFile ${tls.key}` : ''}
        ${lines}
      </VirtualHost>
      `,
    command: (file) => [`${DEBIAN}usr/sbin/apache2`, '-DFOREGROUND', '-f', file],
  },
  'nginx stream': {
    configuration: (lines, port, directory) => `
      load_module ${NGINX_STREAM};
      daemon off;
      master_process off;
      pid ${directory}/pid;
      error_log stderr;
      events {}
      stream {
        server {
          listen 127.0.0.1:${port};
          ${lines}
        }
      }`,
    command: (file) => [`${DEBIAN}usr/sbin/nginx`, '-e', 'stderr', '-c', file],
  },
  haproxy: haproxy('http'),
  'haproxy tcp': haproxy('tcp'),
  caddy: {
    configuration: (lines, port, directory, tls) => `
{
  admin off
  auto_https off
  storage file_system ${directory}
}
http${tls ? 's' : ''}://:${port} {
  bind 127.0.0.1
  ${tls ? `tls ${tls.certificate} ${tls.key}` : ''}
  ${lines}
}
`,
    // It writes the configuration that it uses into this directory.
    command: (file) => ['env', `XDG_CONFIG_HOME=${dirname(file)}`,
      `${DEBIAN}usr/bin/caddy`, 'run', '--adapter', 'caddyfile', '--config', file],
  },
};

/** A port that was free a moment ago. */
async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** Wait until `ask` gives something else than `undefined`. */
export async function eventually(ask, what, deadline) {
  const stop = new AbortController();
  const asking = (async () => {
    while (!stop.signal.aborted) {
      const answer = await ask();
      if (answer !== undefined) return answer;
      await pause(20);
    }
    return undefined;
  })();
  return within(asking, what, deadline).finally(() => stop.abort());
}

/** Whether somebody listens on this port. */
async function isListening(port) {
  const socket = connect({ host: '127.0.0.1', port });
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return undefined;
  } finally {
    socket.destroy();
  }
}

/** A running proxy. */
export class Proxy {
  /** Start the one with this `name` for the length of test `t`, with these lines. */
  static async start(t, name, lines, { tls = false } = {}) {
    const proxy = new Proxy();
    proxy.directory = mkdtempSync(join(tmpdir(), 'townhall-proxy-'));
    t.after(() => rmSync(proxy.directory, { recursive: true }));
    const certificate = tls ? makeCertificate(proxy.directory) : undefined;
    if (tls) proxy.ca = readFileSync(certificate.certificate);
    const port = await freePort();
    proxy.host = `127.0.0.1:${port}`;
    proxy.origin = `http${tls ? 's' : ''}://${proxy.host}`;
    proxy.url = `ws${tls ? 's' : ''}://${proxy.host}`;
    const { configuration, command } = PROXIES[name];
    const file = join(proxy.directory, 'configuration');
    writeFileSync(file, configuration(lines, port, proxy.directory, certificate));
    await proxy.#run(t, command(file), port);
    return proxy;
  }

  async #run(t, [command, ...options], port) {
    const environment = { ...process.env, LD_LIBRARY_PATH: LIBRARIES };
    const child = spawn(command, options, { env: environment, stdio: ['ignore', 'ignore', 'pipe'] });
    let log = '';
    child.stderr.setEncoding('utf8').on('data', (text) => { log += text; });
    const ended = once(child, 'exit');
    const kill = () => child.kill('SIGTERM');
    process.once('exit', kill);
    t.after(async () => {
      kill();
      await within(ended, `end of ${command}`);
      process.off('exit', kill);
    });
    const failed = ended.then(() => { throw new Error(`${command} ended:\n${log}`); });
    failed.catch(() => {});
    const open = () => isListening(port);
    const listening = eventually(open, `${command} on its port`, START_DEADLINE);
    await Promise.race([listening, failed]);
  }
}

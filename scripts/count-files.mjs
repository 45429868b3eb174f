/**
 * Counts the files of this project that a frame and a push pass, on the gate and on the worker, over the tcp link.
 *
 * Method: V8's precise coverage counts the calls of every function. Both processes are warmed up; then one request, or one
 * push to a group, is sent, and the functions that ran meanwhile are listed by file. Only functions that ran in each of ten
 * rounds count, so that timers do not. The request is answered by `echo/echo`; the push is a call of `GatewayApi.sendToGroup` on the worker.
 *
 * Usage: node scripts/count-files.mjs (after `npx tsc -b`)
 */
import { spawn } from 'node:child_process';
import { Session } from 'node:inspector/promises';
import { createServer } from 'node:net';
import { relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';

const ROUNDS = 10;
const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** In a server process: reports the functions that ran since the last message of the parent. */
async function probe() {
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false });
  const { GatewayApi } = await import(new URL('../libs/worker/dist/index.js', import.meta.url).href);
  const { sendToGroup } = GatewayApi.prototype;
  let gateway;
  // The first call, by `fan/out`, gives access to the instance of the app.
  GatewayApi.prototype.sendToGroup = function (...args) {
    gateway = this;
    return sendToGroup.apply(this, args);
  };
  process.on('message', async message => {
    if (message === 'push') {
      await sendToGroup.call(gateway, 'g', 'fan/msg', 'hello');
      return;
    }
    const { result } = await session.post('Profiler.takePreciseCoverage');
    const ran = [];
    for (const { url, functions } of result) {
      const file = /\/(?:libs|apps)\/.*\/dist\//.test(url) ? relative(ROOT, fileURLToPath(url)) : undefined;
      if (!file) continue;
      for (const { functionName, ranges } of functions) {
        const [{ count, startOffset }] = ranges;
        // The outermost range of a file has no name and offset 0: it is the module itself.
        if (count > 0 && startOffset > 0)
          ran.push(`${file.replace('/dist/', '/src/').replace(/\.js$/, '.ts')}#${functionName}:${startOffset}`);
      }
    }
    process.send(ran);
  });
  process.channel.unref();
}

const ask = child =>
  new Promise(resolve => {
    child.once('message', resolve);
    child.send('report');
  });
const filesOf = functions =>
  [...new Set(functions.map(name => name.split('#')[0]))].toSorted((a, b) => a.localeCompare(b));

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise(resolve => server.once('listening', resolve));
  const { port } = server.address();
  await new Promise(resolve => server.close(resolve));
  return port;
}

async function main() {
  const [port, link] = [await freePort(), await freePort()];
  const start = app =>
    spawn(process.execPath, ['--import', pathToFileURL(process.argv[1]).href, `apps/${app}/dist/main.js`], {
      cwd: ROOT,
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      env: {
        ...process.env,
        NESTGATE_COUNT_FILES: '1',
        NESTGATE_LINK: `tcp://127.0.0.1:${link}`,
        NESTGATE_SECRET: 'count-files-secret',
        NESTGATE_MSG_RATE: '0',
        PORT: app === 'gate' ? String(port) : '0',
      },
    });
  const servers = { gate: start('gate'), worker: start('worker') };
  try {
    const { WebSocket } = await import('ws');
    let client;
    for (let tries = 0; !client && tries < 100; tries++) {
      await sleep(200);
      client = await new Promise(resolve => {
        const ws = new WebSocket(`ws://127.0.0.1:${port}/gate`, 'gate.json');
        ws.once('open', () => resolve(ws));
        ws.once('error', () => resolve(undefined));
      });
    }
    const next = until =>
      new Promise(resolve => {
        client.on('message', function listen(data) {
          const frame = JSON.parse(String(data));
          if (!until(frame)) return;
          client.off('message', listen);
          resolve(frame);
        });
      });
    let id = 0;
    const request = async (topic, body) => {
      const own = ++id;
      const reply = next(frame => frame.id === own);
      client.send(JSON.stringify({ topic, body, id: own }));
      return reply;
    };
    while ((await request('echo/echo', 1)).error) await sleep(200);
    await request('fan/join', { group: 'g' });
    await request('fan/out', { group: 'g', data: 'hello' });
    const cases = {
      frame: () => request('echo/echo', { text: 'hello' }),
      push: async () => {
        const pushed = next(frame => frame.topic === 'fan/msg');
        servers.worker.send('push');
        return pushed;
      },
    };
    for (let i = 0; i < 200; i++) for (const run of Object.values(cases)) await run();
    const found = {};
    for (const [what, run] of Object.entries(cases)) {
      found[what] = {};
      for (let round = 0; round < ROUNDS; round++) {
        for (const server of Object.values(servers)) await ask(server);
        await run();
        await sleep(20);
        for (const [name, server] of Object.entries(servers)) {
          const ran = await ask(server);
          found[what][name] = found[what][name]?.filter(each => ran.includes(each)) ?? ran;
        }
      }
    }
    for (const [what, byServer] of Object.entries(found)) {
      console.log(`\n${what}: ${filesOf(Object.values(byServer).flat()).length} different files`);
      for (const [name, functions] of Object.entries(byServer)) {
        const files = filesOf(functions);
        console.log(`  ${name}: ${files.length} files`);
        for (const file of files) console.log(`    ${file}`);
      }
    }
    client.terminate();
  } finally {
    for (const server of Object.values(servers)) server.kill();
  }
}

if (process.env.NESTGATE_COUNT_FILES) await probe();
else await main();

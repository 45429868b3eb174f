import { execFileSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { connect } from 'node:net';
import { describe, it } from '@jest/globals';
import { HandlersModule } from '@nestgate-app/handlers';
import { Gate, GateCounters } from '@nestgate/gate';
import { BinaryClient, createTestCluster } from '@nestgate/testing';

const dir = mkdtempSync('/tmp/tls-probe-');
function cert(name: string) {
  execFileSync('openssl', ['req','-x509','-newkey','ec','-pkeyopt','ec_paramgen_curve:prime256v1','-nodes','-keyout',`${dir}/${name}.key`,'-out',`${dir}/${name}.crt`,'-days','3650','-subj',`/CN=${name}`,'-addext','subjectAltName=IP:127.0.0.1'],{stdio:'ignore'});
  return { certFile: `${dir}/${name}.crt`, keyFile: `${dir}/${name}.key` };
}
const sleep = (ms: number) => new Promise(r => setTimeout(r, ms));
describe('probe', () => {
  it('tls tcp', async () => {
    const tls = cert('a');
    const cluster = await createTestCluster({ handlers: { imports: [HandlersModule] }, gate: { tls, tcp: { port: 0, codec: 'frame' }, ws: { port: 0 }, overTime: 500, maxConnectionsPerIp: 4, pingInterval: 100, heartOverTimer: 400 } });
    const gate = cluster.gate.app.get(Gate);
    const counters = cluster.gate.app.get(GateCounters);
    const port = gate.tcpPort!;
    const t0 = Date.now();
    const silent = connect(port, '127.0.0.1');
    silent.on('error', e => console.log('silent err', e.message));
    silent.on('close', () => console.log('tcp silent closed', Date.now() - t0));
    const silentWs = connect(gate.wsPort!, '127.0.0.1');
    silentWs.on('error', e => console.log('silentws err', e.message));
    silentWs.on('close', () => console.log('wss silent closed', Date.now() - t0));
    const plain = connect(port, '127.0.0.1'); plain.write('GET / HTTP/1.1\r\n\r\n');
    plain.on('data', d => console.log('plain data', d));
    plain.on('error', e => console.log('plain err', e.message));
    plain.on('close', () => console.log('plain tcp closed', Date.now() - t0));
    const plainWs = connect(gate.wsPort!, '127.0.0.1'); plainWs.write('GET / HTTP/1.1\r\n\r\n');
    plainWs.on('data', d => console.log('plainws data', d.toString('latin1')));
    plainWs.on('error', e => console.log('plainws err', e.message));
    plainWs.on('close', () => console.log('plainws closed', Date.now() - t0));
    const c = await BinaryClient.overTcp(port, { codec: 'frame', tls: { rejectUnauthorized: false } });
    console.log((await c.request('echo/echo', 'hi')).toString());
    for (let i = 0; i < 30; i++) { await sleep(50); c.sendFrame(5, 0, ''); }
    console.log('still', c.closedWith, c.messages.length);
    const w = await BinaryClient.overWs(`wss://127.0.0.1:${gate.wsPort}/gate`, { codec: 'frame', rejectUnauthorized: false });
    for (let i = 0; i < 20; i++) { await sleep(50); w.sendFrame(5, 0, ''); }
    console.log('still ws', w.closedWith, w.messages.length);
    console.log(JSON.stringify([...(counters as never as {values?: Map<string, unknown>}).values ?? []]));
    const s2 = connect(port, '127.0.0.1');
    s2.on('error', () => 0);
    await sleep(50);
    const t1 = Date.now();
    await cluster.close();
    console.log('close took', Date.now() - t1);
    silent.destroy(); silentWs.destroy(); s2.destroy();
  });
});

import { HttpTransportType, HubConnectionBuilder, LogLevel } from '@microsoft/signalr';

/** @param {string} host @param {import('../contenders.mjs').Events} events @returns {import('../contenders.mjs').Line} */
export function open(host, { online, said }) {
  const connection = new HubConnectionBuilder()
    // Without negotiation, which is a round trip more.
    .withUrl(`http://${host}`, { transport: HttpTransportType.WebSockets, skipNegotiation: true })
    .withAutomaticReconnect()
    .configureLogging(LogLevel.None)
    .build();
  connection.on('said', said);
  connection.onreconnected(online);
  void connection.start().then(online);
  return { push: count => void connection.send('push', count), close: () => void connection.stop() };
}

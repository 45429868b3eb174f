/** Clients that are compared: how each is bundled, and what it is served by. */

/**
 * What a client reports.
 * @typedef {object} Events
 * @property {() => void} online each time that it is connected, and greeted where its protocol has a greeting
 * @property {(body: { n: number }) => void} said for each push
 */

/**
 * A client, as the measurements use it.
 * @typedef {object} Line
 * @property {(count: number) => void} push asks the server for pushes
 * @property {() => void} close
 */

/**
 * @typedef {object} Contender
 * @property {string} name the file of its adapter, too
 * @property {string} peer the file of its server
 * @property {string} shown in the table
 * @property {string} code what a page imports of it
 */

/** @type {readonly Contender[]} */
export const CONTENDERS = [
  {
    name: 'nestgate',
    peer: 'nestgate',
    shown: '@nestgate/client',
    code: `export { connect } from '@nestgate/client';`,
  },
  {
    name: 'nestgate-sessions',
    peer: 'nestgate',
    shown: 'the same with a session',
    code: `export { connect } from '@nestgate/client';`,
  },
  {
    name: 'socket-io',
    peer: 'socket-io',
    shown: 'socket.io-client',
    code: `export { io } from 'socket.io-client';`,
  },
  {
    name: 'centrifuge',
    peer: 'centrifuge',
    shown: 'centrifuge',
    code: `export { Centrifuge } from 'centrifuge';`,
  },
  {
    name: 'signalr',
    peer: 'signalr',
    shown: '@microsoft/signalr',
    code: `export { HubConnectionBuilder } from '@microsoft/signalr';`,
  },
  {
    name: 'partysocket',
    peer: 'plain',
    shown: 'partysocket',
    code: `export { default } from 'partysocket/ws';`,
  },
];

/** The packages whose versions are printed. */
export const PACKAGES = ['socket.io-client', 'centrifuge', '@microsoft/signalr', 'partysocket', 'ws'];

import { writeWsHeader, writtenWsHeaderBytes, WS_BINARY, wsHeaderBytes } from './ws-frame.js';

/** What a connection puts around each message of a codec. */
export interface Framing {
  /** How many bytes stand before a message of this size. */
  headerBytes(length: number): number;
  /** Writes them at the start of `data`. */
  writeHeader(data: Buffer, length: number): void;
  /** How many bytes stand before the message in `data`. */
  sizeOfHeader(data: Uint8Array): number;
}

/** One binary WebSocket frame per message. */
export const BINARY_WS_FRAMING: Framing = {
  headerBytes: wsHeaderBytes,
  writeHeader: (data, length) => writeWsHeader(data, WS_BINARY, length),
  sizeOfHeader: writtenWsHeaderBytes,
};

/** Messages follow each other in the stream: their own length is all there is. */
export const STREAM_FRAMING: Framing = {
  headerBytes: () => 0,
  writeHeader: () => undefined,
  sizeOfHeader: () => 0,
};

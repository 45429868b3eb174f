import { writeWsHeader, writtenWsHeaderBytes, WS_BINARY, wsHeaderBytes } from './ws-frame.js';

/** The framing of a connection around each message of a codec. */
export interface Framing {
  /** Size of the header before a message of this size. */
  headerBytes(length: number): number;
  /** Writes the header at the start of `data`. */
  writeHeader(data: Buffer, length: number): void;
  /** Size of the header in `data`. */
  sizeOfHeader(data: Uint8Array): number;
}

/** One binary WebSocket frame per message. */
export const BINARY_WS_FRAMING: Framing = {
  headerBytes: wsHeaderBytes,
  writeHeader: (data, length) => writeWsHeader(data, WS_BINARY, length),
  sizeOfHeader: writtenWsHeaderBytes,
};

/** No framing: messages follow each other in the stream, and contain their own length. */
export const STREAM_FRAMING: Framing = {
  headerBytes: () => 0,
  writeHeader: () => undefined,
  sizeOfHeader: () => 0,
};

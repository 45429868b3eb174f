/** How much longer than its clients another gate has to say what they have acknowledged, in milliseconds. */
export const ELSEWHERE_MS = 500;

/** Waits for a client to acknowledge a message. */
export interface Receipt {
  /** Until when it waits, as `performance.now()`. */
  readonly deadline: number;
  /** Nobody waits any more. */
  readonly isOver: boolean;
  /** The client has acknowledged the message, or never will. Called once for each client. */
  settle(isReceived: boolean): void;
}

/** A receipt for the frame with this number. */
export interface OpenReceipt {
  readonly number: number;
  readonly receipt: Receipt;
}

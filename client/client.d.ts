/** What a WebSocket sends. */
export type Data = string | ArrayBufferLike | ArrayBufferView | Blob;

/** A connection has ended: the code, the reason and the cleanness are those of WebSocket's close event. */
export interface CloseInfo {
  readonly code: number;
  readonly reason: string;
  readonly wasClean: boolean;
}

/** A connection has opened. */
export interface OpenEvent extends Event {
  /** True if the room still knows this client, and no message was lost. False if this client is new to the room. */
  readonly resumed: boolean;
}

/** The socket is closed for good. */
export interface RoomCloseEvent extends Event, CloseInfo {}

/** A connection or an attempt has ended, and there will be another one. */
export interface DisconnectEvent extends Event, CloseInfo {
  /** The number of connections and attempts that have ended since the last success, with this one. */
  readonly attempt: number;
  /** The time until the next attempt, in milliseconds. `retry` is called before it is known. */
  readonly delay: number;
}

/** A connection has failed, or `url`, `decode` or `retry` has. */
export interface RoomErrorEvent extends Event {
  /** The error, if it is known. Browsers do not tell why a connection failed. */
  readonly error?: unknown;
}

export interface RoomSocketOptions<Incoming = any, Outgoing = Data> {
  /** Asks for sessions that resume, which servers of Stateroom have. Other servers need `false`. Default: true. */
  session?: boolean;
  /** The subprotocols to offer, or a function that returns them for each attempt. */
  protocols?: string | string[] | (() => string | string[]);
  /** Decides about a connection that has ended: no more attempts (false), another one (true), or another one after at least so many milliseconds. Without an answer, or if it throws, the close code decides. */
  retry?: (event: Omit<DisconnectEvent, "delay">) => boolean | number | undefined;
  /** The longest delay before the first attempt after a success, in milliseconds. It doubles with each failure. Default: 500. */
  minDelay?: number;
  /** The most that this grows to, in milliseconds. Default: 30,000. */
  maxDelay?: number;
  /** The time for an attempt, with the greeting of a session, in milliseconds. Default: 10,000. */
  openTimeout?: number;
  /** The size of all messages that wait for a connection, in bytes. Default: 1 MiB. */
  maxQueue?: number;
  /** A message that the room answers with any message. Default: none is sent. */
  ping?: Outgoing;
  /** The time without a message from the room after which `ping` is sent, in milliseconds. Default: 30,000. */
  pingInterval?: number;
  /** The time for the answer, in milliseconds. Default: 10,000. */
  pingTimeout?: number;
  /** The time for which this side can sleep before its connection is in doubt, in milliseconds. Default: 120,000. */
  maxSleep?: number;
  /** Makes data of a message. */
  encode?: (message: Outgoing) => Data;
  /** Makes a message of data: a string, or what `binaryType` says. */
  decode?: (data: any) => Incoming;
}

export interface RoomSocketEventMap<Incoming = any> {
  open: OpenEvent;
  message: MessageEvent<Incoming>;
  disconnect: DisconnectEvent;
  close: RoomCloseEvent;
  error: RoomErrorEvent;
}

/** An address, or a function that returns one for each attempt. */
export type UrlSource = string | URL | (() => string | URL | Promise<string | URL>);

/** A `WebSocket` that connects again, and resumes its session. */
export class RoomSocket<Incoming = any, Outgoing = Data> extends EventTarget implements AsyncIterable<Incoming> {
  static readonly CONNECTING: 0;
  static readonly OPEN: 1;
  static readonly CLOSING: 2;
  static readonly CLOSED: 3;
  readonly CONNECTING: 0;
  readonly OPEN: 1;
  readonly CLOSING: 2;
  readonly CLOSED: 3;

  constructor(url: UrlSource, options?: RoomSocketOptions<Incoming, Outgoing>);

  /** `CONNECTING` also means that it waits for the next attempt. `CLOSED` is final. */
  readonly readyState: 0 | 1 | 2 | 3;
  /** The address of the last attempt; empty while there was none. */
  readonly url: string;
  readonly protocol: string;
  readonly extensions: string;
  /** The id of this client in the room. Undefined before the first connection, and without a session. */
  readonly clientId: number | undefined;
  /** The bytes that wait for a connection, and those that wait in it. */
  readonly bufferedAmount: number;
  binaryType: "blob" | "arraybuffer";

  onopen: ((this: this, event: OpenEvent) => unknown) | null;
  onmessage: ((this: this, event: MessageEvent<Incoming>) => unknown) | null;
  ondisconnect: ((this: this, event: DisconnectEvent) => unknown) | null;
  onclose: ((this: this, event: RoomCloseEvent) => unknown) | null;
  onerror: ((this: this, event: RoomErrorEvent) => unknown) | null;

  /** Sends a message, or queues it for the next connection. Throws a `QuotaExceededError` if there is no space for it. */
  send(message: Outgoing): void;
  /** Closes the socket for good. Messages that wait for a connection are dropped. */
  close(code?: number, reason?: string): void;
  /** Returns the messages from now on, until the socket is closed. */
  [Symbol.asyncIterator](): AsyncGenerator<Incoming, void, void>;

  addEventListener<Type extends keyof RoomSocketEventMap>(
    type: Type,
    listener: (this: this, event: RoomSocketEventMap<Incoming>[Type]) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

/** `encode` and `decode` for messages in JSON. */
export const json: {
  encode: (message: any) => string;
  decode: (data: string) => any;
};

/**
 * Returns the address of a room, such as `wss://example.com/ws/lobby`.
 *
 * @param room its id. Default: `default`.
 * @param base the directory of the server. Default: the host of the page.
 */
export function roomUrl(room?: string, base?: string | URL): string;

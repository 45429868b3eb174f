/** The part of React that the example uses: it is no dependency of this repository. */
declare module 'react' {
  export function useEffect(effect: () => (() => void) | void, dependencies: readonly unknown[]): void;
  export function useState<T>(initial: T): [T, (update: (before: T) => T) => void];
  export function useSyncExternalStore<T>(subscribe: (listener: () => void) => () => void, snapshot: () => T): T;
}

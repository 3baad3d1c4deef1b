/** Resolves after `ms`. */
export function delay(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}

/** Waits until `condition` holds, looking again every few milliseconds; false when `withinMs` passed before it did. */
export async function holdsWithin(withinMs: number, condition: () => boolean | Promise<boolean>): Promise<boolean> {
  const deadline = performance.now() + withinMs;
  while (!await condition()) {
    if (performance.now() > deadline) return false;
    await delay(20);
  }
  return true;
}

/** The answer of `promise`, or undefined when it took longer than `ms`. */
export async function within<T>(ms: number, promise: Promise<T>): Promise<T | undefined> {
  const timer = Promise.withResolvers<undefined>();
  const id = setTimeout(() => timer.resolve(undefined), ms);
  try {
    return await Promise.race([promise, timer.promise]);
  } finally {
    clearTimeout(id);
  }
}

// Promise.withResolvers for Node 20: libp2p uses it and does not start without. Must be the first import of whatever
// imports libp2p (imports are hoisted, so a statement would come too late).
function withResolvers<T>(this: PromiseConstructor): PromiseWithResolvers<T> {
  let resolve!: (value: T | PromiseLike<T>) => void
  let reject!: (reason?: unknown) => void
  // biome-ignore lint/complexity/noUselessThisAlias: `this` is the constructor, as the standard says
  const Constructor = this
  const promise = new Constructor<T>((a, b) => {
    resolve = a
    reject = b
  })
  return { promise, resolve, reject }
}

Promise.withResolvers ??= withResolvers

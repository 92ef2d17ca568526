// The data model's public face. Pure: no I/O, no clock, no randomness of its own.

export * from './bytes.js'
export * from './chunker.js'
export * from './clock.js'
export * from './codec.js'
export * from './content-list.js'
export * from './content-tree.js'
export * from './errors.js'
export * from './hash.js'
export * from './ids.js'
export * from './rechunk.js'
export * from './revision-check.js'
export * from './types.js'

// Three-way merges of the small things of a revision: fields, extended attributes, metadata. Pure; owns the rules:
// what one side changed is taken; what both changed alike is taken; otherwise the side that wins (the later clock) has it.
// A removal never wins over a change.

import { equal, hex } from './bytes.js'
import { encodeMetadata, sortedEntries } from './metadata.js'
import type { Attributes, MetadataValue, Time, Xattr } from './types.js'

/** The same thing in both heads and in their base. `winner`: whose change stands if both changed it. */
export interface Sides<T> {
  a: T
  b: T
  base: T
  winner: 'a' | 'b'
}

type Same<T> = (x: T, y: T) => boolean

const identical = <T>(x: T, y: T): boolean => x === y

/** Which side has it; undefined if both changed it, and differently. */
export function changedSide<T>({ a, b, base }: Sides<T>, same: Same<T>): 'a' | 'b' | undefined {
  if (same(a, b) || same(b, base)) return 'a'
  return same(a, base) ? 'b' : undefined
}

export function mergeField<T>(sides: Sides<T>, same: Same<T> = identical): T {
  return sides[changedSide(sides, same) ?? sides.winner]
}

/** As mergeField, for what may be absent: if one removed what the other changed, the change stays. */
export function mergeOptional<T>(sides: Sides<T | undefined>, same: Same<T>): T | undefined {
  const sameOrAbsent: Same<T | undefined> = (x, y) => (x === undefined || y === undefined ? x === y : same(x, y))
  const side = changedSide(sides, sameOrAbsent)
  if (side) return sides[side]
  return sides[sides.winner] ?? sides.a ?? sides.b
}

export function sameTime(x: Time, y: Time): boolean {
  return x.sec === y.sec && x.nsec === y.nsec
}

/** Negative if x is earlier than y, positive if later, 0 if they are the same. */
export function compareTimes(x: Time, y: Time): number {
  return x.sec - y.sec || x.nsec - y.nsec
}

/** Merges maps key by key; keys come out sorted. */
export function mergeMaps<V>(
  sides: Sides<Map<string, V>>,
  merge: (value: Sides<V | undefined>, key: string) => V | undefined,
): Map<string, V> {
  const { a, b, base, winner } = sides
  const result = new Map<string, V>()
  for (const [key] of sortedEntries(new Map([...a, ...b]))) {
    const value = merge({ a: a.get(key), b: b.get(key), base: base.get(key), winner }, key)
    if (value !== undefined) result.set(key, value)
  }
  return result
}

function xattrMap(xattrs: Xattr[]): Map<string, Xattr> {
  return new Map(xattrs.map((xattr) => [hex(xattr.name), xattr]))
}

export function mergeAttributes({ a, b, base, winner }: Sides<Attributes>): Attributes {
  const field = (name: 'mode' | 'uid' | 'gid' | 'rdev') =>
    mergeField({ a: a[name], b: b[name], base: base[name], winner })
  const maps = { a: xattrMap(a.xattrs), b: xattrMap(b.xattrs), base: xattrMap(base.xattrs), winner }
  // Keys are hexadecimal: their order is that of the bytes.
  const xattrs = mergeMaps(maps, (xattr) => mergeOptional(xattr, (x, y) => equal(x.value, y.value)))
  return {
    mode: field('mode'),
    uid: field('uid'),
    gid: field('gid'),
    rdev: field('rdev'),
    xattrs: [...xattrs.values()],
  }
}

function sameValue(x: MetadataValue, y: MetadataValue): boolean {
  return equal(encodeMetadata(x), encodeMetadata(y))
}

/** The texts of a list of nothing but texts. */
function textsOf(value: MetadataValue | undefined): string[] | undefined {
  if (value?.kind !== 'list') return
  const texts: string[] = []
  for (const item of value.value) {
    if (item.kind !== 'text') return
    texts.push(item.value)
  }
  return texts
}

/** Sets: what either added is in, what either removed is out. In the winner's order, what only the other has behind. */
function mergeTexts({ a, b, base, winner }: Sides<string[]>): MetadataValue {
  const [first, second] = winner === 'a' ? [a, b] : [b, a]
  const old = new Set(base)
  const others = new Set(second)
  const inBoth = new Set(first.filter((text) => others.has(text)))
  const kept = [...first, ...second].filter((text) => inBoth.has(text) || !old.has(text))
  return { kind: 'list', value: [...new Set(kept)].map((value) => ({ kind: 'text', value })) }
}

function mergeValue(sides: Sides<MetadataValue | undefined>): MetadataValue | undefined {
  const { a, b, base, winner } = sides
  if (a?.kind === 'map' && b?.kind === 'map') {
    const old = base?.kind === 'map' ? base.value : new Map<string, MetadataValue>()
    return { kind: 'map', value: mergeMaps({ a: a.value, b: b.value, base: old, winner }, mergeValue) }
  }
  const [textsA, textsB, texts] = [textsOf(a), textsOf(b), base ? textsOf(base) : []]
  if (textsA && textsB && texts && !sameValue(a!, b!) && !(base && (sameValue(a!, base) || sameValue(b!, base)))) {
    return mergeTexts({ a: textsA, b: textsB, base: texts, winner })
  }
  return mergeOptional(sides, sameValue)
}

/** Key by key, maps within maps too; lists of texts (tags) as sets, if the base is one as well or there is none. */
export function mergeMetadata(sides: Sides<Map<string, MetadataValue>>): Map<string, MetadataValue> {
  return mergeMaps(sides, mergeValue)
}

// Metadata values: their rules, and what they look like as protobuf messages. Owns the bounds of metadata.

// First: see there.
import './protobuf-numbers.js'
import { peerdrive } from '../../proto/gen/model.js'
import { compareText } from './bytes.js'
import { InvalidRevisionError } from './errors.js'
import { isDId, isRId } from './ids.js'
import type { MetadataValue, Time } from './types.js'

type ValueMessage = peerdrive.model.MetadataValue.$Properties
type FieldMessage = peerdrive.model.MetadataField.$Properties
type TimeMessage = peerdrive.model.Time.$Properties

/** How deep lists and maps may lie in each other; a value that is neither has depth 1. */
export const METADATA_DEPTH_MAX = 32
/** Most values of a revision, on all levels together. */
export const METADATA_VALUES_MAX = 10_000
/** Most UTF-8 bytes of a key. */
export const METADATA_KEY_MAX = 255

function fail(reason: string): never {
  throw new InvalidRevisionError(reason)
}

function checkText(text: string, what: string): void {
  if (typeof text !== 'string' || !text.isWellFormed()) fail(`${what} is not a well-formed text`)
}

function isTime(time: Time): boolean {
  return Number.isSafeInteger(time.sec) && Number.isInteger(time.nsec) && time.nsec >= 0 && time.nsec <= 999_999_999
}

function checkScalar(value: MetadataValue, key: string): void {
  switch (value.kind) {
    case 'boolean':
      if (typeof value.value !== 'boolean') fail(`metadata ${key} is not a boolean`)
      return
    case 'integer':
      if (!Number.isSafeInteger(value.value)) fail(`metadata ${key} is not an integer within ±(2^53 - 1)`)
      return
    case 'number':
      // NaN has many encodings, and none that every engine keeps.
      if (typeof value.value !== 'number' || Number.isNaN(value.value)) fail(`metadata ${key} is not a number`)
      return
    case 'text':
      return checkText(value.value, `metadata ${key}`)
    case 'data':
      if (!(value.value instanceof Uint8Array)) fail(`metadata ${key} is not bytes`)
      return
    case 'time':
      if (!isTime(value.value)) fail(`metadata ${key} is not a time`)
      return
    case 'document':
      if (!isDId(value.value)) fail(`metadata ${key} is not a document id`)
      return
    case 'revision':
      if (!isRId(value.value)) fail(`metadata ${key} is not a revision id`)
      return
    case 'null':
      return
    default:
      fail(`metadata ${key} is of no known kind`)
  }
}

interface Count {
  values: number
}

function checkValue(value: MetadataValue, key: string, depth: number, count: Count): void {
  if (depth > METADATA_DEPTH_MAX) fail(`metadata ${key} is more than ${METADATA_DEPTH_MAX} levels deep`)
  if (++count.values > METADATA_VALUES_MAX) fail(`it has more than ${METADATA_VALUES_MAX} metadata values`)
  if (value.kind === 'map') checkFields(value.value, depth + 1, count)
  else if (value.kind === 'list') for (const item of value.value) checkValue(item, key, depth + 1, count)
  else checkScalar(value, key)
}

function checkFields(fields: Map<string, MetadataValue>, depth: number, count: Count): void {
  for (const [key, value] of fields) {
    checkText(key, 'a metadata key')
    if (key.length === 0 || Buffer.byteLength(key) > METADATA_KEY_MAX) fail('a metadata key has not 1 to 255 bytes')
    checkValue(value, key, depth, count)
  }
}

/** Throws InvalidRevisionError unless all values are of their kinds and within the bounds above. */
export function checkMetadata(metadata: Map<string, MetadataValue>): void {
  checkFields(metadata, 1, { values: 0 })
}

/** Entries of a map sorted by the UTF-8 bytes of their keys. */
export function sortedEntries<V>(map: Map<string, V>): [string, V][] {
  const entries = [...map]
  return entries.length < 2 ? entries : entries.sort((a, b) => compareText(a[0], b[0]))
}

function valueMessage(value: MetadataValue): ValueMessage {
  switch (value.kind) {
    case 'null':
      return { null: true }
    case 'list':
      return { list: { items: value.value.map(valueMessage) } }
    case 'map':
      return { map: { fields: fieldMessages(value.value) } }
    default:
      return { [value.kind]: value.value }
  }
}

export function fieldMessages(metadata: Map<string, MetadataValue>): FieldMessage[] {
  return sortedEntries(metadata).map(([key, value]) => ({ key, value: valueMessage(value) }))
}

export function timeOf(message: TimeMessage | null | undefined): Time {
  return { sec: message?.sec ?? 0, nsec: message?.nsec ?? 0 }
}

function metadataValueOf(message: ValueMessage | null | undefined): MetadataValue {
  // Depth is bounded by the decoder of protobufjs (100 messages within each other, 3 to a level of ours).
  if (message?.null != null) return { kind: 'null' }
  if (message?.boolean != null) return { kind: 'boolean', value: message.boolean }
  if (message?.integer != null) return { kind: 'integer', value: message.integer }
  if (message?.number != null) return { kind: 'number', value: message.number }
  if (message?.text != null) return { kind: 'text', value: message.text }
  if (message?.data != null) return { kind: 'data', value: message.data }
  if (message?.time != null) return { kind: 'time', value: timeOf(message.time) }
  if (message?.list != null) return { kind: 'list', value: (message.list.items ?? []).map(metadataValueOf) }
  if (message?.map != null) return { kind: 'map', value: fieldsOf(message.map.fields) }
  if (message?.document != null) return { kind: 'document', value: message.document }
  if (message?.revision != null) return { kind: 'revision', value: message.revision }
  return fail('a metadata field has no value')
}

export function fieldsOf(messages: FieldMessage[] | null | undefined): Map<string, MetadataValue> {
  const fields = new Map<string, MetadataValue>()
  for (const { key, value } of messages ?? []) fields.set(key ?? '', metadataValueOf(value))
  return fields
}

/** Bytes that are equal exactly if the values are: for comparing. */
export function encodeMetadata(value: MetadataValue): Uint8Array {
  return peerdrive.model.MetadataValue.encode(valueMessage(value)).finish()
}

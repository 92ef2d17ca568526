// Folders, all of it: entries as bytes, the part as a content, changes and searches. Owns nothing; a door to three files.

export * from './folder-entry.js'
export * from './folder-part.js'
export * from './folder-update.js'

// A mounted disk that records what is done to it (recording-file-system.ts), or fails when it is told to
// (failing-file-system.ts). Owns the process that serves it and the temporary directory.

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, rmdirSync, writeSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { Counted } from './failing-file-system.js'
import type { DiskOp } from './recording-file-system.js'

export class RecordedDisk {
  #notes = -1

  private constructor(
    readonly path: string,
    private readonly process: ChildProcess,
  ) {}

  static async create(options: { fails?: boolean } = {}): Promise<RecordedDisk> {
    const directory = mkdtempSync(path.join(os.tmpdir(), 'peerdrive-disk-'))
    const init = { execArgv: [], serialization: 'advanced' as const }
    const process = fork(
      path.join(import.meta.dirname, 'process.js'),
      [directory, options.fails ? 'fails' : 'records'],
      init,
    )
    await once(process, 'message')
    return new RecordedDisk(directory, process)
  }

  /** Into the log, at this very moment; or what a disk that fails is told. */
  note(text: string): void {
    if (this.#notes < 0) this.#notes = openSync(path.join(this.path, 'notes'), 'w')
    writeSync(this.#notes, text)
  }

  /** What was written down since the last time. */
  takeLog(): Promise<DiskOp[]> {
    return this.#ask()
  }

  /** Of a disk that fails. */
  counted(): Promise<Counted> {
    return this.#ask()
  }

  async #ask<T>(): Promise<T> {
    const answer = once(this.process, 'message')
    this.process.send('log')
    const [told] = await answer
    return told
  }

  async remove(): Promise<void> {
    if (this.#notes >= 0) closeSync(this.#notes)
    const exited = once(this.process, 'exit')
    this.process.send('stop')
    await exited
    rmdirSync(this.path)
  }
}

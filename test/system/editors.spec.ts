// How programs save, by the programs themselves where they are installed and by what they ask of a file system where not: each save is
// one version in one unbroken history of the document, whatever goes through temporary files, backups and locks beside it.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import path from 'node:path'
import { hasFuse, NodeProcess, scratch } from './support.js'

const SAVES = 5

interface Way {
  save(file: string, text: string, commit: (file: string) => Promise<unknown>): void | Promise<void>
  /** What is left beside the file on purpose, as a backup. */
  leaves?: (name: string) => string[]
  /** The program that it takes. */
  needs?: string
  /** What is there before the first save. */
  begins?: string
}

function run(command: string, ...args: string[]): void {
  const done = spawnSync(command, args, { encoding: 'utf8', timeout: 60_000, env: { ...process.env, TERM: 'dumb' } })
  assert.equal(done.status, 0, `${command} ${args.join(' ')}: ${done.stdout}${done.stderr}`)
}

/** Writes by one descriptor, as `flags` open it, and syncs it. */
function write(file: string, text: string, flags: string | number, mode = 0o666): void {
  const fd = fs.openSync(file, flags, mode)
  fs.writeSync(fd, text)
  fs.fsyncSync(fd)
  fs.closeSync(fd)
}

/** Vim without anybody's settings; it has the file open, with a swap file beside it, for as long as it runs. */
const vim = (...settings: string[]): Way['save'] => {
  // Else there are no backups below /tmp.
  const given = ['backupskip=', 'directory=.', ...settings].flatMap((setting) => ['-c', `set ${setting}`])
  return (file, text) =>
    run('vim', '-Nu', 'NONE', '-es', ...given, '-c', `call setline(1, '${text}')`, '-c', 'wq', file)
}

const emacs = (...settings: string[]): Way['save'] => {
  const given = ['backup-enable-predicate (lambda (name) t)', ...settings].flatMap((setting) => [
    '--eval',
    `(setq ${setting})`,
  ])
  return (file, text) =>
    run(
      'emacs',
      '-Q',
      '--batch',
      ...given,
      '--eval',
      `(progn (find-file "${file}") (erase-buffer) (insert "${text}\\n") (save-buffer))`,
    )
}

const WAYS: Record<string, Way> = {
  'vim, in place': { needs: 'vim', save: vim('backupcopy=yes') },
  'vim, by renaming': { needs: 'vim', save: vim('backupcopy=no', 'fsync') },
  'vim, as it likes': { needs: 'vim', save: vim('backupcopy=auto') },
  'vim, without a backup': { needs: 'vim', save: vim('nowritebackup', 'nobackup') },
  'vim, in place, keeping a backup': {
    needs: 'vim',
    save: vim('backupcopy=yes', 'backup'),
    leaves: (name) => [`${name}~`],
  },
  'vim, by renaming, keeping a backup': {
    needs: 'vim',
    save: vim('backupcopy=no', 'backup'),
    leaves: (name) => [`${name}~`],
  },
  emacs: { needs: 'emacs', save: emacs('write-region-inhibit-fsync nil'), leaves: (name) => [`${name}~`] },
  'emacs, backup by copying': {
    needs: 'emacs',
    save: emacs('backup-by-copying t'),
    leaves: (name) => [`${name}~`],
  },
  'emacs, precious': {
    needs: 'emacs',
    save: emacs('file-precious-flag t', 'make-backup-files nil'),
  },
  // What vscode's file service does on Linux: truncates and writes with `w`, fdatasync; or `.vsctmp` renamed over.
  'VS Code, in place': { save: (file, text) => write(file, text, 'w') },
  'VS Code, atomic': {
    save(file, text) {
      write(`${file}.vsctmp`, text, 'w')
      fs.renameSync(`${file}.vsctmp`, file)
    },
  },
  'LibreOffice, renamed over': { save: office(false) },
  'LibreOffice, written over': { save: office(true) },
  'GTK: temporary with a backup link': {
    save(file, text) {
      const temporary = path.join(path.dirname(file), `.goutputstream-${Math.random().toString(36).slice(2, 8)}`)
      write(temporary, text, 'wx')
      if (fs.existsSync(file)) {
        fs.rmSync(`${file}~`, { force: true })
        fs.linkSync(file, `${file}~`)
      }
      fs.renameSync(temporary, file)
    },
    leaves: (name) => [`${name}~`],
  },
  'sed -i': {
    begins: 'first',
    save(file, text) {
      run('sed', '-i', `s/.*/${text}/`, file)
    },
  },
  'temporary that became a version, renamed over': {
    async save(file, text, commit) {
      write(`${file}.tmp`, text, 'w')
      await commit(`${file}.tmp`)
      fs.renameSync(`${file}.tmp`, file)
    },
  },
  'backup by renaming, then new, backup removed': {
    save(file, text) {
      if (fs.existsSync(file)) fs.renameSync(file, `${file}~`)
      write(file, text, 'wx')
      fs.rmSync(`${file}~`, { force: true })
    },
  },
  'deleted, then new': {
    save(file, text) {
      fs.rmSync(file, { force: true })
      write(file, text, 'wx')
    },
  },
}

/** A lock file beside the document while it is open; the new content in a temporary beside it first. */
function office(inPlace: boolean): Way['save'] {
  return (file, text) => {
    const directory = path.dirname(file)
    const lock = path.join(directory, `.~lock.${path.basename(file)}#`)
    write(lock, ',user,host,28.11.2026 12:00,file:///home/user/.config/libreoffice/4;', 'w')
    const temporary = path.join(directory, `lu${process.pid}${Math.random().toString(36).slice(2, 8)}.tmp`)
    write(temporary, text, 'wx+')
    if (inPlace) {
      fs.copyFileSync(temporary, file)
      fs.unlinkSync(temporary)
    } else {
      if (fs.existsSync(file)) fs.chmodSync(temporary, fs.statSync(file).mode & 0o7777)
      fs.renameSync(temporary, file)
    }
    fs.unlinkSync(lock)
  }
}

describe('Editors in the mount', function () {
  this.timeout(120_000)
  let directory: string
  let node: NodeProcess

  before(async function () {
    if (!hasFuse) {
      console.log('skipped: editors in the mount need /dev/fuse')
      return this.skip()
    }
    directory = scratch()
    node = new NodeProcess({ home: path.join(directory, 'node'), args: ['--no-discovery'] })
    await node.start()
  })
  after(async () => {
    await node?.stop()
    if (directory) fs.rmSync(directory, { recursive: true, force: true })
  })

  const log = (file: string) => node.with((api) => api.log(Buffer.from(file), 100))
  const cat = (file: string, version: string) =>
    node.with(async (api) => {
      const pieces: Uint8Array[] = []
      await api.cat(Buffer.from(file), version, async (piece) => void pieces.push(piece))
      return Buffer.concat(pieces).toString().trimEnd()
    })

  /** Contents of the versions, the first one first; those that differ from the one before in mode or attributes only are one save. */
  async function saves(file: string): Promise<string[]> {
    const found: string[] = []
    let modified: number | undefined
    for (const version of (await log(file)).reverse()) {
      const text = await cat(file, version.version)
      // Some make the temporary empty, close it, and open it again to fill it: if a commit comes between, that is a version.
      if (text === '' && found.length === 0) continue
      if (text !== found.at(-1) || version.modified !== modified) found.push(text)
      modified = version.modified
    }
    return found
  }

  for (const [how, way] of Object.entries(WAYS))
    for (const pace of ['each committed', 'one after the other'])
      it(`${how}, ${pace}`, async function () {
        if (way.needs && spawnSync(way.needs, ['--version']).error) {
          console.log(`skipped: ${way.needs} is not installed`)
          return this.skip()
        }
        const folder = path.join(node.mountPoint, `${how}, ${pace}`)
        const file = path.join(folder, 'letter.txt')
        fs.mkdirSync(folder)
        if (way.begins) fs.writeFileSync(file, way.begins)
        const texts = Array.from({ length: SAVES }, (_, i) => `version ${i}`)
        for (const text of texts) {
          await way.save(file, text, log)
          if (pace === 'each committed') await log(file)
        }
        assert.equal(fs.readFileSync(file, 'utf8').trimEnd(), texts.at(-1))
        const begins = way.begins ? [way.begins] : []
        assert.deepEqual(await saves(file), [...begins, ...texts], 'one version for each save')
        const left = ['letter.txt', ...(way.leaves?.('letter.txt') ?? [])].sort()
        assert.deepEqual(fs.readdirSync(folder).sort(), left)
        assert.deepEqual(fs.readdirSync(path.join(folder, '.versions')).sort(), left, 'history names nothing else')
      })
})

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import * as fs from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { mountDriver } from '../../lib/fuse/driver.js'
import { attach, detach, inspect, othersAllowed } from '../../lib/fuse/mount.js'
import { isRoot, NOBODY, run } from '../compliance/context.js'
import { MemoryMount } from '../support/fuse-mount.js'

const PROGRAM = fileURLToPath(new URL('../support/fuse-process.js', import.meta.url))

interface Said {
  mounted?: boolean
  code?: string
  message?: string
}

/** A process that mounts on `directory`; answers with what it says first. */
async function mountingProcess(
  directory: string,
  how: { uid?: number; gid?: number; env?: NodeJS.ProcessEnv } = {},
): Promise<[ChildProcess, Said]> {
  const child = spawn(process.execPath, [PROGRAM, directory], { ...how, stdio: ['pipe', 'pipe', 'pipe'] })
  let out = ''
  let error = ''
  child.stderr!.on('data', (d) => {
    error += d
  })
  const line = new Promise<Said>((resolve) => {
    child.stdout!.on('data', (d) => {
      out += d
      if (out.includes('\n')) resolve(JSON.parse(out.split('\n')[0]))
    })
    child.once('close', () => resolve({ code: 'DIED', message: error }))
  })
  return [child, await line]
}

describe('mounting', () => {
  it('fuse.conf says whether ordinary users may mount for others', () => {
    assert.equal(othersAllowed('# user_allow_other\nmount_max = 10\n'), false)
    assert.equal(othersAllowed('mount_max = 10\n user_allow_other \n'), true)
    assert.equal(othersAllowed('user_allow_others'), false)
    assert.equal(othersAllowed(''), false)
  })

  let directory: string
  beforeEach(() => {
    directory = mkdtempSync(path.join(os.tmpdir(), 'fuse-mount-'))
  })
  afterEach(async () => {
    await detach(path.join(directory, 'm')).catch(() => {})
    rmSync(directory, { recursive: true })
  })

  const at = (name: string) => path.join(directory, name)
  const refuses = (where: string, code: string, saying: RegExp) =>
    assert.rejects(attach(where), (error: Error & { code: string }) => {
      assert.equal(error.code, code)
      assert.match(error.message, saying)
      assert.ok(error.message.includes(where))
      return true
    })

  it('says what is wrong with a mount point and what to do', async () => {
    await refuses(at('none'), 'MOUNT_POINT_MISSING', /mkdir -p/)
    writeFileSync(at('file'), '')
    await refuses(at('file'), 'MOUNT_POINT_NOT_DIRECTORY', /Choose an empty directory/)
    await refuses(at('file/below'), 'MOUNT_POINT_NOT_DIRECTORY', /not a directory/)
    mkdirSync(at('full/x'), { recursive: true })
    await refuses(at('full'), 'MOUNT_POINT_NOT_EMPTY', /hide what is in it/)
  })

  it('a mount point in use is refused, a free one is told from it', async () => {
    mkdirSync(at('m'))
    assert.deepEqual(await inspect(at('m')), { state: 'free' })
    const mount = await MemoryMount.create({ path: at('m') })
    assert.deepEqual(await inspect(at('m')), { state: 'mounted', type: 'fuse.peerdrive' })
    await refuses(at('m'), 'MOUNT_POINT_IN_USE', /umount/)
    await mount.unmount()
  })

  it('over a directory that is not empty when asked, on a name with spaces and more', async () => {
    const odd = at('m ü\\040 "x"')
    mkdirSync(`${odd}/below`, { recursive: true })
    const mount = await MemoryMount.create({ path: odd, attach: { allowNonEmpty: true } })
    assert.deepEqual(await fs.readdir(odd), [])
    assert.equal((await inspect(odd)).state, 'mounted')
    await mount.mounted.unmount()
    await mount.thread.end()
    await mount.mounted.close()
    assert.deepEqual(await fs.readdir(odd), ['below'])
  })

  it('set-id bits and devices have no power on it', async () => {
    mkdirSync(at('m'))
    const mount = await MemoryMount.create({ path: at('m') })
    const line = (await fs.readFile('/proc/self/mountinfo', 'utf8')).split('\n').find((l) => l.includes(at('m')))!
    assert.match(line, /nosuid/)
    assert.match(line, /nodev/)
    await mount.unmount()
  })

  it('unmounting with a file open detaches at once; the file works until it is closed', async () => {
    mkdirSync(at('m'))
    const mount = await MemoryMount.create({ path: at('m') })
    const file = await fs.open(at('m/f'), 'w+')
    await mount.mounted.unmount()
    assert.deepEqual(await inspect(at('m')), { state: 'free' })
    await file.write('still')
    await file.close()
    assert.deepEqual(await mount.thread.ended, { end: 'unmounted' })
    await mount.mounted.unmount()
    await mount.thread.end()
    await mount.mounted.close()
  })

  it('the mount of a killed process is told from a living one, and recovered', async () => {
    mkdirSync(at('m'))
    const [child, said] = await mountingProcess(at('m'))
    assert.deepEqual(said, { mounted: true })
    assert.equal((await inspect(at('m'))).state, 'mounted')
    child.kill('SIGKILL')
    await once(child, 'close')
    assert.deepEqual(await inspect(at('m')), { state: 'stale', type: 'fuse.peerdrive' })
    const mount = await MemoryMount.create({ path: at('m') })
    await fs.writeFile(at('m/f'), 'back')
    assert.equal(await fs.readFile(at('m/f'), 'utf8'), 'back')
    await mount.mounted.unmount()
    await mount.thread.end()
    await mount.mounted.close()
    assert.deepEqual(await inspect(at('m')), { state: 'free' })
  })

  it('an ordinary user mounts and unmounts through fusermount3', async function () {
    const needed = `const fs = require('fs'); fs.accessSync(${JSON.stringify(PROGRAM)}); fs.accessSync('/dev/fuse', 6)`
    const here = await run(process.execPath, ['-e', needed], NOBODY)
    const helper = await run('sh', ['-c', 'command -v fusermount3'])
    if (!isRoot || here.code !== 0 || helper.code !== 0) {
      this.test!.title +=
        ' (needs root to become somebody else, fusermount3, and /dev/fuse and a checkout that others may use)'
      return this.skip()
    }
    mkdirSync(at('m'))
    await fs.chmod(directory, 0o755)
    await fs.chown(at('m'), NOBODY.uid, NOBODY.gid)
    const [child, said] = await mountingProcess(at('m'), NOBODY)
    assert.deepEqual(said, { mounted: true })
    assert.deepEqual(await inspect(at('m')).then((i) => 'type' in i && i.type), 'fuse.peerdrive')
    const script = `echo hello > '${at('m')}/f' && cat '${at('m')}/f'`
    const done = await run('sh', ['-c', script], NOBODY)
    assert.equal(done.out, 'hello\n', done.error)
    child.stdin!.end()
    await once(child, 'close')
    assert.deepEqual(await inspect(at('m')), { state: 'free' })
  })

  it('without the helper an ordinary user is told which package to install', async function () {
    if (!isRoot) {
      this.test!.title += ' (needs root to become somebody else)'
      return this.skip()
    }
    mkdirSync(at('m'))
    await fs.chmod(directory, 0o755)
    await fs.chown(at('m'), NOBODY.uid, NOBODY.gid)
    const [, said] = await mountingProcess(at('m'), { ...NOBODY, env: { PATH: '/nowhere' } })
    assert.equal(said.code, 'NO_FUSERMOUNT', said.message)
    assert.match(said.message!, /apt-get install fuse3/)
  })

  it('a driver is chosen by its name', async () => {
    assert.equal((await mountDriver('fuse-native')).name, 'fuse-native')
    assert.equal((await mountDriver('kernel')).name, 'kernel')
    assert.equal((await mountDriver()).name, process.platform === 'linux' ? 'kernel' : 'fuse-native')
  })
})

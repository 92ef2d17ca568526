// The browser that the web console is tested in, if there is one.

import * as fs from 'node:fs'
import { type Browser, chromium } from 'playwright-core'

const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((f) =>
  fs.existsSync(f),
)

/** undefined, said aloud: none is installed. */
export async function launchBrowser(): Promise<Browser | undefined> {
  if (!CHROMIUM) {
    console.log('skipped: the web console is tested in Chromium, which is not installed (package chromium)')
    return undefined
  }
  return chromium.launch({
    executablePath: CHROMIUM,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
}

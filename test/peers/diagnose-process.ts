// Diagnoses the network namespace it runs in, once per line on stdin; light, for discovery.spec.ts.
import { createInterface } from 'node:readline'
import { diagnose } from '../../lib/peers/discovery-problems.js'

for await (const line of createInterface({ input: process.stdin })) {
  const problems = await diagnose(JSON.parse(line) as { port: number; deaf: boolean; alone: boolean })
  console.log(JSON.stringify(problems.map(({ code }) => code)))
}

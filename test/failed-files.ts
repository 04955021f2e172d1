// A reporter for Node's test runner that says nothing but which files have failed, one in a line.
import type { TestEvent } from 'node:test/reporters'

// biome-ignore lint/style/noDefaultExport: Node's test runner takes a reporter from the default export.
export default async function* failedFiles(events: AsyncIterable<TestEvent>): AsyncGenerator<string, void> {
  const told = new Set<string>()
  for await (const { type, data } of events) {
    if (type !== 'test:fail' || data.todo !== undefined) continue
    const file = data.file ?? data.name
    if (told.has(file)) continue
    told.add(file)
    yield `${file}\n`
  }
}

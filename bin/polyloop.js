#!/usr/bin/env node
// Checks the Node.js version in one line, then starts the CLI. Plain JavaScript that Node 12 can read, so that an old
// version gets as far as the check: nothing newer here, and no static import of anything newer.

const needed = '>= 24.20 (but not 25) or >= 26.7'
const [major, minor] = process.versions.node.split('.').map(Number)

if (process.platform === 'win32') {
  refuse('Polyloop runs on Linux and macOS, not on Windows: use WSL 2 or a container.')
} else if (!(major > 26 || (major === 26 && minor >= 7) || (major === 24 && minor >= 20))) {
  refuse(`Polyloop needs Node.js ${needed}; this is ${process.versions.node} (${process.execPath}).`)
} else {
  Promise.all([import('node:fs'), import('node:module'), import('node:os')]).then(
    ([{ existsSync }, module, { cpus }]) => {
      // All threads of the process share libuv's pool, and it is sized at its first use: four threads are Node's default
      // for one event loop, not for one per core.
      process.env.UV_THREADPOOL_SIZE = process.env.UV_THREADPOOL_SIZE || String(Math.max(4, cpus().length))
      // A checkout runs its TypeScript. Node strips no types below node_modules: there the package brings dist/.
      const source = new URL('../src/cli/main.ts', import.meta.url)
      const built = new URL('../dist/src/cli/main.js', import.meta.url)
      const fromSource = !source.pathname.includes('/node_modules/') && existsSync(source)
      if (fromSource) {
        // Types are stripped and code is compiled once, not by each thread of each start. The variable is for the threads.
        const cache = new URL('../node_modules/.cache/compile', import.meta.url).pathname
        process.env.NODE_COMPILE_CACHE = process.env.NODE_COMPILE_CACHE || cache
        module.enableCompileCache(process.env.NODE_COMPILE_CACHE)
      }
      return import(fromSource ? source.href : built.href).then((main) => main.runProcess())
    },
  )
}

function refuse(line) {
  console.error(line)
  process.exitCode = 1
}

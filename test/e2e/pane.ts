// A program in a terminal of its own: what it shows, with and without colours, and keys for it. tmux is the terminal.
import { spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { requireProgram } from '../harness/program.ts'
import { waitUntil } from '../harness/wait.ts'

const bin = join(import.meta.dirname, '../../bin/polyloop.js')
const SHOW_MS_MAX = 15_000
/** Nothing stays for ever, not even when a test dies. */
const PANE_SECONDS_MAX = 120

export interface PaneSize {
  readonly columns: number
  readonly rows: number
}

export class Pane implements Disposable {
  readonly #tmux: string
  readonly #server = `polyloop-${randomUUID()}`

  /** Runs `polyloop` with these arguments; `status N` is printed when it ended. */
  constructor({ columns, rows }: PaneSize, ...line: readonly string[]) {
    this.#tmux = requireProgram({ names: ['tmux'], aptPackage: 'tmux' })
    const words = [process.execPath, bin, ...line].map((word) => `'${word.replaceAll("'", "'\\''")}'`)
    const command = `${words.join(' ')}; echo "status $?"; exec sleep ${PANE_SECONDS_MAX}`
    this.#run('-f', '/dev/null', 'new-session', '-d', '-x', `${columns}`, '-y', `${rows}`, command)
    this.#run('set-option', '-g', 'escape-time', '0')
  }

  /** Names of tmux (`Enter`, `Up`, `C-c`), or text. */
  keys(...keys: readonly string[]): void {
    this.#run('send-keys', ...keys)
  }

  /** Text as it is, as a paste brings it. */
  paste(text: string): void {
    this.#run('set-buffer', text)
    this.#run('paste-buffer', '-r')
  }

  resize({ columns, rows }: PaneSize): void {
    this.#run('resize-window', '-x', `${columns}`, '-y', `${rows}`)
  }

  /** The rows of the terminal, without colours. */
  rows(): string[] {
    return this.#run('capture-pane', '-p').replace(/\n$/, '').split('\n')
  }

  /** The same in one piece, with the escape sequences that colour it. */
  colours(): string {
    return this.#run('capture-pane', '-p', '-e')
  }

  async shows(pattern: RegExp): Promise<string[]> {
    let rows: string[] = []
    try {
      return await waitUntil(
        `the terminal shows ${pattern}`,
        () => {
          rows = this.rows()
          return pattern.test(rows.join('\n')) ? rows : undefined
        },
        SHOW_MS_MAX,
      )
    } catch (error) {
      throw new Error(`${String(error)}; it shows\n${rows.join('\n')}`)
    }
  }

  [Symbol.dispose](): void {
    spawnSync(this.#tmux, ['-L', this.#server, 'kill-server'])
  }

  #run(...words: readonly string[]): string {
    const environment = { PATH: process.env.PATH, LC_ALL: 'C.UTF-8', TERM: 'xterm' }
    const { status, stdout, stderr } = spawnSync(this.#tmux, ['-u', '-L', this.#server, ...words], {
      env: environment,
      encoding: 'utf8',
    })
    if (status !== 0) throw new Error(`tmux ${words.join(' ')}: ${stderr}`)
    return stdout
  }
}

// `polyloop actors [KIND]`: the kinds of actors in the running server, their slowest handlers and fullest mailboxes.
import type { Command } from 'commander'
import { actorLines, ofKind } from './actors-view.ts'
import { type AdminArguments, AdminClient, addAdminOptions } from './admin-client.ts'
import type { CommandContext, ExitStatus } from './command.ts'

interface ActorsArguments extends AdminArguments {
  readonly json?: boolean
}

export function register(command: Command, context: CommandContext): void {
  addAdminOptions(command)
    .argument('[kind]', 'only this kind')
    .option('--json', 'the report as JSON')
    .action(async (kind: string | undefined, given: ActorsArguments) => {
      context.setStatus(await show(kind, given, context))
    })
}

async function show(kind: string | undefined, given: ActorsArguments, context: CommandContext): Promise<ExitStatus> {
  const answer = await new AdminClient(given, context.environment).actors()
  if (!answer.ok) {
    context.stderr.write(`actors: ${answer.problem}\n`)
    return 1
  }
  const report = kind === undefined ? answer.value : ofKind(answer.value, kind)
  if (report === undefined) {
    const known = answer.value.kinds.map((row) => row.kind).join(', ')
    context.stderr.write(`actors: no kind ${kind}; ${known === '' ? 'there are none' : `there are: ${known}`}\n`)
    return 1
  }
  const text = given.json === true ? JSON.stringify(report, null, 2) : actorLines(report).join('\n')
  context.stdout.write(`${text}\n`)
  return 0
}

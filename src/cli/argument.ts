// The spelling rules of the command line, applied before commander reads it. Pure.

/**
 * `-` and `_` are interchangeable in command and option names; `--k v`, `--k=v` and `--k==v` are equal. Values,
 * operands after the command and everything after `--` stay as they are. (A value that itself starts with `--` must be
 * given as `--k=--value`.)
 */
export function normalizeArguments(given: readonly string[], commands: readonly string[]): string[] {
  const end = given.indexOf('--')
  const options = end === -1 ? given : given.slice(0, end)
  const first = options.findIndex((argument) => !argument.startsWith('-'))
  const normal = options.map((argument, index) => {
    if (argument.startsWith('--')) return normalizeOption(argument)
    const command = argument.replaceAll('_', '-')
    return index === first && commands.includes(command) ? command : argument
  })
  return [...normal, ...given.slice(options.length)]
}

function normalizeOption(argument: string): string {
  const equals = argument.indexOf('=')
  if (equals === -1) return argument.replaceAll('_', '-')
  const value = argument.slice(equals + 1)
  return `${argument.slice(0, equals).replaceAll('_', '-')}=${value.startsWith('=') ? value.slice(1) : value}`
}

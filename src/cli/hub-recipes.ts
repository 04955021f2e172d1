// `polyloop hub-recipes`: prints ways to use `polyloop hub`.
import type { Command } from 'commander'
import { printable } from './chat-packet.ts'
import type { CommandContext, ExitStatus } from './command.ts'
import { RECIPES, recipeText } from './hub/recipe.ts'
import type { TextSink } from './load/progress.ts'

export function register(command: Command, context: CommandContext): void {
  command
    .argument('[n]', `one of them, 1 to ${RECIPES.length}`)
    .action((number: string | undefined) => context.setStatus(printRecipes(number, context)))
}

/** 0; 2 when there is no recipe of that number. */
export function printRecipes(
  number: string | undefined,
  { stdout, stderr }: { readonly stdout: TextSink; readonly stderr: TextSink },
): ExitStatus {
  if (number === undefined) {
    stdout.write(RECIPES.map((recipe, index) => recipeText(recipe, index + 1)).join('\n'))
    return 0
  }
  const recipe = /^\d{1,2}$/.test(number) ? RECIPES[Number(number) - 1] : undefined
  if (recipe === undefined) {
    stderr.write(`hub-recipes: there are recipes 1 to ${RECIPES.length}, not "${printable(number)}"\n`)
    return 2
  }
  stdout.write(recipeText(recipe, Number(number)))
  return 0
}

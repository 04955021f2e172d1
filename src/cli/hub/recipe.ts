// Ten ways to use `polyloop hub`, as `polyloop hub-recipes` prints them. A test runs each.

export interface Recipe {
  readonly title: string
  readonly command: string
  readonly description: string
}

export const RECIPES: readonly Recipe[] = [
  {
    title: 'Basic connection',
    command: 'polyloop hub --url ws://localhost:8000/ws',
    description: 'Connects as nobody and prints who the server says you are. Ctrl-C ends it.',
  },
  {
    title: 'Subscribe to channels',
    command: 'polyloop hub --subscribe metrics,signals',
    description: 'Asks for two channels and prints their events. Channels that you may not have are named as denied.',
  },
  {
    title: 'JSON output',
    command: 'polyloop hub --subscribe metrics --format json',
    description: 'Every frame as indented JSON. Progress goes to stderr, so stdout is JSON and nothing else.',
  },
  {
    title: 'Compact output',
    command: 'polyloop hub --subscribe metrics --format compact',
    description: 'Every frame as one line of JSON, for other programs.',
  },
  {
    title: 'With authentication',
    command: 'polyloop hub --token "$JWT" --subscribe metrics,signals',
    description: 'A JWT says who you are, and its role which channels you may have.',
  },
  {
    title: 'All channels (admin)',
    command: 'polyloop hub --token "$ADMIN_JWT" --subscribe metrics,signals,actions,logs,status,connections',
    description: 'Everything there is. Only the role admin may have all six.',
  },
  {
    title: 'Verbose mode',
    command: 'polyloop hub --subscribe metrics --verbose',
    description: 'Also shows each frame as it comes and goes, and where failures come from.',
  },
  {
    title: 'Monitor metrics',
    command: `polyloop hub --subscribe metrics --format compact | grep '"channel":"metrics"'`,
    description: 'Only the events of one channel, line by line.',
  },
  {
    title: 'Save to log',
    command: 'polyloop hub --subscribe metrics,status --format compact --output events.log',
    description: 'Prints every frame, and appends it to a file.',
  },
  {
    title: 'Real-time monitoring',
    command: 'polyloop hub --subscribe metrics,status --format pretty',
    description: 'What the process does, for people: its figures every few seconds, and what happens to it.',
  },
]

/** `number` counts from 1. */
export function recipeText({ title, command, description }: Recipe, number: number): string {
  return `${number}. ${title}\n   ${command}\n   ${description}\n`
}

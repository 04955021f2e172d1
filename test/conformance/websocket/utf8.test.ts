import { type Case, expect, failing, passing, runCases, send } from './autobahn.ts'

// "κόσμε" with U+1F79, which takes three bytes.
const kosme = Buffer.from('cebae1bdb9cf83cebcceb5', 'hex')
const edited = Buffer.from('edited')
const SURROGATE = Buffer.from('eda080', 'hex')
const OUT_OF_RANGE = Buffer.from('f4908080', 'hex')
const greeting = Buffer.from('Hello-µ@ßöäüàá-UTF-8!!')
const half = Buffer.from('Hello-µ@ßöä').length

const empty = [send.text('', false), send.continuation('', false), send.continuation('')]
const middle = [send.text('', false), send.continuation('middle frame payload', false), send.continuation('')]
const valid: Case[] = [
  passing('6.1.1: empty text', [send.text('')], [expect.text('')]),
  passing('6.1.2: three empty fragments', empty, [expect.text('')]),
  passing('6.1.3: empty fragments around one', middle, [expect.text('middle frame payload')]),
  passing('6.2.1: UTF-8 in one frame', [send.text(greeting)], [expect.text(greeting)]),
  passing(
    '6.2.2: UTF-8 in two fragments, cut between characters',
    [send.text(greeting.subarray(0, half), false), send.continuation(greeting.subarray(half))],
    [expect.text(greeting)],
  ),
  passing('6.2.3: UTF-8 in fragments of one byte', send.fragments(1, greeting, 1), [expect.text(greeting)]),
  passing('6.2.4: Greek in fragments of one byte', send.fragments(1, kosme, 1), [expect.text(kosme)]),
]

// 6.4 prefers that invalid text fails at the frame that breaks it, and accepts (as "non-strict") that it fails when the
// message is complete. We do the latter, like ws.
const broken = Buffer.concat([kosme, SURROGATE, edited])
const late = Buffer.concat([kosme, OUT_OF_RANGE, edited])
const cut = kosme.length + 1
const invalid: Case[] = [
  failing('6.3.1: invalid text in one frame', [send.text(broken)], 1007),
  failing('6.3.2: invalid text in fragments of one byte', send.fragments(1, broken, 1), 1007),
  failing(
    '6.4.1: the second of three fragments is invalid',
    [send.text(kosme, false), send.continuation(OUT_OF_RANGE, false), send.continuation(edited)],
    1007,
  ),
  failing(
    '6.4.2: the second fragment ends with the byte that makes it invalid',
    [
      send.text(late.subarray(0, cut), false),
      send.continuation(late.subarray(cut, cut + 1), false),
      send.continuation(late.subarray(cut + 1)),
    ],
    1007,
  ),
  failing('6.4.3: invalid text in three pieces of one frame', [send.text(late)], 1007),
  failing('6.4.4: the second piece ends with the byte that makes it invalid', [send.text(late)], 1007),
]

interface Group {
  readonly title: string
  readonly good?: readonly string[]
  readonly bad?: readonly string[]
}

const kosmeHex = kosme.toString('hex')
const boundaries = new Set([2, 5, 7, 9, 11])
const missingLast = ['c0', 'e080', 'f08080', 'f8808080', 'fc80808080', 'df', 'efbf', 'f7bfbf', 'fbbfbfbf', 'fdbfbfbfbf']

/** Start bytes without continuation, a space behind each. */
function lonely(first: number, last: number): string {
  let hex = ''
  for (let byte = first; byte < last; byte++) hex += `${byte.toString(16)}20`
  return hex
}

/** The last two code points of each plane, which are no characters but valid UTF-8. */
function nonCharacters(): string[] {
  const planes = Array.from({ length: 17 }, (_, plane) => plane * 0x10000)
  return planes.flatMap((plane) =>
    [0xfffe, 0xffff].map((low) => Buffer.from(String.fromCodePoint(plane + low)).toString('hex')),
  )
}

const continuations = Buffer.from(Array.from({ length: 63 }, (_, index) => 0x80 + index)).toString('hex')
// Numbered 6.5 and up. The sequences are those of Markus Kuhn's UTF-8 decoder stress test.
const groups: Group[] = [
  {
    title: 'some valid sequences',
    good: ['hello$world', 'hello¢world', 'hello€world', 'hello𤭢world', kosme].map((text) =>
      Buffer.from(text as string).toString('hex'),
    ),
  },
  { title: 'all prefixes of a valid text' },
  { title: 'first sequence of a length', good: ['00', 'c280', 'e0a080', 'f0908080'] },
  { title: 'first sequence of length 5 and 6', bad: ['f888808080', 'fc8480808080'] },
  { title: 'last sequence of a length', good: ['7f', 'dfbf', 'efbfbf', 'f48fbfbf'] },
  { title: 'last sequence of length 4 to 6', bad: ['f7bfbfbf', 'fbbfbfbfbf', 'fdbfbfbfbfbf'] },
  { title: 'other boundaries', good: ['ed9fbf', 'ee8080', 'efbfbd', 'f48fbfbf'], bad: ['f4908080'] },
  {
    title: 'unexpected continuation bytes',
    bad: ['80', 'bf', '80bf', '80bf80', '80bf80bf', '80bf80bf80', '80bf80bf80bf', continuations],
  },
  {
    title: 'lonely start bytes',
    bad: [lonely(0xc0, 0xdf), lonely(0xe0, 0xef), lonely(0xf0, 0xf7), lonely(0xf8, 0xfb), lonely(0xfc, 0xfd)],
  },
  { title: 'last continuation byte missing', bad: missingLast },
  { title: 'incomplete sequences in a row', bad: [missingLast.join('')] },
  { title: 'impossible bytes', bad: ['fe', 'ff', 'fefeffff'] },
  { title: 'overlong slash', bad: ['c0af', 'e080af', 'f08080af', 'f8808080af', 'fc80808080af'] },
  { title: 'longest overlong sequences', bad: ['c1bf', 'e09fbf', 'f08fbfbf', 'f887bfbfbf', 'fc83bfbfbfbf'] },
  { title: 'overlong NUL', bad: ['c080', 'e08080', 'f0808080', 'f880808080', 'fc8080808080'] },
  { title: 'single surrogates', bad: ['eda080', 'edadbf', 'edae80', 'edafbf', 'edb080', 'edbe80', 'edbfbf'] },
  {
    title: 'paired surrogates',
    bad: ['eda080', 'edadbf', 'edae80', 'edafbf'].flatMap((high) => [`${high}edb080`, `${high}edbfbf`]),
  },
  { title: 'non-characters', good: nonCharacters() },
  { title: 'specials', good: ['efbfb9', 'efbfba', 'efbfbb', 'efbfbc', 'efbfbd', 'efbfbe', 'efbfbf'] },
]

const sequences = groups.flatMap(({ title, good = [], bad = [] }, index): Case[] => {
  const number = `6.${index + 5}`
  if (number === '6.6') {
    return Array.from({ length: kosme.length }, (_, last) => {
      const prefix = kosmeHex.slice(0, 2 * (last + 1))
      return caseOf(`6.6.${last + 1}: ${title}`, prefix, boundaries.has(last + 1))
    })
  }
  const all = [...good.map((hex) => ({ hex, ok: true })), ...bad.map((hex) => ({ hex, ok: false }))]
  return all.map(({ hex, ok }, at) => caseOf(`${number}.${at + 1}: ${title}`, hex, ok))
})

function caseOf(title: string, hex: string, ok: boolean): Case {
  const text = Buffer.from(hex, 'hex')
  return ok ? passing(title, [send.text(text)], [expect.text(text)]) : failing(title, [send.text(text)], 1007)
}

runCases([...valid, ...invalid, ...sequences])
